// A screen that is drawn again and again, and keys that a person types meanwhile.
//
// On a terminal it takes the place of what was shown (the alternate screen), reads keys one by one
// without echo, and puts everything back when it goes: also where the process is interrupted (Ctrl-C
// arrives as a key here) or ended by SIGTERM, SIGHUP or SIGQUIT. Elsewhere frames follow one another, and there are no keys.
#pragma once

#include <chrono>
#include <memory>
#include <ostream>
#include <string>

#include "client/shell/screen.h"

namespace gyre::client {

class LiveScreen {
 public:
  // `terminal`: standard input and output are one.
  LiveScreen(std::ostream& out, bool terminal);
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  // Replaces the frame before; lines that do not fit are cut off.
  void Show(const std::string& frame);
  // Waits for a key: its byte (Ctrl-C is 3, Ctrl-D and the end of input are 4), or 0 when the time is
  // up.
  char WaitForKey(std::chrono::milliseconds patience);

 private:
  struct Terminal;

  std::ostream& out_;
  std::unique_ptr<Terminal> terminal_;  // null: there is none
};

}  // namespace gyre::client
