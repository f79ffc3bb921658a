// `gyre hotkeys`: the keys that are asked for most now, over the ring, as the nodes sample them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/shell/command_line.h"
#include "proto/cluster_status.h"

namespace gyre::client {

struct HotKey {
  std::string key;    // what the node tells of it
  bool whole = true;  // it is all of the key
  std::string node;   // by name
  double per_second = 0;
};

// What HOTKEYS answered at `nodes` (nothing: no answer), the hottest first.
std::vector<HotKey> MergeHotKeys(const std::vector<NodeStatus>& nodes,
                                 const std::vector<std::optional<Value>>& replies);
Json ToJson(const HotKey& hot);

struct HotKeysArguments : Arguments {
  std::size_t top = 20;
};

int ShowHotKeys(const ShellContext& shell, const HotKeysArguments& arguments);

}  // namespace gyre::client
