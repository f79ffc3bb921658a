// What a command still takes, as the shell shows it behind the line that is typed; and what the Tab
// key may put there. Pure, but for the keys, which somebody else finds.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/shell/command_line.h"

namespace gyre::client {

// "KEY VALUE [EX seconds|PX ms] [NX|XX] ..." in its parts: brackets are one each.
std::vector<std::string> SplitSyntax(std::string_view arguments);

// What of `arguments` is left where `typed` are given, the one that is being typed included:
// {"k", "v", "EX", "9"} of the above leaves "[NX|XX] ...".
std::string ArgumentsLeft(std::string_view arguments, const std::vector<std::string>& typed);

// To be shown behind `line`, in which the cursor stands at the end; empty: nothing to say.
std::string HintFor(const CommandLine& commands, std::string_view line);

struct Completion {
  std::string word;                     // that is being typed; empty: a new one
  std::vector<std::string> candidates;  // for its place, as they are typed; sorted
  bool more = false;                    // there are others
};

struct FoundKeys {
  std::vector<std::string> keys;
  bool more = false;
};
// Keys that begin with `prefix`.
using FindKeys = std::function<FoundKeys(const std::string& prefix)>;

// What may stand at the end of `line`: a command, one of its options or subcommands, a key.
Completion Complete(const CommandLine& commands, std::string_view line, const FindKeys& find_keys);

// What all candidates begin with.
std::string CommonPrefix(const std::vector<std::string>& words);
// In lines of `columns` cells, one below the other where they need several; with newlines.
std::string InColumns(const std::vector<std::string>& words, std::size_t columns);

}  // namespace gyre::client
