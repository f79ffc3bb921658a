// The tool `gyre`: reads its command line, connects, runs one command or the shell.
//
//   main -> RunTool -> CommandLine (the table: which action, which arguments) -> ShellContext -> action
//                        ^
//              the shell's lines
//
// Actions write to streams and return an exit status, so that tests run the whole tool in their own
// process.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "client/shell/printer.h"
#include "client/shell/screen.h"
#include "gyre/client.h"

namespace gyre::client {

enum ExitStatus : int {
  kExitDone = 0,
  kExitRefused = 1,  // not found, a condition not met, or an error of the cluster
  kExitUsage = 2,
  kExitCannotConnect = 3,
};

// Asks the person at the terminal; nothing: there is no answer.
using Ask = std::function<std::optional<std::string>(const std::string& question)>;

// What an action works with.
struct ShellContext {
  Client& client;
  bool json;
  std::ostream& out;
  std::ostream& err;
  std::string connect;       // as the user named it
  CallOptions call = {};     // of each call
  bool raw = false;          // values without a newline behind
  bool terminal = false;     // a person reads `out`
  bool interactive = false;  // and types
  Screen screen = {};
  std::uint64_t line = 0;       // of the script that is run; 0: none is
  Ask ask = nullptr;            // null: nobody to ask
  std::istream* in = nullptr;   // standard input; null: the commands stand there
  bool error_terminal = false;  // a person reads `err`
  // Where the latest error is left; null: nowhere.
  std::optional<ErrorCode>* failure = nullptr;

  // The same with its output elsewhere.
  ShellContext With(std::ostream& new_out, std::ostream& new_err) const;

  // Prints one JSON document in a line.
  void PrintJson(const Json& json_value) const;
  // Prints a value of the key space.
  void PrintBytes(std::string_view bytes) const;
  // Says that there is no such key, beside the output.
  int Miss() const;
  // Reports the error, as JSON on `out` where that is wanted, and returns the exit status for it.
  int Report(const Error& error) const;
};

// Reports an error where there is no connection (yet).
int ReportError(const Error& error, bool json, std::ostream& out, std::ostream& err);
// "gyre: ", and in a script "gyre: line 3: ".
std::string ErrorPrefix(std::uint64_t line);

struct ToolStreams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool interactive = false;  // `in` and `out` are a terminal: the shell edits lines
  bool terminal = false;     // `out` is a terminal
  bool error_terminal = false;
};

// `args` without the program's name. Reads GYRE_CONNECT.
int RunTool(const std::vector<std::string>& args, const ToolStreams& streams);

}  // namespace gyre::client
