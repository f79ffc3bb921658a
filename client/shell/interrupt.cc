#include "client/shell/interrupt.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "client/signals_blocked.h"

namespace gyre::client {
namespace {

constexpr std::chrono::milliseconds kLookForInterrupt{20};

std::atomic<bool> interrupted{false};

static_assert(std::atomic<bool>::is_always_lock_free, "it is used in a signal handler");

}  // namespace

bool Interrupted() { return interrupted; }

void ForgetInterrupts() { interrupted = false; }

CatchInterrupts::CatchInterrupts(Signals signals) : signals_(signals) {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before_);  // without SA_RESTART: reading a line ends
  if (signals_ == Signals::kInterrupt) return;
  sigaction(SIGTERM, &action, &before_terminate_);
}

CatchInterrupts::~CatchInterrupts() {
  sigaction(SIGINT, &before_, nullptr);
  if (signals_ != Signals::kInterrupt) sigaction(SIGTERM, &before_terminate_, nullptr);
}

CancelWhenInterrupted::CancelWhenInterrupted(Client& client) {
  const SignalsBlocked blocked;  // libedit's handlers want the thread that reads
  thread_ = std::jthread([&client](const std::stop_token& command_ended) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any ended;
    while (!command_ended.stop_requested()) {
      if (interrupted) client.CancelAll();
      ended.wait_for(lock, command_ended, kLookForInterrupt, [] { return false; });
    }
  });
}

}  // namespace gyre::client
