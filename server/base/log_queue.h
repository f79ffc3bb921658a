// Log lines on their way to a file that may not take them: a pipe that nobody reads, a full disk.
//
// Whoever logs appends to a bounded buffer and goes on; a thread of the queue's own writes it. What
// finds no room is dropped and counted, and so is what the file refuses; a line in its place says
// how many were lost, as soon as the file takes something again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace gyre {

class LogQueue {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{1} << 20;

  // The line that stands where `dropped` others would have stood; called on the queue's thread.
  using Notice = std::function<std::string(std::uint64_t dropped)>;

  // Writes to `file`, which is borrowed and may block.
  LogQueue(int file, Notice notice, std::size_t bytes_max = kBytesMax);
  // Drops what is not written yet, without waiting for a file that takes nothing.
  ~LogQueue();
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  // Any thread; never waits for the file. `line` ends with its newline.
  void Push(std::string_view line);
  // Any thread. Waits until all that was pushed is written or dropped, for `patience` at most.
  // Whether it is.
  bool Flush(Duration patience);
  // Any thread. Lines lost so far.
  std::uint64_t dropped() const;

 private:
  struct Shared;
  // The thread's, too: where the file blocks it for ever, it is left behind.
  std::shared_ptr<Shared> shared_;
};

}  // namespace gyre
