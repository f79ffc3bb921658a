// What its owner evicts, and what expires there, goes at the copies, in the order of the stream.
#include <gtest/gtest.h>

#include <string>

#include "cluster/data_fixture.h"
#include "peer/effect_codec.h"
#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"
#include "replication/eviction_teller.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TellingTest : public DataTest {
 protected:
  TellingTest() : teller_(*n(0).engine, *n(0).table, *n(0).replicator) {
    for (const auto& node : nodes) Tick(*node);
  }

  // As the background thread does.
  void Tick(DataNode& node) {
    for (std::uint32_t i = 0; i < node.engine->shard_count(); ++i) {
      Shard& shard = node.engine->shard(i);
      MutexLock lock(shard.mutex());
      shard.Tick(world.unix_now(), 1000);
      if (node.index == 0 && tells_) teller_.Tell(i, shard, world.now());
    }
    if (node.index == 0) node.replicator->Flush();
    node.transport.After(milliseconds(20), [this, &node] { Tick(node); });
  }
  RecordView Peek(std::size_t node, const std::string& key) {
    const Key k = n(node).engine->KeyOf(key);
    MutexLock lock(n(node).engine->ShardOf(k.partition).mutex());
    return n(node).engine->ShardOf(k.partition).Peek(k);
  }
  void WriteExpiring(const std::string& key, UnixMillis ttl) {
    const Key k = n(0).engine->KeyOf(key);
    Shard& shard = n(0).engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    const auto stored =
        shard.Store(k, "v", world.unix_now() + ttl, 0, shard.NextVersion(world.unix_now()));
    ASSERT_TRUE(stored);
    n(0).replicator->SubmitOne(Effect::Put(k, *stored));
  }
  // Of node 0: so much that its memory, 8 MiB, does not hold it.
  void WriteMuch(const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) {
      n(0).Write(prefix + std::to_string(i), std::string(1000, 'v'));
      if (i % 20 != 0) continue;
      n(0).replicator->Flush();
      world.Run(milliseconds(1));
    }
    n(0).replicator->Flush();
  }
  ShardStats Stats(std::size_t node) { return n(node).engine->stats(); }

  EvictionTeller teller_;
  bool tells_ = true;
};

TEST_F(TellingTest, WhatTheOwnerEvictedIsGoneAtTheCopies) {
  MakeOwner({1, 2});
  WriteMuch("k", 15'000);
  world.Run(seconds(1));
  ASSERT_GT(Stats(0).evicted, 5000u);
  EXPECT_EQ(Stats(0).evictions_untold, 0u);
  for (std::size_t node : {1U, 2U}) {
    int more = 0;
    for (int i = 0; i < 15'000; ++i) {
      const std::string key = "k" + std::to_string(i);
      if (n(0).Read(key) == "-" && n(node).Read(key) != "-") ++more;
    }
    EXPECT_EQ(more, 0) << node;
    EXPECT_GT(Stats(node).evicted_by_owner, 1000u) << node;
  }
}

TEST_F(TellingTest, WhatWasWrittenAgainStays) {
  MakeOwner({1});
  n(0).Write("k", "old");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  const Key key = n(0).engine->KeyOf("k");
  std::string group;
  const EvictedRecord evicted{key.hash, Peek(0, "k").version()};
  n(0).Write("k", "new");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  // Told late, as by a copy that is filled.
  n(1).SetRole(key.partition, Role::kWarming);
  AppendEvictions({&evicted, 1}, 0, group);
  std::string payload;
  BeginReplicate(payload, BatchForm::kGroups);
  AppendGroup({key.partition, {std::uint64_t{1} << 60, 2}, {}, group}, payload);
  SealReplicate(payload, BatchForm::kGroups);
  n(1).service->Handle(payload, [](const std::string&) {});
  EXPECT_EQ(n(1).Read("k"), "new");
}

// By a group without effects, which waits for a write that may take it along.
TEST_F(TellingTest, WhereNobodyWritesItIsToldSoon) {
  MakeOwner({1});
  WriteExpiring("k", 500);
  n(0).replicator->Flush();
  world.Run(milliseconds(100));
  ASSERT_TRUE(Peek(1, "k"));
  world.Run(seconds(1));
  EXPECT_FALSE(Peek(0, "k") && !Peek(0, "k").is_tombstone());
  EXPECT_FALSE(Peek(1, "k") && !Peek(1, "k").is_tombstone());
}

TEST_F(TellingTest, WithoutACopyOrAnOrderNothingIsKept) {
  MakeOwner({1});
  n(0).table->ordered = false;
  WriteMuch("k", 12'000);
  world.Run(seconds(1));
  ASSERT_GT(Stats(0).evicted, 0u);
  for (PartitionId p = 0; p < kPartitions; ++p) {
    MutexLock lock(n(0).engine->ShardOf(p).mutex());
    EXPECT_FALSE(n(0).engine->ShardOf(p).info(p).has_evicted) << p;
  }
}

TEST_F(TellingTest, GeneratedAndHandWrittenEvictionsAreTheSame) {
  const std::vector<EvictedRecord> evicted = {{11, 1, false}, {22, 2, true}, {33, 3, false}};
  std::string bytes;
  AppendEvictions(evicted, 99, bytes);
  AppendForgotten(7, bytes);
  wire::Replicate message;
  ASSERT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.evictions().key_hash(), 99u);
  EXPECT_EQ(message.evictions().evicted_size(), 4);
  EXPECT_EQ(message.evictions().evicted(3), 3u);
  EXPECT_EQ(message.evictions().expired(0), 22u);
  message.mutable_evictions()->add_expired(5);  // half a record
  std::vector<DecodedEffect> effects;
  GroupNotes notes;
  ASSERT_TRUE(DecodeEffects(0, message.SerializeAsString(), effects, &notes));
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(notes.forgotten, 7u);
  EXPECT_EQ(notes.key_hash, 99u);
  ASSERT_EQ(notes.evicted.size(), 3u);
  EXPECT_EQ(notes.evicted[1].hash, 33u);
  EXPECT_TRUE(notes.evicted[2].expired);
  ASSERT_TRUE(DecodeEffects(0, "", effects, &notes));
  EXPECT_TRUE(notes.evicted.empty());
}

}  // namespace
}  // namespace gyre
