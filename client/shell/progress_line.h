// One line on a terminal that is written over again and again; elsewhere nothing.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace gyre::client {

class ProgressLine {
 public:
  ProgressLine(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Whether enough time has passed since it was shown that it is worth making another.
  bool Due() const;
  // `text` fits on a line.
  void Show(const std::string& text);
  void Clear();

 private:
  static constexpr std::chrono::milliseconds kInterval{200};

  std::ostream& out_;
  const bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace gyre::client
