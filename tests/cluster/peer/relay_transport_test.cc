#include "peer/relay_transport.h"

#include <gtest/gtest.h>

#include "cluster/data_fixture.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RelayTest : public DataTest {
 protected:
  RelayTest()
      : relay(
            n(0).id, n(0).transport, n(0).views, [this] { return world.now(); },
            [this](const NodeId& id) { broken.push_back(id); }) {
    MakeOwner({1, 2});
    for (auto& node : nodes) node->service->RelayThrough(node->transport);
  }

  // How many of `count` requests to node 1 were answered, 100 ms apart.
  int Ask(int count) {
    wire::PeerRequest request;
    request.mutable_digests()->add_partitions(3);
    auto answered = std::make_shared<int>(0);
    for (int i = 0; i < count; ++i) {
      relay.Call(
          n(1).id, FrameType::kPeerRequest, request.SerializeAsString(), seconds(2),
          [this, answered](Result<std::string_view> bytes) {
            if (!bytes) {
              last_error = bytes.error();
              return;
            }
            wire::PeerReply reply;
            ASSERT_TRUE(reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())));
            EXPECT_EQ(reply.digests().digests_size(), 1);
            ++*answered;
          });
      world.Run(milliseconds(100));
    }
    return *answered;
  }

  RelayTransport relay;
  std::vector<NodeId> broken;  // as it was told
  Error last_error;
};

TEST_F(RelayTest, AWholeLinkIsUsedDirectly) {
  EXPECT_EQ(Ask(10), 10);
  EXPECT_EQ(relay.stats().calls, 0U);
  EXPECT_EQ(relay.stats().breaks, 0U);
}

TEST_F(RelayTest, ASilentLinkEndsItsRequestsEarlyAndIsGoneRound) {
  EXPECT_EQ(Ask(1), 1);
  world.Cut(1, 0);  // one way: requests arrive, replies do not
  EXPECT_EQ(Ask(5), 0);
  world.Run(milliseconds(300));
  EXPECT_EQ(last_error.code, ErrorCode::kTimeout) << "well before its deadline";
  EXPECT_EQ(relay.stats().links_relayed, 1U);
  EXPECT_EQ(broken, std::vector{n(1).id});
  EXPECT_EQ(Ask(20), 20);
  EXPECT_EQ(relay.stats().calls, 20U);
}

TEST_F(RelayTest, AHealedLinkIsFoundAgain) {
  world.CutBoth(0, 1);
  Ask(10);
  ASSERT_EQ(relay.stats().links_relayed, 1U);
  world.Heal();
  world.Run(RelayTransport::kProbeMax + seconds(1));
  EXPECT_EQ(relay.stats().links_relayed, 0U);
  const std::uint64_t calls = relay.stats().calls;
  EXPECT_EQ(Ask(5), 5);
  EXPECT_EQ(relay.stats().calls, calls);
}

TEST_F(RelayTest, ACommandKeepsItsDeadline) {
  world.CutBoth(0, 1);
  std::optional<Error> error;
  relay.Call(n(1).id, FrameType::kRequest, "x", seconds(2), [&](Result<std::string_view> reply) {
    if (!reply) error = reply.error();
  });
  world.Run(milliseconds(1900));
  EXPECT_FALSE(error) << "its outcome is its sender's matter";
  EXPECT_EQ(relay.stats().links_relayed, 1U);
  world.Run(milliseconds(200));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::kTimeout);
}

TEST_F(RelayTest, NothingIsRelayedToWhoDoesNotServeNorThroughABrokenLink) {
  world.CutBoth(0, 1);
  world.CutBoth(0, 2);
  Ask(10);
  PublishViews({MemberState::kAlive, MemberState::kDead, MemberState::kAlive});
  const std::uint64_t calls = relay.stats().calls;
  EXPECT_EQ(Ask(3), 0);
  EXPECT_EQ(relay.stats().calls, calls);
}

TEST_F(RelayTest, AWriteIsAcknowledgedRoundACutLink) {
  ReplicatorOptions options;
  ReplicatorImpl replicator(options, *n(0).engine, *n(0).table, n(0).views, relay,
                            [this] { return world.now(); });
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(0).SetTargets(partition, {{n(1).id, 1, ReplicaSet::Standing::kGossip, true}});
  }
  world.Cut(0, 1);
  std::optional<Status> status;
  Replicator::Ticket ticket = 0;
  {
    const Key key = n(0).engine->KeyOf("k");
    Shard& shard = n(0).engine->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    const auto stored =
        shard.Store(key, "v", kNeverExpires, 0, shard.NextVersion(world.unix_now()));
    ticket = replicator.SubmitOne(Effect::Put(key, *stored));
  }
  replicator.Await(ticket, 2, [&status](Status outcome) { status = std::move(outcome); });
  replicator.Flush();
  world.Run(milliseconds(1000));
  ASSERT_TRUE(status);
  EXPECT_TRUE(*status);
  EXPECT_EQ(n(1).Read("k"), "v");
}

class RelayRequests : public DataTest {
 protected:
  wire::PeerReply Relay(const std::string& to, std::uint32_t type) {
    wire::PeerRequest request;
    request.mutable_relay()->set_to(to);
    request.mutable_relay()->set_type(type);
    request.mutable_relay()->set_deadline_ms(1000);
    wire::PeerReply reply;
    n(0).service->Handle(request.SerializeAsString(), [&reply](const std::string& bytes) {
      EXPECT_TRUE(reply.ParseFromString(bytes));
    });
    world.Run(seconds(2));
    return reply;
  }
};

TEST_F(RelayRequests, ThoseThatMakeNoSenseAreRefused) {
  n(0).service->RelayThrough(n(0).transport);
  const std::string one(n(1).id.raw());
  const std::string self(n(0).id.raw());
  EXPECT_TRUE(Relay("short", 3).has_error());
  EXPECT_TRUE(Relay(std::string(16, 'x'), 3).has_error()) << "nobody's id";
  EXPECT_TRUE(Relay(self, 3).has_error());
  EXPECT_TRUE(Relay(one, 4).has_error()) << "a reply is no call";
  EXPECT_TRUE(Relay(one, 77).has_error());
  EXPECT_TRUE(Relay(one, 3).has_relay()) << "an empty peer request is answered, with an error";
}

TEST_F(RelayRequests, ANodeWithoutLinksOfItsOwnRelaysNothing) {
  const wire::PeerReply reply = Relay(std::string(n(1).id.raw()), 3);
  EXPECT_EQ(reply.error().code(), static_cast<std::uint32_t>(ErrorCode::kUnavailable));
}

}  // namespace
}  // namespace gyre
