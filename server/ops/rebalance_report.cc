#include "ops/rebalance_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

// Serving members off the ring that others still have to empty.
Json LeavingJson(const ClusterView& view) {
  Json leaving = Json::array();
  std::vector<std::uint32_t> held(view.members.size());
  for (const auto& complete : view.complete) {
    for (const MemberIndex member : complete) ++held[member];
  }
  for (std::size_t i = 0; i < view.members.size(); ++i) {
    const MemberInfo& member = view.members[i];
    if (view.on_ring[i] || !member.serving() || held[i] == 0) continue;
    leaving.push_back({{"name", member.name}, {"partitions_left", held[i]}});
  }
  return leaving;
}

Json SecondsJson(const std::optional<std::uint64_t>& seconds) {
  return seconds ? Json(*seconds) : Json(nullptr);
}

void AddProgress(const TransferProgress& progress, Json& out) {
  out["progress_percent"] = std::round(ProgressPercent(progress) * 10) / 10;
  out["partitions_left"] = progress.partitions_left;
  out["moves_left"] = progress.moves_left;
  out["repairs_left"] = progress.partitions_left - progress.moves_left;
  out["done_bytes"] = progress.bytes_done;
  out["left_bytes"] = progress.bytes_left;
  out["bytes_per_second"] = progress.bytes_per_second;
  out["eta_seconds"] = SecondsJson(SecondsLeft(progress));
}

}  // namespace

std::string DigestText(std::uint64_t digest) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(digest));
  return text;
}

std::string JsonText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json ProgressJson(const TransferProgress& progress) {
  Json out = {{"paused", progress.paused},
              {"limit_bytes_per_second", progress.limit_bytes_per_second}};
  AddProgress(progress, out);
  return out;
}

std::string RebalanceStatusJson(const std::vector<NodeProgress>& nodes, const NodeId& self,
                                const ClusterView* view) {
  TransferProgress sum;
  std::optional<std::uint64_t> slowest = 0;
  Json rows = Json::array();
  for (const NodeProgress& node : nodes) {
    Json row = {{"name", node.name}, {"answered", node.answered}};
    if (node.answered) {
      row.update(ProgressJson(node.progress));
      Add(sum, node.progress);
      const std::optional<std::uint64_t> seconds = SecondsLeft(node.progress);
      slowest = slowest && seconds ? std::optional(std::max(*slowest, *seconds)) : std::nullopt;
    }
    if (node.id == self) {
      sum.paused = node.progress.paused;
      sum.limit_bytes_per_second = node.progress.limit_bytes_per_second;
    }
    rows.push_back(std::move(row));
  }
  Json out = ProgressJson(sum);
  // Nodes fill side by side: the last one to end is the end.
  out["eta_seconds"] = SecondsJson(slowest);
  out["leaving"] = view == nullptr ? Json::array() : LeavingJson(*view);
  out["nodes"] = std::move(rows);
  return JsonText(out);
}

}  // namespace gyre
