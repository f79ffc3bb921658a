#include "client/shell/hot_keys.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/shell/cluster_picture.h"
#include "client/shell/table.h"
#include "client/shell/words.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

constexpr std::size_t kHotKeyBytesListed = 48;

std::string ShownKey(const HotKey& hot) {
  if (hot.key.size() > kHotKeyBytesListed)
    return Quote(hot.key.substr(0, kHotKeyBytesListed)) + "...";
  return Readable(hot.key) + (hot.whole ? "" : "...");
}

}  // namespace

std::vector<HotKey> MergeHotKeys(const std::vector<NodeStatus>& nodes,
                                 const std::vector<std::optional<Value>>& replies) {
  std::vector<HotKey> all;
  for (std::size_t i = 0; i < nodes.size() && i < replies.size(); ++i) {
    if (!replies[i]) continue;
    for (const Value& one : replies[i]->elements) {
      if (one.elements.size() != 3) continue;  // another release
      all.push_back({.key = one.elements[0].text,
                     .whole = one.elements[2].integer != 0,
                     .node = nodes[i].name,
                     .per_second = static_cast<double>(one.elements[1].integer)});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const HotKey& a, const HotKey& b) { return a.per_second > b.per_second; });
  return all;
}

Json ToJson(const HotKey& hot) {
  Json one = Json::object();
  AddBytes(one, "key", hot.key);
  one["whole"] = hot.whole;
  one["node"] = hot.node;
  one["calls_per_second"] = hot.per_second;
  return one;
}

int ShowHotKeys(const ShellContext& shell, const HotKeysArguments& arguments) {
  const Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  const std::vector<NodeStatus>& nodes = picture->status.nodes;
  const std::vector<std::optional<Value>> replies = AskEach(shell, nodes, {"HOTKEYS"});
  if (std::none_of(replies.begin(), replies.end(), [](const auto& reply) { return reply; })) {
    return shell.Report(
        {ErrorCode::kUnknownCommand, "no node tells its hot keys: are they of an older release?"});
  }
  std::vector<HotKey> hot = MergeHotKeys(nodes, replies);
  double all = 0;
  for (const NodeStatus& node : nodes) all += node.requests_per_second.value_or(0);
  if (hot.size() > arguments.top) hot.resize(arguments.top);
  if (shell.json) {
    Json list = Json::array();
    for (const HotKey& one : hot) list.push_back(ToJson(one));
    shell.PrintJson({{"requests_per_second", all}, {"keys", std::move(list)}});
    return kExitDone;
  }
  if (hot.empty()) {
    shell.out << "no key stands out\n";
    return kExitDone;
  }
  TextTable table({"CALLS/s", "NODE", "KEY"});
  for (const HotKey& one : hot) {
    table.AddRow({HumanCount(std::round(one.per_second)), one.node, ShownKey(one)});
  }
  table.Print(shell.out);
  return kExitDone;
}

}  // namespace gyre::client
