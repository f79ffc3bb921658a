#include "control/peer_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cluster/data_fixture.h"
#include "peer/effect_codec.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"
#include "support/colliding_keys.h"
#include "support/key_hashes.h"

namespace gyre {
namespace {

class PeerServiceTest : public DataTest {
 protected:
  wire::PeerReply Ask(const std::string& payload) {
    wire::PeerReply reply;
    int answers = 0;
    n(0).service->Handle(payload, [&](const std::string& bytes) {
      ++answers;
      EXPECT_TRUE(reply.ParseFromString(bytes));
    });
    EXPECT_EQ(answers, 1);
    return reply;
  }
  wire::PeerReply Ask(const wire::PeerRequest& request) { return Ask(request.SerializeAsString()); }

  void MakeReplica() {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(0).SetRole(partition, Role::kReplica);
    }
  }

  wire::Mutation& Add(wire::PeerRequest& request, const std::string& key) {
    wire::Mutation& mutation = *request.mutable_replicate()->add_mutations();
    mutation.set_partition(n(0).engine->KeyOf(key).partition);
    mutation.set_key(key);
    mutation.set_value("v");
    mutation.set_version(std::uint64_t{1} << 60);
    return mutation;
  }
};

TEST_F(PeerServiceTest, GeneratedAndHandWrittenMessagesAreTheSame) {
  MakeOwner({});
  n(0).SetTargets(0, {});
  const Key key = n(0).engine->KeyOf("key");
  std::string payload;
  BeginReplicate(payload);
  {
    Shard& shard = n(0).engine->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    const auto record = shard.Store(key, std::string(100'000, 'v'), world.unix_now() + 5000, 99,
                                    shard.NextVersion(world.unix_now()));
    ASSERT_TRUE(record);
    AppendMutation(key.partition, *record, payload);
    AppendFlush(key.partition, 7, payload);
  }
  SealReplicate(payload);
  wire::PeerRequest request;
  ASSERT_TRUE(request.ParseFromString(payload));
  ASSERT_EQ(request.replicate().mutations_size(), 1);
  const wire::Mutation& mutation = request.replicate().mutations(0);
  EXPECT_EQ(mutation.partition(), key.partition);
  EXPECT_EQ(mutation.key(), "key");
  EXPECT_EQ(mutation.value(), std::string(100'000, 'v'));
  EXPECT_EQ(mutation.flags(), 99U);
  EXPECT_EQ(mutation.expiry_ms(), world.unix_now() + 5000);
  EXPECT_FALSE(mutation.tombstone());
  ASSERT_EQ(request.replicate().flushes_size(), 1);
  EXPECT_EQ(request.replicate().flushes(0).version(), 7U);

  const auto decoded = DecodeMutation(mutation.SerializeAsString());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->version, mutation.version());
  EXPECT_EQ(decoded->flags, 99U);
}

TEST_F(PeerServiceTest, AnOwnerTakesNoOthersWord) {
  for (Role role : {Role::kOwner, Role::kRecovering}) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(0).SetRole(partition, role);
    }
    wire::PeerRequest request;
    Add(request, "k");
    EXPECT_THAT(Ask(request).replicate().refused(),
                testing::ElementsAre(n(0).engine->KeyOf("k").partition));
    EXPECT_EQ(n(0).Read("k"), "-");
  }
}

TEST_F(PeerServiceTest, MutationsApplyWhereAnotherMayOwn) {
  for (Role role : {Role::kWarming, Role::kReplica, Role::kHandingOver}) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(0).SetRole(partition, role);
    }
    wire::PeerRequest request;
    const std::string key = "k" + std::to_string(static_cast<int>(role));
    Add(request, key);
    const wire::PeerReply reply = Ask(request);
    EXPECT_TRUE(reply.has_replicate());
    EXPECT_EQ(reply.replicate().refused_size(), 0);
    EXPECT_EQ(n(0).Read(key), "v");
  }
}

TEST_F(PeerServiceTest, WhatIsAbsentIsRefusedAndTheRestApplied) {
  n(0).SetRole(n(0).engine->KeyOf("here").partition, Role::kReplica);
  wire::PeerRequest request;
  Add(request, "here");
  std::string away = "away";
  while (n(0).engine->KeyOf(away).partition == n(0).engine->KeyOf("here").partition) away += "x";
  Add(request, away);
  const wire::PeerReply reply = Ask(request);
  EXPECT_THAT(reply.replicate().refused(),
              testing::ElementsAre(n(0).engine->KeyOf(away).partition));
  EXPECT_EQ(n(0).Read("here"), "v");
}

TEST_F(PeerServiceTest, AMutationThatCannotBeStoredIsNamed) {
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(0).SetRole(partition, Role::kReplica);
  }
  wire::PeerRequest request;
  Add(request, "a");
  Add(request, "b").set_value(std::string((std::size_t{1} << 20) + 1, 'x'));  // over --max-value
  const wire::PeerReply reply = Ask(request);
  EXPECT_THAT(reply.replicate().failed(), testing::ElementsAre(1U));
  EXPECT_EQ(n(0).Read("a"), "v");
}

// 1 ms beyond what is believed; 4096 counts and 256 nodes a millisecond.
Version AheadBy(UnixMillis ms) { return static_cast<Version>(ms) << 20; }

TEST_F(PeerServiceTest, AVersionOfAnotherCenturyIsRefusedAndTheClockStays) {
  MakeReplica();
  const UnixMillis now = world.unix_now();
  for (const Version version : {AheadBy(now + kAheadMaxMs + 1),
                                AheadBy(253'402'300'799'000) /* the year 9999 */, ~Version{0}}) {
    wire::PeerRequest request;
    Add(request, "future").set_version(version);
    Add(request, "present");
    const wire::PeerReply reply = Ask(request);
    EXPECT_THAT(reply.replicate().failed(), testing::ElementsAre(0U));
  }
  EXPECT_EQ(n(0).Read("future"), "-");
  EXPECT_EQ(n(0).Read("present"), "v");
  EXPECT_EQ(n(0).service->stats().versions_refused, 3U);
  const PartitionId partition = n(0).engine->KeyOf("future").partition;
  Shard& shard = n(0).engine->ShardOf(partition);
  MutexLock lock(shard.mutex());
  EXPECT_EQ(MillisOf(shard.NextVersion(now)), now);
}

TEST_F(PeerServiceTest, AClockThatIsDaysAheadIsAbsorbed) {
  MakeReplica();
  wire::PeerRequest request;
  Add(request, "k").set_version(AheadBy(world.unix_now() + kAheadMaxMs));
  EXPECT_EQ(Ask(request).replicate().failed_size(), 0);
  EXPECT_EQ(n(0).Read("k"), "v");
  n(0).Write("k", "newer");
  EXPECT_EQ(n(0).Read("k"), "newer");
  EXPECT_EQ(n(0).service->stats().versions_refused, 0U);
}

TEST_F(PeerServiceTest, AFlushOfAnotherCenturyEmptiesNothing) {
  MakeReplica();
  n(0).Write("k", "v");
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  wire::PeerRequest request;
  wire::Flush& flush = *request.mutable_replicate()->add_flushes();
  flush.set_partition(partition);
  flush.set_version(~Version{0});
  EXPECT_THAT(Ask(request).replicate().refused(), testing::ElementsAre(partition));
  EXPECT_EQ(n(0).Read("k"), "v");
  n(0).Write("k", "later");
  EXPECT_EQ(n(0).Read("k"), "later");
}

TEST_F(PeerServiceTest, APartitionThatIsAskedAboutOftenIsAnsweredOnce) {
  MakeOwner({});
  wire::PeerRequest request;
  for (int i = 0; i < 100'000; ++i) request.mutable_digests()->add_partitions(i % 2);
  EXPECT_EQ(Ask(request).digests().digests_size(), 2);
}

TEST_F(PeerServiceTest, NonsenseGetsAnErrorNotACrash) {
  MakeOwner({});
  wire::PeerRequest good;
  Add(good, "k");
  const std::string bytes = good.SerializeAsString();
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    int answers = 0;
    n(0).service->Handle(bytes.substr(0, cut), [&](const std::string&) { ++answers; });
    ASSERT_EQ(answers, 1) << cut;
  }
  Prng random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string noise = bytes;
    for (int flips = 0; flips < 3; ++flips) {
      noise[random.Below(noise.size())] = static_cast<char>(random.Below(256));
    }
    int answers = 0;
    n(0).service->Handle(noise, [&](const std::string&) { ++answers; });
    ASSERT_EQ(answers, 1);
  }
  wire::PeerRequest wrong;
  Add(wrong, "k").set_partition(kPartitions);
  EXPECT_TRUE(Ask(wrong).has_error());
  wire::PeerRequest pull;
  pull.mutable_pull()->set_partition(0);
  EXPECT_TRUE(Ask(pull).has_error()) << "a pull without a sender";
  EXPECT_GE(n(0).service->stats().requests_malformed, 2U);
}

TEST_F(PeerServiceTest, DigestsAndVersionsTellWhatIsThere) {
  MakeOwner({});
  n(0).Write("k", "v");
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  wire::PeerRequest request;
  request.mutable_digests()->add_partitions(partition);
  request.mutable_digests()->add_partitions(kPartitions + 5);
  wire::PeerReply reply = Ask(request);
  ASSERT_EQ(reply.digests().digests_size(), 1);
  EXPECT_TRUE(reply.digests().digests(0).complete());
  EXPECT_NE(reply.digests().digests(0).digest(), 0U);
  request.Clear();
  request.mutable_versions()->set_partition(partition);
  reply = Ask(request);
  ASSERT_EQ(reply.versions().key_hashes_size(), 1);
  EXPECT_EQ(reply.versions().key_hashes(0), KeyHash::Plain()("k"));
  EXPECT_TRUE(reply.versions().done());
  request.Clear();
  request.mutable_fetch()->set_partition(partition);
  request.mutable_fetch()->add_key_hashes(KeyHash::Plain()("k"));
  reply = Ask(request);
  ASSERT_EQ(reply.pull().mutations_size(), 1);
  EXPECT_EQ(reply.pull().mutations(0).key(), "k");
}

// Positions and hashes of another secret than the copy's are refused, and what is told says of which it is.
TEST_F(PeerServiceTest, PlacesInTheOrderOfAnotherSecretAreRefused) {
  MakeOwner({});
  const std::uint64_t tag = TestKeyHash(1)->id().tag;
  ASSERT_TRUE(n(0).engine->UseKeyHash(TestKeyHash(1)));
  n(0).Write("k", "v");
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  wire::PeerRequest request;
  request.mutable_digests()->add_partitions(partition);
  EXPECT_EQ(Ask(request).digests().digests(0).key_hash(), tag);
  request.mutable_versions()->set_partition(partition);
  const wire::PeerReply versions = Ask(request);
  EXPECT_EQ(versions.versions().key_hash(), tag);
  ASSERT_EQ(versions.versions().key_hashes_size(), 1);
  EXPECT_EQ(versions.versions().key_hashes(0), (*TestKeyHash(1))("k"));

  wire::Fetch& fetch = *request.mutable_fetch();
  fetch.set_partition(partition);
  fetch.add_key_hashes(versions.versions().key_hashes(0));
  EXPECT_TRUE(Ask(request).pull().refused());
  request.mutable_fetch()->set_key_hash(tag);
  EXPECT_EQ(Ask(request).pull().mutations_size(), 1);

  wire::Pull& pull = *request.mutable_pull();
  pull.set_from(std::string(n(1).id.raw()));
  pull.set_partition(partition);
  EXPECT_EQ(Ask(request).pull().key_hash(), tag) << "the first page needs no place";
  request.mutable_pull()->set_cursor(1);
  EXPECT_TRUE(Ask(request).pull().refused());
  request.mutable_pull()->set_key_hash(tag);
  EXPECT_FALSE(Ask(request).pull().refused());
}

TEST_F(PeerServiceTest, DecisionsGoToTheControlThread) {
  wire::PeerRequest request;
  request.mutable_handover()->add_partitions(1);
  n(0).service->Handle(request.SerializeAsString(), [](const std::string&) {});
  request.Clear();
  request.mutable_push_pull();
  n(0).service->Handle(request.SerializeAsString(), [](const std::string&) {});
  EXPECT_EQ(n(0).control.handled.size(), 2U);
}

// Megabytes of one hash come in pages like all others.
TEST_F(PeerServiceTest, APageIsBoundedInsideAHash) {
  MakeOwner({});
  constexpr std::uint32_t kKeys = 40;
  constexpr std::size_t kValueBytes = 50'000;
  for (std::uint32_t i = 0; i < kKeys; ++i) {
    n(0).Write(CollidingKey(i), std::string(kValueBytes, 'v'));
  }
  std::set<std::string> keys;
  wire::PeerRequest request;
  wire::Pull& pull = *request.mutable_pull();
  pull.set_from(std::string(n(1).id.raw()));
  pull.set_partition(n(0).engine->KeyOf(CollidingKey(0)).partition);
  pull.set_bytes_max(2 * kValueBytes);
  for (bool done = false; !done;) {
    const wire::PeerReply reply = Ask(request);
    ASSERT_FALSE(reply.pull().refused());
    ASSERT_LE(reply.ByteSizeLong(), 5 * kValueBytes);
    for (const wire::Mutation& each : reply.pull().mutations()) keys.insert(each.key());
    pull.set_cursor(reply.pull().next_cursor());
    pull.set_cursor_within(reply.pull().next_within());
    done = reply.pull().done();
  }
  EXPECT_EQ(keys.size(), kKeys);
}

}  // namespace
}  // namespace gyre
