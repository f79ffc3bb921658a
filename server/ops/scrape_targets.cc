#include "ops/scrape_targets.h"

#include <nlohmann/json.hpp>

#include "ops/rebalance_report.h"

namespace gyre {

std::string ScrapeTargetsJson(const ClusterView& view, const std::string& cluster) {
  using Json = nlohmann::ordered_json;
  Json targets = Json::array();
  for (std::size_t i = 0; i < view.members.size(); ++i) {
    const MemberInfo& member = view.members[i];
    if (member.http_port == 0 || !(view.on_ring[i] || member.serving())) continue;
    const bool is_ipv6 = member.host.find(':') != std::string::npos;
    const std::string host = is_ipv6 ? '[' + member.host + ']' : member.host;
    targets.push_back({{"targets", {host + ':' + std::to_string(member.http_port)}},
                       {"labels",
                        {{"__meta_gyre_cluster", cluster},
                         {"__meta_gyre_node", member.name},
                         {"__meta_gyre_id", member.id.ToString()},
                         {"__meta_gyre_zone", member.zone},
                         {"__meta_gyre_state", view.StateName(i)},
                         {"__meta_gyre_on_ring", view.on_ring[i] ? "true" : "false"}}}});
  }
  return JsonText(targets);
}

}  // namespace gyre
