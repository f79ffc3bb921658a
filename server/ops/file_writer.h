// Keeps small files on disk as they should be, on a thread of its own, so that nobody else waits for
// the disk. A file is written whole (base/file.h: the old one or the new one, never half of one), and
// again and again as long as that fails: a full disk is counted and logged, and costs nothing else.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"

namespace gyre {

// Any thread.
class FileWriter {
 public:
  FileWriter() = default;
  // Writes what is to be written still, once.
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  using File = std::size_t;
  // `trouble`: what is logged while it cannot be written, now and then.
  File Add(std::string path, std::string trouble);
  // From now on the file should be what `text` makes; called on the writer's thread. Never waits.
  void Keep(File file, std::function<std::string()> text);

  struct Stats {
    std::uint64_t writes = 0;
    std::uint64_t failures = 0;
  };
  Stats stats(File file) const;

 private:
  struct Entry {
    std::string path;
    std::string trouble;
    std::function<std::string()> text;  // to be written; null: it is as it should be
    TimePoint due{};
    TimePoint next{};  // after the last write
    Stats stats;
  };

  void Run();
  // Null: nothing is due.
  Entry* Due(TimePoint now);
  std::optional<TimePoint> NextDue() const;
  void Write(Entry& entry, std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> entries_;
  bool ending_ = false;
  std::thread thread_;  // from the first Keep on
};

}  // namespace gyre
