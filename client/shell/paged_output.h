// Output that a person reads: through a pager where it is longer than the screen, or into a program
// of theirs ("keys * | less").
#pragma once

#include <sys/types.h>

#include <optional>
#include <ostream>
#include <streambuf>
#include <string>

#include "client/shell/screen.h"

namespace gyre::client {

// A program with a pipe to its standard input; its output is ours. SIGPIPE must be ignored meanwhile.
class FedProgram {
 public:
  // Runs `command` by /bin/sh. Nothing: no process could be had.
  static std::optional<FedProgram> Start(const std::string& command);
  FedProgram(FedProgram&& other) noexcept;
  FedProgram& operator=(FedProgram&&) = delete;
  ~FedProgram() { Finish(); }

  // What it does not read any more is dropped.
  void Write(std::string_view bytes);
  // Ends its input and waits for its end. Its exit status; as the shell's where a signal ended it.
  int Finish();

 private:
  FedProgram(pid_t process, int input) : process_(process), input_(input) {}

  pid_t process_;
  int input_;  // -1: closed
  int status_ = 0;
};

// Feeds a program.
class ProgramBuffer final : public std::streambuf {
 public:
  explicit ProgramBuffer(FedProgram& program) : program_(program) {}

 protected:
  int overflow(int c) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;

 private:
  FedProgram& program_;
};

// The command that shows what is longer than the screen: $PAGER, else less where it is installed.
// Empty: nothing does (PAGER is empty or cat).
std::string PagerOfEnvironment();

// Gathers output until it is known whether it fits on the screen. Whoever flushes wants it seen at
// once (progress, a screen that is drawn again): from then on it passes.
class PagedBuffer final : public std::streambuf {
 public:
  // `pager`: empty for none.
  PagedBuffer(std::ostream& out, const Screen& screen, std::string pager)
      : out_(out), screen_(screen), pager_(std::move(pager)) {}
  ~PagedBuffer() override { Finish(); }

  // Shows what is left, and waits until the person leaves the pager.
  void Finish();

 protected:
  int overflow(int c) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  void Take(std::string_view bytes);

  std::ostream& out_;
  const Screen screen_;
  const std::string pager_;
  bool passes_ = false;
  std::string gathered_;
  std::size_t rows_ = 0;   // of the screen that `gathered_` takes, but for its last line
  std::size_t cells_ = 0;  // of its last line, in bytes: a guess from above
  std::optional<FedProgram> program_;
};

}  // namespace gyre::client
