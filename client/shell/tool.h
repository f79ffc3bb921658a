// The tool `gyre`: reads its command line, connects, runs one command or the shell.
//
//   main -> RunTool -> CommandLine (CLI11: which action, which arguments) -> Session -> action
//
// Actions write to streams and return an exit status, so that tests run the whole tool in their own
// process.
#pragma once

#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "client/shell/printer.h"
#include "gyre/client.h"

namespace gyre::client {

enum ExitStatus : int {
  kExitDone = 0,
  kExitRefused = 1,  // not found, a condition not met, or an error of the cluster
  kExitUsage = 2,
  kExitCannotConnect = 3,
};

// What an action works with.
struct Session {
  Client& client;
  bool json;
  std::ostream& out;
  std::ostream& err;
  std::string connect;  // as the user named it

  // Prints one JSON document in a line.
  void PrintJson(const Json& json_value) const;
  // Reports the error, as JSON on `out` where that is wanted, and returns the exit status for it.
  int Report(const Error& error) const;
};

// Reports an error where there is no session (yet).
int ReportError(const Error& error, bool json, std::ostream& out, std::ostream& err);

struct ToolStreams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool interactive = false;  // `in` is a terminal: the shell edits lines
};

// `args` without the program's name. Reads GYRE_CONNECT.
int RunTool(const std::vector<std::string>& args, const ToolStreams& streams);

// Runs one command's words with a client that is there already (from the shell). Nothing: its words
// are not a valid command line of the tool; `usage` says why.
std::optional<int> RunWords(const std::vector<std::string>& words, const Session& session,
                            std::string& usage);

// All commands of the tool, for completion and near matches.
const std::vector<std::string>& ToolCommands();

}  // namespace gyre::client
