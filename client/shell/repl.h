// The shell: one command a line, typed or piped.
//
// A line is run by the tool if it names an operator's command (status, ring, ...) or uses one of
// the tool's --flags; else it goes to the cluster as it is, as a Redis-style command, and its reply
// is printed readably.
#pragma once

#include <istream>
#include <string>

#include "client/shell/tool.h"

namespace gyre::client {

// Runs one line; an empty line or a comment (#) is done at once. `quit`: the user wants to leave.
int RunLine(const std::string& line, const Session& session, bool& quit);

// Reads lines until the end; returns the worst exit status.
int RunPiped(const Session& session, std::istream& in);

// With line editing, completion and a history in ~/.gyre_history (readable by its owner alone).
int RunInteractive(const Session& session, const std::string& host);

// What may stand for `prefix` as the first word; keeps the case in which it is typed.
std::vector<std::string> Completions(std::string_view prefix);

}  // namespace gyre::client
