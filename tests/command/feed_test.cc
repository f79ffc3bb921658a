// FEED against the streams of one node of a cluster.
#include "command/feed.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "command/test_cluster.h"
#include "peer/effect_codec.h"
#include "proto/frame.h"
#include "protocol/native_codec.h"

namespace gyre::testing {
namespace {

TEST(FeedPlaceTest, IsReadAsItIsSaid) {
  for (const std::string_view text : {"0", "15", "3@0-0", "3@18446744073709551615-7"}) {
    const auto place = FeedPlace::Parse(text, 16);
    ASSERT_TRUE(place) << text;
    EXPECT_EQ(place->ToString(), text);
  }
  EXPECT_EQ(FeedPlace::Parse("3@1-2..4-5", 16)->until, (StreamPosition{4, 5}));
  for (const std::string_view text :
       {"", "16", "-1", "x", "@1-2", "3@", "3@1", "3@1-", "3@-1", "3@1-2-3", "3@1-x", "3@ 1-2",
        "3@1-2..", "3@..1-2", "3..1-2", "3@1-2..3", "3@18446744073709551616-0",
        "99999999999999999999"}) {
    EXPECT_FALSE(FeedPlace::Parse(text, 16)) << text;
  }
}

class FeedTest : public ClusterTest {
 protected:
  static constexpr PartitionId kMine = 3;  // of node 0, of three

  // In each partition the node has ordered writes before.
  FeedTest() {
    ReplicationTable& table = node().replication;
    table.ordered = true;
    for (PartitionId partition = 0; partition < TestCluster::kPartitions; ++partition) {
      Shard& shard = node().engine->ShardOf(partition);
      MutexLock lock(shard.mutex());
      if (shard.info(partition).role != Role::kOwner) continue;
      table.sets[partition].term = kTerm;
      StreamOf(partition).Open(partition, kTerm, {});
      Settle(partition);
    }
  }

  TestNode& node() { return cluster_.node(0); }
  KeptStream& StreamOf(PartitionId partition) {
    return node().replication.StreamsOf(partition).kept;
  }

  // The partition goes on with a group of these changes. "-key" removes it, "!" is a flush.
  void Append(PartitionId partition, const std::vector<std::string>& changes, bool settle = true) {
    std::string group;
    for (const std::string& change : changes) {
      ++version_;
      if (change == "!") {
        AppendFlush(partition, version_, group);
      } else if (change.front() == '-') {
        const std::string_view key = std::string_view(change).substr(1);
        AppendRemoval(Key{.bytes = key, .partition = partition}, version_, group);
      } else {
        Put(partition, change, group);
      }
    }
    MutexLock lock(node().engine->ShardOf(partition).mutex());
    KeptStream& stream = StreamOf(partition);
    stream.Append(partition, stream.last(partition).next(), group);
    if (settle) Settle(partition);
  }
  void Settle(PartitionId partition) {
    StreamOf(partition).Settle(partition, StreamOf(partition).last(partition));
    node().replication.readers.Settled(partition);
  }
  void Put(PartitionId partition, const std::string& key, std::string& group) {
    Shard& shard = node().engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    const auto record =
        shard.Store(Key{.bytes = key, .partition = partition}, "value of " + key, 0, 0, version_);
    ASSERT_TRUE(record);
    AppendMutation(partition, *record, group);
  }

  // What the connection of the feed is sent now, a line each message.
  std::vector<std::string> Drawn() {
    std::vector<std::string> lines;
    NativeCodec codec{CodecLimits{}};
    Buffer out;
    bool more = true;
    while (more) {
      ReplyWriter* const writer = codec.PushWriterFor(1, out);
      PushSink sink(*writer, out);
      more = node().subscription->Write(sink);
      codec.Recycle(writer);
    }
    for (std::string_view rest = out.view(); !rest.empty();) {
      const FrameHeader header = DecodeFrameHeader(rest.data(), rest.size()).value();
      lines.push_back(TextOf(
          DecodeReply(rest.substr(FrameHeader::kBytes, header.payload_bytes), nullptr).value()));
      rest.remove_prefix(header.frame_bytes());
    }
    return lines;
  }
  using Lines = std::vector<std::string>;

  static constexpr std::uint64_t kTerm = 100;
  Version version_ = 0;
};

TEST_F(FeedTest, SendsWhatIsSettledFromNowOn) {
  Append(kMine, {"before"});
  EXPECT_EQ(Run(0, "FEED FROM 3"), R"(["3@100-1"])");
  EXPECT_EQ(Drawn(), Lines{});
  Append(kMine, {"one"});
  Append(kMine, {"two", "-one", "three"});
  Append(kMine, {"late"}, /*settle=*/false);
  EXPECT_EQ(Drawn(), (Lines{R"(["group", "3@100-2", ["set", "one", 2]])",
                            R"(["group", "3@100-3", ["set", "two", 3], ["remove", "one", 4], )"
                            R"(["set", "three", 5]])"}));
  Settle(kMine);
  EXPECT_EQ(Drawn(), Lines{R"(["group", "3@100-4", ["set", "late", 6]])"});
  EXPECT_EQ(Drawn(), Lines{});
}

TEST_F(FeedTest, GoesOnFromAPosition) {
  for (const char* key : {"a", "b", "c"}) Append(kMine, {key});
  EXPECT_EQ(Run(0, "FEED VALUES FROM 3@100-2"), R"(["3@100-2"])");
  EXPECT_EQ(Drawn(), Lines{R"(["group", "3@100-3", ["set", "c", 3, "value of c", 0, 0]])"});
  // What it sends of one partition begins anew, that of others goes on.
  Append(0, {"zero"});
  EXPECT_EQ(Run(0, "FEED FROM 0@100-0 3@100-1"), R"(["0@100-0", "3@100-1"])");
  EXPECT_EQ(Drawn(), (Lines{R"(["group", "0@100-1", ["set", "zero", 4]])",
                            R"(["group", "3@100-2", ["set", "b", 2]])",
                            R"(["group", "3@100-3", ["set", "c", 3]])"}));
}

TEST_F(FeedTest, WithoutPlacesItIsOfAllThatIsOwned) {
  EXPECT_EQ(Run(0, "feed prefix a values"),
            R"(["0@100-0", "3@100-0", "6@100-0", "9@100-0", "12@100-0", "15@100-0"])");
  Append(15, {"ab"});
  EXPECT_EQ(Drawn(), Lines{R"(["group", "15@100-1", ["set", "ab", 1, "value of ab", 0, 0]])"});
}

TEST_F(FeedTest, APrefixLeavesOutOthersAndSaysHowFarItIs) {
  Run(0, "FEED PREFIX user: FROM 3");
  Append(kMine, {"user:1", "order:1", "-user:2"});
  Append(kMine, {"order:2"});
  Append(kMine, {"!"});
  EXPECT_EQ(Drawn(),
            (Lines{R"(["group", "3@100-1", ["set", "user:1", 1], ["remove", "user:2", 3]])",
                   R"(["group", "3@100-3", ["flush", "", 5]])"}));
  Append(kMine, {"order:3"});
  EXPECT_EQ(Drawn(), Lines{});
  cluster_.time.Advance(Feed::kLookEvery);
  EXPECT_EQ(Drawn(), Lines{R"(["at", "3@100-4"])"});
  cluster_.time.Advance(Feed::kLookEvery);
  EXPECT_EQ(Drawn(), Lines{});
}

TEST_F(FeedTest, SaysWhatIsMissing) {
  Append(kMine, {"kept"});
  {
    MutexLock lock(node().engine->ShardOf(kMine).mutex());
    StreamOf(kMine).Restart(kMine, {kTerm, 7});
  }
  Append(kMine, {"new"});
  Run(0, "FEED FROM 3@100-1");
  EXPECT_EQ(Drawn(),
            (Lines{R"(["gap", "3@100-7"])", R"(["group", "3@100-8", ["set", "new", 2]])"}));
  // Of a term that ended earlier than the reader has seen.
  {
    MutexLock lock(node().engine->ShardOf(kMine).mutex());
    StreamOf(kMine).Open(kMine, 200, {kTerm, 8});
    node().replication.sets[kMine].term = 200;
    StreamOf(kMine).Append(kMine, {200, 1}, "");
  }
  Settle(kMine);
  Run(0, "FEED FROM 3@100-9");
  EXPECT_EQ(Drawn(), (Lines{R"(["gap", "3@100-8"])"}));
  EXPECT_EQ(cluster_.node(0).dispatcher().router_stats().feed_gaps, 2U);
}

// No place in a cursor, whoever made it up, is more than a gap.
TEST_F(FeedTest, APlaceThatNeverWasIsAGap) {
  for (const char* key : {"a", "b"}) Append(kMine, {key});
  for (const char* position : {"18446744073709551615-18446744073709551615",
                               "100-18446744073709551615", "100-140737488355329", "101-0", "99-2",
                               "0-18446744073709551615", "18446744073709551615-0"}) {
    EXPECT_EQ(Run(0, std::string("FEED FROM 3@") + position),
              std::string(R"(["3@)") + position + R"("])");
    const Lines told = Drawn();
    ASSERT_FALSE(told.empty()) << position;
    EXPECT_TRUE(told[0].starts_with(R"(["gap", "3@)")) << told[0];
    EXPECT_EQ(Run(0, std::string("FEED FROM 3@100-1..") + position).substr(0, 2), "[]");
  }
}

// What it holds for settled may be so in its own eyes only.
TEST_F(FeedTest, WhoMayBeDeposedTellsNothing) {
  Run(0, "FEED FROM 3");
  // Nobody has answered for long.
  node().replication.fence.self().Confirm(cluster_.time.steady_now() - 2 * SelfFence::kFor);
  Append(kMine, {"one"});
  EXPECT_EQ(Drawn(), Lines{});
  node().replication.fence.self().Confirm(TimePoint::max());
  cluster_.time.Advance(Feed::kLookEvery);
  EXPECT_EQ(Drawn(), Lines{R"(["group", "3@100-1", ["set", "one", 1]])"});
}

// An owner that takes over does not know what was settled before: it finds out, without a write.
TEST_F(FeedTest, TellsWhatAnOwnerBeforeHadSettled) {
  Append(kMine, {"one"}, /*settle=*/false);
  node().replication.sets[kMine].CloseTerm();  // as if another had ordered it
  EXPECT_EQ(Run(0, "FEED FROM 3@100-0"), R"(["3@100-0"])");
  EXPECT_EQ(Drawn(), Lines{});
  cluster_.time.Advance(Feed::kLookEvery);
  Drawn();
  EXPECT_EQ(node().replicator.groups, std::vector<std::size_t>{0}) << "a group without a change";
  Settle(kMine);
  const Lines told = Drawn();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0], R"(["group", "3@100-1", ["set", "one", 1]])");
}

TEST_F(FeedTest, SaysAtOnceThatNobodyKeptWhatCameMeanwhile) {
  Append(kMine, {"one"});
  node().replication.sets[kMine].NoteUnordered();
  Run(0, "FEED FROM 3@100-1");
  const Lines told = Drawn();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].starts_with(R"(["gap", "3@)")) << told[0];
}

TEST_F(FeedTest, WaitsForNodesOfAnOlderRelease) {
  node().replication.ordered = false;
  EXPECT_TRUE(Run(0, "FEED").starts_with("unavailable: there is no feed while")) << Run(0, "FEED");
}

// What it ordered or copied before, for who was told a gap by the owner since.
TEST_F(FeedTest, SendsARangeThatItKeptWhoeverOwns) {
  for (const char* key : {"a", "b", "c"}) Append(kMine, {key}, /*settle=*/false);
  node().SetRole(kMine, Role::kReplica);
  EXPECT_EQ(Run(0, "FEED FROM 3@100-1"), "[]");
  EXPECT_EQ(Run(0, "FEED PREFIX b FROM 3@100-1..100-3"), R"(["3@100-1"])");
  EXPECT_EQ(Drawn(), (Lines{R"(["group", "3@100-2", ["set", "b", 2]])", R"(["at", "3@100-3"])",
                            R"(["moved", "3"])"}));
  for (const char* lacking : {"3@100-1..100-4", "3@99-1..100-3", "3@100-3..100-1"}) {
    EXPECT_EQ(Run(0, std::string("FEED FROM ") + lacking), "[]") << lacking;
  }
}

TEST_F(FeedTest, SaysThatAPartitionWent) {
  EXPECT_EQ(Run(0, "FEED FROM 3 4"), R"(["3@100-0"])") << "4 is another node's";
  node().SetRole(kMine, Role::kHandingOver);
  cluster_.time.Advance(Feed::kLookEvery);
  EXPECT_EQ(Drawn(), Lines{}) << "the handover may be refused";
  node().SetRole(kMine, Role::kReplica);
  cluster_.time.Advance(Feed::kLookEvery);
  EXPECT_EQ(Drawn(), Lines{R"(["moved", "3"])"});
  Append(kMine, {"not told"});
  EXPECT_EQ(Drawn(), Lines{});
}

TEST_F(FeedTest, OnlyKeepsAPlaceForAReaderThatIsThere) {
  EXPECT_FALSE(node().replication.readers.Reads(kMine));
  Run(0, "FEED");
  EXPECT_TRUE(node().replication.readers.Reads(kMine));
  Run(0, "UNFEED");
  EXPECT_FALSE(node().replication.readers.Reads(kMine));
  Append(kMine, {"unread"});
}

TEST_F(FeedTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(Run(0, "FEED PREFIX"), "invalid_argument: syntax error");
  EXPECT_EQ(Run(0, "FEED NONSENSE"), "invalid_argument: syntax error");
  EXPECT_TRUE(Run(0, "FEED FROM 3 16").starts_with("invalid_argument: FROM takes places"));
  EXPECT_TRUE(Run(0, "FEED FROM 3@1").starts_with("invalid_argument: FROM takes places"));
  EXPECT_EQ(node().subscription, nullptr);
  const auto reply = cluster_.RunAs(0, node().memcached_client, std::vector<std::string>{"FEED"});
  EXPECT_TRUE(TextOf(reply).starts_with("not_allowed: ")) << TextOf(reply);
  std::vector<std::unique_ptr<StreamReaders::Reader>> readers;
  while (auto reader = node().replication.readers.Join()) readers.push_back(std::move(reader));
  EXPECT_EQ(readers.size(), StreamReaders::kReadersMax);
  EXPECT_TRUE(Run(0, "FEED").starts_with("too_large: 64 connections read")) << Run(0, "FEED");
}

// A message at a time: what found no room is sent when there is some, once.
TEST_F(FeedTest, WhatFindsNoRoomComesLater) {
  Run(0, "FEED VALUES FROM 3");
  for (int i = 0; i < 20; ++i) Append(kMine, {"key" + std::to_string(i)});
  ClientMemory memory(std::size_t{1} << 20);
  ClientMemoryAccount& account = memory.account(ClientMemory::Kind::kBuffers);
  NativeCodec codec{CodecLimits{}};
  Buffer out(&account);
  ReplyWriter* const writer = codec.PushWriterFor(1, out);
  PushSink sink(*writer, out);
  std::size_t said = 0;
  const auto failing = [&](ReplyWriter&) -> void { throw ClientMemoryFull(1); };
  EXPECT_THROW(sink.Say(failing), ClientMemoryFull);
  EXPECT_EQ(out.size(), 0U);
  EXPECT_FALSE(node().subscription->Write(sink));
  said = sink.messages();
  codec.Recycle(writer);
  EXPECT_EQ(said, 20U);
}

}  // namespace
}  // namespace gyre::testing
