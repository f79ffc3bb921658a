#include "ops/ring_status_report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "ops/figure_history.h"
#include "ops/rebalance_report.h"
#include "proto/cluster_status.h"
#include "proto/or_null.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

Json Parsed(const std::string& text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Numbers and nulls alone, and no more of them than a node keeps.
Json Points(const Json& history, const char* name) {
  Json points = Json::array();
  const auto list = history.find(name);
  if (list == history.end() || !list->is_array()) return points;
  for (const Json& point : *list) {
    if (points.size() == FigureHistory::kPoints) break;
    points.push_back(point.is_number() ? point : Json(nullptr));
  }
  return points;
}

// Null where the page has none.
Json HistoryOf(const Json& page) {
  const auto history = page.is_object() ? page.find("history") : page.end();
  if (!page.is_object() || history == page.end() || !history->is_object()) return nullptr;
  const auto step = history->find("step_seconds");
  if (step == history->end() || !step->is_number()) return nullptr;
  Json out = {{"step_seconds", *step}};
  for (const char* name : {"requests_per_second", "reads_per_second", "latency_p99_seconds",
                           "hit_ratio", "memory_used_bytes"}) {
    out[name] = Points(*history, name);
  }
  return out;
}

// Of all nodes: what REBALANCE says without the list of them.
Json MovesJson(const Json& rebalance) {
  Json moves = Json::object();
  for (const char* name : {"paused", "progress_percent", "partitions_left", "left_bytes",
                           "bytes_per_second", "eta_seconds", "leaving"}) {
    const auto found = rebalance.is_object() ? rebalance.find(name) : rebalance.end();
    moves[name] = rebalance.is_object() && found != rebalance.end() ? *found : Json(nullptr);
  }
  return moves;
}

// Whether all that answer have the same settings of the ring; null where nobody said.
Json SettingsAgree(const ClusterStatus& status) {
  std::optional<std::string> digest;
  for (const NodeStatus& node : status.nodes) {
    if (!node.answered || node.settings_digest.empty()) continue;
    if (digest && *digest != node.settings_digest) return false;
    digest = node.settings_digest;
  }
  return digest ? Json(true) : Json(nullptr);
}

struct Reader {
  const RingStatusSource& source;

  // Adds what the node said of itself, and gives it; null: nothing.
  Json Read(NodeStatus& node) const {
    const auto found = source.answers.find(node.id);
    if (found == source.answers.end() || !node.serves()) return nullptr;
    const NodeAnswer& answer = found->second;
    Json page = answer.page.empty() ? Json(nullptr) : Parsed(answer.page);
    if (!answer.page.empty()) AddNodeStatus(node, page);
    if (!answer.error.empty() || answer.age > Duration::zero()) {
      node.answered = false;
      node.error = answer.error;
    }
    return page;
  }

  Json NodeJson(const NodeStatus& node, bool is_self, const Json& page) const {
    const auto found = source.answers.find(node.id);
    const bool stale = !node.answered && page.is_object();
    Json out = ToJson(node);
    out["condition"] = node.condition();
    out["self"] = is_self;
    out["on_ring"] = node.on_ring;
    out["http_address"] = node.http_address;
    out["settings_digest"] =
        node.settings_digest.empty() ? Json(nullptr) : Json(node.settings_digest);
    out["stale"] = stale;
    out["age_seconds"] =
        stale ? Json(std::round(std::chrono::duration<double>(found->second.age).count()))
              : Json(nullptr);
    out["since_seconds"] = OrNull<Json>(node.since_seconds);
    out["evict_in_seconds"] = OrNull<Json>(node.evict_in_seconds);
    out["clock_ahead_ms"] = OrNull<Json>(node.clock_ahead_ms);
    out["reads_per_second"] = OrNull<Json>(node.reads_per_second);
    out["moving_bytes_per_second"] = OrNull<Json>(node.moving_bytes_per_second);
    out["eta_seconds"] = OrNull<Json>(node.eta_seconds);
    Json history = stale ? Json(nullptr) : HistoryOf(page);
    if (!history.is_null()) out["history"] = std::move(history);
    return out;
  }
};

}  // namespace

ClusterStatus RingStatusOf(const RingStatusSource& source) {
  ClusterStatus status = ReadClusterStatus(Parsed(source.asked), Parsed(source.moves));
  const Reader reader{source};
  for (NodeStatus& node : status.nodes) (void)reader.Read(node);
  return status;
}

std::string RingStatusJson(const RingStatusSource& source) {
  const Json asked = Parsed(source.asked);
  const Json rebalance = Parsed(source.moves);
  ClusterStatus status = ReadClusterStatus(asked, rebalance);
  const Reader reader{source};
  const auto id = asked.is_object() ? asked.find("id") : asked.end();
  const std::string self =
      asked.is_object() && id != asked.end() && id->is_string() ? id->get<std::string>() : "";
  Json nodes = Json::array();
  for (NodeStatus& node : status.nodes) {
    const Json page = reader.Read(node);
    nodes.push_back(reader.NodeJson(node, node.id == self, page));
  }
  Json out = ToJson(Judge(status));
  out["cluster"] = status.cluster;
  out["asked"] = status.asked;
  out["partitions"] = status.partitions;
  out["replicas"] = status.replicas;
  out["write_acks"] = status.write_acks ? Json(*status.write_acks) : Json(nullptr);
  out["unowned_partitions"] = status.unowned;
  out["under_replicated_partitions"] = status.under_replicated;
  out["serving_nodes"] = status.serving_nodes();
  out["wanted_nodes"] = status.wanted_nodes();
  out["settings_agree"] = SettingsAgree(status);
  out["moves"] = MovesJson(rebalance);
  out["nodes"] = std::move(nodes);
  return JsonText(out);
}

}  // namespace gyre
