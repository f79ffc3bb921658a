// Ctrl-C in the shell ends the command that runs, not the shell.
//
// A signal handler has no context, which is why what it needs is static; there is one terminal.
#pragma once

#include <csignal>
#include <thread>

#include "gyre/client.h"

namespace gyre::client {

// It was pressed since the command began: what goes on by itself (a scan, a measurement) ends.
// Requests in flight are ended without its help.
bool Interrupted();
// Since the last prompt. Whoever entered a line means its command by what comes after, even where
// the command has not begun yet.
void ForgetInterrupts();

// While it lives, Ctrl-C does not end the process; nor does SIGTERM, where that is caught, too: for what has
// something to say at its end, whoever ends it.
class CatchInterrupts {
 public:
  enum class Signals { kInterrupt, kInterruptAndTerminate };
  explicit CatchInterrupts(Signals signals = Signals::kInterrupt);
  ~CatchInterrupts();
  CatchInterrupts(const CatchInterrupts&) = delete;
  CatchInterrupts& operator=(const CatchInterrupts&) = delete;

 private:
  const Signals signals_;
  struct sigaction before_ {};
  struct sigaction before_terminate_ {};
};

// While it lives, Ctrl-C ends what the client has in flight, and what the command begins after it.
class CancelWhenInterrupted {
 public:
  explicit CancelWhenInterrupted(Client& client);

 private:
  std::jthread thread_;
};

}  // namespace gyre::client
