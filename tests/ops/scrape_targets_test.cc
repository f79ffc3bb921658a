#include "ops/scrape_targets.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace gyre {
namespace {

MemberInfo Member(const std::string& name, std::uint16_t http_port, MemberState state) {
  MemberInfo member;
  member.name = name;
  member.host = "10.0.0.1";
  member.http_port = http_port;
  member.zone = "a";
  member.state = state;
  return member;
}

TEST(ScrapeTargetsTest, AreThoseThatAreToBeMissed) {
  ClusterView view;
  view.members = {Member("serves", 1, MemberState::kAlive), Member("down", 2, MemberState::kDead),
                  Member("gone", 3, MemberState::kDead), Member("mute", 0, MemberState::kAlive),
                  Member("drained", 4, MemberState::kAlive)};
  view.members[1].host = "::1";
  view.on_ring = {true, true, false, true, false};
  view.drained = {false, false, false, false, true};
  const auto targets = nlohmann::json::parse(ScrapeTargetsJson(view, "here"));
  ASSERT_EQ(targets.size(), 3U);
  EXPECT_EQ(targets[0]["targets"], nlohmann::json::array({"10.0.0.1:1"}));
  EXPECT_EQ(targets[0]["labels"]["__meta_gyre_node"], "serves");
  EXPECT_EQ(targets[0]["labels"]["__meta_gyre_cluster"], "here");
  EXPECT_EQ(targets[0]["labels"]["__meta_gyre_zone"], "a");
  EXPECT_EQ(targets[1]["targets"], nlohmann::json::array({"[::1]:2"}));
  EXPECT_EQ(targets[1]["labels"]["__meta_gyre_state"], "dead");
  EXPECT_EQ(targets[2]["labels"]["__meta_gyre_state"], "drained");
  EXPECT_EQ(targets[2]["labels"]["__meta_gyre_on_ring"], "false");
  // All that Prometheus takes are strings.
  for (const auto& target : targets) {
    for (const auto& label : target["labels"]) EXPECT_TRUE(label.is_string());
  }
}

}  // namespace
}  // namespace gyre
