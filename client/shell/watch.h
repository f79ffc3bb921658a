// `gyre watch`: the changes of keys as they come, one a line.
#pragma once

#include "client/shell/command_line.h"

namespace gyre::client {

struct WatchArguments : Arguments {
  std::string prefix;
  std::string from;  // a cursor
  bool values = false;
  std::uint64_t count = 0;  // events; 0: until Ctrl-C
  double cursor_every = 0;  // seconds; 0: at the end alone
};

// At the end, and as often as it is wanted, the cursor is told: what comes behind it is not printed yet.
int Watch(const ShellContext& shell, const WatchArguments& arguments);

// One event as a line, and as JSON.
std::string EventLine(const FeedEvent& event);
Json EventJson(const FeedEvent& event, bool values);

}  // namespace gyre::client
