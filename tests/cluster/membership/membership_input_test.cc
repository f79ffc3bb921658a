// What others send is not believed: malformed, foreign and spoiled messages.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/membership_fixture.h"
#include "membership/membership.h"
#include "membership/state_codec.h"
#include "proto/limits.h"

namespace gyre {
namespace {

using std::chrono::seconds;

constexpr TimePoint kNow{seconds(1000)};
const Address kFrom{"10.0.0.9", 7700};

Membership Machine() { return {MembershipOptions{}, TestMember(0), 64, 2}; }

wire::GossipMessage Message(std::uint64_t from = 9) {
  wire::GossipMessage message;
  message.set_cluster(ClusterHash("gyre"));
  message.set_protocol_version(1);
  message.set_from(std::string(TestId(from).raw()));
  return message;
}

bool Sends(const MembershipActions& actions) {
  for (const MembershipAction& action : actions) {
    if (std::holds_alternative<SendDatagram>(action)) return true;
  }
  return false;
}

TEST(MembershipInput, DropsAndCountsWhatIsNotOfThisCluster) {
  Membership machine = Machine();
  std::vector<std::string> bad = {"", "\xff", std::string(70'000, 'x')};
  wire::GossipMessage message = Message();
  message.set_cluster(1);
  bad.push_back(message.SerializeAsString());
  for (const std::uint32_t version : {0U, 3U, 0xffffffffU}) {
    message = Message();
    message.set_protocol_version(version);
    bad.push_back(message.SerializeAsString());
  }
  message = Message();
  message.set_from("short");
  bad.push_back(message.SerializeAsString());
  bad.push_back(Message(0).SerializeAsString());  // this node's own id
  for (const std::string& bytes : bad) {
    EXPECT_FALSE(Sends(machine.OnDatagram(kNow, kFrom, bytes)));
  }
  EXPECT_EQ(machine.stats().datagrams_dropped, bad.size());
  EXPECT_EQ(machine.state().members.size(), 1U);
}

TEST(MembershipInput, AnswersPingsForItsOwnIdentityOnly) {
  Membership machine = Machine();
  wire::GossipMessage message = Message();
  message.mutable_ping()->set_sequence(5);
  message.mutable_ping()->set_target(std::string(TestId(4).raw()));
  EXPECT_FALSE(Sends(machine.OnDatagram(kNow, kFrom, message.SerializeAsString())));
  message.mutable_ping()->set_target(std::string(TestId(0).raw()));
  EXPECT_TRUE(Sends(machine.OnDatagram(kNow, kFrom, message.SerializeAsString())));
}

TEST(MembershipInput, SkipsOneBadBroadcastAndTakesTheNext) {
  Membership machine = Machine();
  wire::GossipMessage message = Message();
  message.add_broadcasts()->mutable_member()->set_id("bad");
  ToWire({TestMember(5), 1}, *message.add_broadcasts()->mutable_member());
  machine.OnDatagram(kNow, kFrom, message.SerializeAsString());
  EXPECT_EQ(machine.state().members.size(), 2U);
}

// ---- What lies too far ahead ------------------------------------------------------------------

constexpr std::chrono::hours kWall{500'000};  // since 1970
constexpr auto kWallMs = static_cast<std::uint64_t>(std::chrono::milliseconds(kWall).count());
constexpr auto kWeekMs =
    static_cast<std::uint64_t>(std::chrono::milliseconds(std::chrono::hours(7 * 24)).count());

Membership DatedMachine() {
  MembershipOptions options;
  options.wall_clock = [] { return std::chrono::microseconds(kWall); };
  return {options, TestMember(0, kWallMs), 64, 2};
}

void Hear(Membership& machine, const std::function<void(wire::GossipMessage&)>& fill) {
  wire::GossipMessage message = Message(5);
  fill(message);
  machine.OnDatagram(kNow, kFrom, message.SerializeAsString());
}
void HearMember(Membership& machine, const MemberInfo& info) {
  Hear(machine, [&](wire::GossipMessage& message) {
    ToWire({info, info.incarnation}, *message.add_broadcasts()->mutable_member());
  });
}

TEST(MembershipInput, RefusesMembersFromFarAheadOfItsClock) {
  Membership machine = DatedMachine();
  HearMember(machine, TestMember(5, kWallMs + kWeekMs + 1));
  EXPECT_EQ(machine.state().members.size(), 1U);
  EXPECT_EQ(machine.stats().records_refused, 1U);
  HearMember(machine, TestMember(5, kWallMs + kWeekMs));
  EXPECT_EQ(machine.state().members.size(), 2U);
}

// Once believed, such a death could never be denied: the member's next incarnation is out of
// bounds.
TEST(MembershipInput, RefusesVerdictsFromFarAheadOfItsClock) {
  Membership machine = DatedMachine();
  HearMember(machine, TestMember(6, kWallMs));
  for (const std::uint64_t target : {std::uint64_t{6}, std::uint64_t{0}}) {
    Hear(machine, [&](wire::GossipMessage& message) {
      ToWire(SuspicionRecord{TestId(target), kCounterMax, TestId(5)},
             *message.add_broadcasts()->mutable_dead());
      ToWire(SuspicionRecord{TestId(target), kCounterMax, TestId(5)},
             *message.add_broadcasts()->mutable_suspect());
    });
  }
  EXPECT_EQ(machine.stats().records_refused, 4U);
  EXPECT_EQ(machine.state().members.at(TestId(6)).state, MemberState::kAlive);
  EXPECT_EQ(machine.state().members.at(TestId(0)).incarnation, kWallMs);
}

TEST(MembershipInput, RefusesRegistersThatLeapToTheEndOfTheirRevisions) {
  Membership machine = DatedMachine();
  machine.JoinRing(kNow);
  const auto leap = [](std::uint64_t revision) {
    return [revision](wire::GossipMessage& message) {
      RingEntry entry{TestId(0)};
      entry.revision = revision;
      entry.removed = true;
      ToWire(entry, *message.add_broadcasts()->mutable_ring_entry());
      ToWire(RebalanceSetting{revision, TestId(5), true, std::nullopt},
             *message.add_broadcasts()->mutable_rebalance());
    };
  };
  Hear(machine, leap(kCounterMax));
  EXPECT_EQ(machine.stats().records_refused, 2U);
  EXPECT_FALSE(machine.state().ring.at(TestId(0)).removed);
  EXPECT_FALSE(machine.state().rebalance.paused);
  Hear(machine, leap(2));
  EXPECT_TRUE(machine.state().ring.at(TestId(0)).removed);
  EXPECT_TRUE(machine.state().rebalance.paused);
}

TEST(MembershipInput, DoesNotJoinThroughANodeFromFarAheadOfItsClock) {
  Membership machine = DatedMachine();
  machine.SetSeeds(kNow, {{"10.0.0.5", 7700}});
  MembershipOptions options;
  options.wall_clock = [] { return std::chrono::microseconds(kWall + std::chrono::hours(24 * 8)); };
  Membership other(options, TestMember(5, kWallMs + 8 * kWeekMs / 7), 64, 2);
  std::string request;
  for (const MembershipAction& action : other.SetSeeds(kNow, {{"10.0.0.0", 7700}})) {
    if (const auto* sync = std::get_if<StartPushPull>(&action)) request = sync->payload;
  }
  Result<std::string> reply;
  machine.OnPushPull(kNow, request, reply);
  ASSERT_FALSE(reply.has_value());
  EXPECT_NE(reply.error().message.find("set them (NTP)"), std::string::npos);
  EXPECT_FALSE(machine.joined());
}

TEST(MembershipInput, RefusesStatesOfMoreMembersThanThereCanBe) {
  Membership machine = Machine();
  wire::PushPull state;
  state.set_cluster(ClusterHash("gyre"));
  state.set_from(std::string(TestId(5).raw()));
  state.set_partition_count(64);
  state.set_replicas(2);
  for (std::uint32_t i = 0; i <= kMembersMax; ++i) state.add_ring();
  Result<std::string> reply;
  machine.OnPushPull(kNow, state.SerializeAsString(), reply);
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, ErrorCode::kProtocol);
}

// A cluster of three whose messages are spoiled at random for a while: nobody crashes, and the
// cluster recovers.
class SpoiledMessages : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SpoiledMessages, KillNobodyForGood) {
  const std::uint64_t seed = GetParam();
  VirtualCluster cluster(seed);
  Prng prng(seed);
  cluster.StartMany(3);
  cluster.Run(seconds(2));
  cluster.on_bytes = [&](std::string& bytes) {
    if (bytes.empty() || prng.Chance(0.5)) return;
    const std::uint64_t spoils = 1 + prng.Below(4);
    for (std::uint64_t i = 0; i < spoils; ++i) {
      const std::size_t at = prng.Below(bytes.size());
      switch (prng.Below(3)) {
        case 0:
          bytes[at] = static_cast<char>(prng.Next());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << prng.Below(8)));
          break;
        default:
          bytes.resize(at + 1);
      }
    }
  };
  cluster.Run(seconds(20));
  cluster.on_bytes = nullptr;
  cluster.Run(seconds(30));
  for (const std::uint64_t viewer : cluster.numbers()) {
    for (const std::uint64_t number : cluster.numbers()) {
      ASSERT_TRUE(cluster.Knows(viewer, number));
      EXPECT_EQ(cluster.StateAt(viewer, number), MemberState::kAlive);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, SpoiledMessages, ::testing::Range<std::uint64_t>(0, 20));

RC_GTEST_PROP(MembershipInputProperty, SurvivesRandomBytes, (const std::string& bytes)) {
  Membership machine = Machine();
  machine.OnDatagram(kNow, kFrom, bytes);
  Result<std::string> reply;
  machine.OnPushPull(kNow, bytes, reply);
  RC_ASSERT(!reply);
  machine.OnPushPullReply(kNow, kFrom, bytes);
  RC_ASSERT(machine.state().members.size() == 1U);
}

}  // namespace
}  // namespace gyre
