#include "base/log_queue.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

namespace gyre {
namespace {

// Writes all of `bytes` if the file takes them; what it refused is left.
std::string_view WriteAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      // Somebody who shares the file made it non-blocking.
      pollfd writable{.fd = file, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      break;
    }
  }
  return bytes;
}

std::uint64_t Lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

struct LogQueue::Shared {
  const int file;
  const std::size_t bytes_max;
  const Notice notice;
  std::atomic<std::uint64_t> dropped{0};

  std::mutex mutex;
  std::condition_variable changed;
  std::string waiting;               // lines
  std::uint64_t dropped_behind = 0;  // lines that found no room behind them
  bool writing = false;
  bool closed = false;

  bool idle() const { return waiting.empty() && dropped_behind == 0 && !writing; }
  void Write();
};

// The thread.
void LogQueue::Shared::Write() {
  std::string batch;
  std::uint64_t unsaid_losses = 0;
  const auto say_losses = [&] {
    if (unsaid_losses == 0 || !WriteAll(file, notice(unsaid_losses)).empty()) return;
    unsaid_losses = 0;
  };
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return closed || !waiting.empty() || dropped_behind != 0; });
    if (closed) return;
    batch.clear();
    batch.swap(waiting);
    const std::uint64_t behind = std::exchange(dropped_behind, 0);
    writing = true;
    lock.unlock();

    say_losses();  // of what the file refused before
    const std::uint64_t refused = Lines(WriteAll(file, batch));
    dropped.fetch_add(refused, std::memory_order_relaxed);
    unsaid_losses += refused + behind;
    say_losses();

    lock.lock();
    writing = false;
    changed.notify_all();
  }
}

LogQueue::LogQueue(int file, Notice notice, std::size_t bytes_max)
    : shared_(new Shared{.file = file, .bytes_max = bytes_max, .notice = std::move(notice)}) {
  // Signals, that of a closed pipe among them, are for others.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([shared = shared_] {
    pthread_setname_np(pthread_self(), "gyre-log");
    shared->Write();
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogQueue::~LogQueue() {
  const std::lock_guard lock(shared_->mutex);
  shared_->closed = true;
  shared_->changed.notify_all();
}

void LogQueue::Push(std::string_view line) {
  const std::lock_guard lock(shared_->mutex);
  // Once one was dropped all are, until the thread has taken what is there: lines keep their order.
  if (shared_->dropped_behind != 0 || shared_->waiting.size() + line.size() > shared_->bytes_max) {
    ++shared_->dropped_behind;
    shared_->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  shared_->waiting += line;
  if (!shared_->writing) shared_->changed.notify_all();
}

bool LogQueue::Flush(Duration patience) {
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, patience, [this] { return shared_->idle(); });
}

std::uint64_t LogQueue::dropped() const { return shared_->dropped.load(std::memory_order_relaxed); }

}  // namespace gyre
