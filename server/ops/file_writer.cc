#include "ops/file_writer.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/file.h"
#include "base/log.h"

namespace gyre {
namespace {

constexpr std::chrono::seconds kRetryInterval{5};
// Of a failure that lasts.
constexpr std::chrono::minutes kWarnInterval{1};
// Between two writes of a file: what changes faster is written once.
constexpr std::chrono::milliseconds kGap{100};

}  // namespace

FileWriter::~FileWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

FileWriter::File FileWriter::Add(std::string path, std::string trouble) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.emplace_back();
  entry.path = std::move(path);
  entry.trouble = std::move(trouble);
  return entries_.size() - 1;
}

void FileWriter::Keep(File file, std::function<std::string()> text) {
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[file];
    entry.text = std::move(text);
    entry.due = entry.next;  // after a failure, at once
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  }
  changed_.notify_one();
}

FileWriter::Stats FileWriter::stats(File file) const {
  const std::lock_guard lock(mutex_);
  return entries_[file].stats;
}

FileWriter::Entry* FileWriter::Due(TimePoint now) {
  const auto due = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.text && (ending_ || entry.due <= now);
  });
  return due == entries_.end() ? nullptr : &*due;
}

std::optional<TimePoint> FileWriter::NextDue() const {
  std::optional<TimePoint> next;
  for (const Entry& entry : entries_) {
    if (entry.text && (!next || entry.due < *next)) next = entry.due;
  }
  return next;
}

void FileWriter::Run() {
  pthread_setname_np(pthread_self(), "gyre-files");
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Entry* const entry = Due(SteadyNow()); entry != nullptr) {
      Write(*entry, lock);
      continue;
    }
    if (ending_) return;
    if (const std::optional<TimePoint> next = NextDue()) {
      changed_.wait_until(lock, *next);
    } else {
      changed_.wait(lock);
    }
  }
}

void FileWriter::Write(Entry& entry, std::unique_lock<std::mutex>& lock) {
  std::function<std::string()> text = std::exchange(entry.text, nullptr);
  lock.unlock();
  const Status written = ReplaceFile(entry.path, text());
  lock.lock();
  if (written) {
    ++entry.stats.writes;
    entry.next = SteadyNow() + kGap;
    if (entry.text) entry.due = entry.next;
    return;
  }
  constexpr auto kEach = static_cast<std::uint64_t>(kWarnInterval / kRetryInterval);
  if (++entry.stats.failures % kEach == 1) {
    LogWarn(entry.trouble, {{"error", written.error().message}});
  }
  if (entry.text || ending_) return;  // there is a newer one, or no more time
  entry.text = std::move(text);
  entry.due = SteadyNow() + kRetryInterval;
}

}  // namespace gyre
