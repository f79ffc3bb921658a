// The shell: one command a line, typed or piped; the same commands as on the command line
// (command_line.h), and "quit".
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "client/shell/command_line.h"

namespace gyre::client {

// Runs one line; an empty line or a comment (#) is done at once. `quit`: the user wants to leave.
int RunLine(CommandLine& commands, const std::string& line, const ShellContext& shell, bool& quit);

// Reads lines until the end; errors name the line. Returns the worst exit status.
int RunPiped(CommandLine& commands, const ShellContext& shell, std::istream& in);

// With line editing, completion and a history in ~/.gyre_history (readable by its owner alone).
// Ctrl-C clears the line or cancels the command that runs; Ctrl-D ends.
int RunInteractive(CommandLine& commands, const ShellContext& shell);

// What may stand for `prefix` as the first word; keeps the case in which it is typed.
std::vector<std::string> Completions(const CommandLine& commands, std::string_view prefix);

}  // namespace gyre::client
