// What others send is not believed: malformed, foreign and spoiled messages.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "cluster/membership.h"
#include "cluster/membership_fixture.h"
#include "cluster/state_codec.h"

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

// A cluster of three whose messages are spoiled at random for a while: nobody crashes, and the
// cluster recovers.
class SpoiledMessages : public testing::TestWithParam<std::uint64_t> {};

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

INSTANTIATE_TEST_SUITE_P(, SpoiledMessages, testing::Range<std::uint64_t>(0, 20));

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
