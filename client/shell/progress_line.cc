#include "client/shell/progress_line.h"

namespace gyre::client {

bool ProgressLine::Due() const {
  return terminal_ && (!shown_ || std::chrono::steady_clock::now() - last_ >= kInterval);
}

void ProgressLine::Show(const std::string& text) {
  if (!terminal_) return;
  shown_ = true;
  last_ = std::chrono::steady_clock::now();
  out_ << "\r" << text << "\x1b[K" << std::flush;
}

void ProgressLine::Clear() {
  if (!shown_) return;
  shown_ = false;
  out_ << "\r\x1b[K" << std::flush;
}

}  // namespace gyre::client
