// Transactions: what runs, what is left, what came of it.
#include "command/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "command/command_keys.h"
#include "command/command_table.h"
#include "command/test_cluster.h"

namespace gyre::testing {
namespace {

using ::testing::ElementsAre;
using Result = Executor::Result;

class ExecutorTest : public ::testing::Test {
 protected:
  ExecutorTest()
      : services_(node().services()),
        tallies_(CommandTable::Get().commands().size()),
        executor_(services_, tallies_) {}

  TestNode& node() { return cluster_.node(0); }
  FakeReplicator& replicator() { return node().replicator; }
  bool Has(const std::string& key) {
    const Key k = node().engine->KeyOf(key);
    Shard& shard = node().engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    return static_cast<bool>(shard.Find(k, cluster_.time.unix_now()));
  }

  // Runs the lines as one transaction; one line is a transaction of one command.
  Executor::Execution Run(const std::vector<std::string>& lines, std::uint32_t acks = 1) {
    std::deque<std::vector<std::string>> words;
    std::deque<std::vector<std::string_view>> args;
    std::vector<Key> keys;
    std::vector<std::size_t> ends;
    for (const std::string& line : lines) {
      words.push_back(Words(line));
      args.emplace_back(words.back().begin(), words.back().end());
      std::vector<Key> of_one;
      EXPECT_TRUE(ReadKeys(*node().engine, CommandOf(args.back()), args.back(), origin_, of_one));
      keys.insert(keys.end(), of_one.begin(), of_one.end());
      ends.push_back(keys.size());
    }
    std::vector<TransactionStep> steps;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < args.size(); ++i) {
      const Command& command = CommandOf(args[i]);
      steps.push_back(
          {command, args[i], std::span(keys).subspan(begin, ends[i] - begin), command.keys.first});
      begin = ends[i];
    }
    ReplyRecorder recorder;
    const Transaction transaction(steps, keys, origin_, acks, cluster_.time.unix_now());
    const Executor::Execution done = executor_.Run(transaction, recorder);
    if (done.result == Result::kDone || done.result == Result::kFailed) {
      reply_ = TextOf(recorder.Take());
    }
    return done;
  }
  static const Command& CommandOf(Arguments args) {
    return *CommandTable::Get().Find(args.front());
  }

  TestCluster cluster_{1};
  const Services services_;
  CommandTallies tallies_;
  Executor executor_;
  Origin origin_;
  std::string reply_;
};

TEST_F(ExecutorTest, SeveralCommandsLeaveOneGroup) {
  const Executor::Execution done =
      Run({"SET {t}a 1", "INCR {t}a", "DEL {t}b {t}c", "GET {t}a", "MSET {t}d x {t}e y"});
  EXPECT_EQ(done.result, Result::kDone);
  EXPECT_EQ(reply_, "[OK, 2, 0, \"2\", OK]");
  EXPECT_NE(done.ticket, 0U);
  EXPECT_EQ(executor_.tickets().size(), 1U);
  // What INCR left tells what SET did.
  EXPECT_THAT(replicator().groups, ElementsAre(5));
  const std::vector<FakeReplicator::Sent>& sent = replicator().sent;
  ASSERT_EQ(sent.size(), 5U);
  EXPECT_EQ(sent[0].key + "=" + sent[0].value, "{t}a=2");
  EXPECT_TRUE(sent[1].tombstone && sent[1].key == "{t}b");
  EXPECT_TRUE(sent[2].tombstone && sent[2].key == "{t}c");
  EXPECT_EQ(sent[3].key + "=" + sent[3].value, "{t}d=x");
  EXPECT_EQ(sent[4].key + "=" + sent[4].value, "{t}e=y");
}

TEST_F(ExecutorTest, AKeyThatIsSetAndRemovedIsRemoved) {
  EXPECT_EQ(Run({"SET {t}a 1", "DEL {t}a"}).result, Result::kDone);
  EXPECT_THAT(replicator().groups, ElementsAre(1));
  EXPECT_TRUE(replicator().sent[0].tombstone);
  EXPECT_EQ(Run({"DEL {t}a", "SET {t}a 2"}).result, Result::kDone);
  EXPECT_THAT(replicator().groups, ElementsAre(1, 2));
  EXPECT_EQ(replicator().sent.back().value, "2");
}

TEST_F(ExecutorTest, ACommandThatFailsIsAnElementAndTheOthersRun) {
  EXPECT_EQ(Run({"SET {t}a text", "INCR {t}a", "SET {t}b 1"}).result, Result::kDone);
  EXPECT_EQ(reply_, "[OK, wrong_type: value is not an integer or out of range, OK]");
  EXPECT_THAT(replicator().groups, ElementsAre(2));
}

TEST_F(ExecutorTest, OneCommandLeavesAGroupOnEachPartition) {
  const std::string a = cluster_.KeyIn(1);
  const std::string b = cluster_.KeyIn(2);
  const std::string a2 = cluster_.KeyIn(1, 1);
  const std::string b2 = cluster_.KeyIn(2, 1);
  EXPECT_EQ(Run({"MSET " + a + " 1 " + b + " 2 " + a2 + " 3 " + b2 + " 4"}).result, Result::kDone);
  EXPECT_EQ(reply_, "OK");
  EXPECT_THAT(replicator().groups, ElementsAre(2, 2));
  EXPECT_EQ(executor_.tickets().size(), 2U);
  EXPECT_EQ(replicator().sent[0].key, a);
  EXPECT_EQ(replicator().sent[1].key, a2);
  EXPECT_EQ(Run({"MGET " + a + " " + b}).ticket, 0U);
  EXPECT_EQ(reply_, "[\"1\", \"2\"]");
  EXPECT_EQ(replicator().groups.size(), 2U) << "who reads leaves nothing";
}

// Each key is told as it is in the end: what did not stay must not stay elsewhere either.
TEST_F(ExecutorTest, WhatATransactionPushesOutIsToldAsRemoved) {
  const std::string megabyte(std::size_t{1} << 20, 'x');
  std::vector<std::string> lines;
  for (int i = 0; i < 80; ++i) lines.push_back("SET {t}" + std::to_string(i) + " " + megabyte);
  EXPECT_EQ(Run(lines).result, Result::kDone);
  EXPECT_THAT(replicator().groups, ElementsAre(80));
  std::size_t there = 0;
  for (const FakeReplicator::Sent& one : replicator().sent) {
    EXPECT_EQ(Has(one.key), !one.tombstone) << one.key;
    EXPECT_NE(one.version, 0U);
    if (!one.tombstone) {
      ++there;
      EXPECT_EQ(one.value, megabyte);
    }
  }
  EXPECT_GT(there, 0U);
  EXPECT_LT(there, 80U) << "the node has 64 MiB";
}

TEST_F(ExecutorTest, NothingRunsWhereOneKeyIsRefused) {
  const std::string here = cluster_.KeyIn(1);
  const std::string elsewhere = cluster_.KeyIn(2);
  node().SetRole(2, Role::kReplica);
  const Executor::Execution done = Run({"MSET " + here + " 1 " + elsewhere + " 2"});
  EXPECT_EQ(done.result, Result::kRefused);
  EXPECT_EQ(done.role, Role::kReplica);
  EXPECT_FALSE(Has(here));
  EXPECT_TRUE(replicator().sent.empty());
}

TEST_F(ExecutorTest, ReadsAloneAreForReplicas) {
  node().SetRole(node().engine->KeyOf("{t}").partition, Role::kReplica);
  origin_.replica_reads = true;
  EXPECT_EQ(Run({"GET {t}a", "EXISTS {t}b {t}c"}).result, Result::kDone);
  EXPECT_EQ(reply_, "[nil, 0]");
  EXPECT_EQ(Run({"GET {t}a", "SET {t}b 1"}).result, Result::kRefused);
}

TEST_F(ExecutorTest, WithoutTheCopiesNothingIsWritten) {
  replicator().check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  EXPECT_EQ(Run({"GET {t}a", "SET {t}b 1"}, 2).result, Result::kLacking);
  EXPECT_EQ(executor_.error().message, "only 1");
  EXPECT_FALSE(Has("{t}b"));
  replicator().check = Fail(ErrorCode::kUnavailable, "being filled");
  EXPECT_EQ(Run({"SET {t}b 1"}, 2).result, Result::kRefused);
  EXPECT_EQ(Run({"GET {t}b"}, 2).result, Result::kDone) << "who reads needs no copies";
}

TEST_F(ExecutorTest, ClaimsHoldOffWhatTheyMust) {
  const Key key = node().engine->KeyOf("{t}a");
  Shard& shard = node().engine->ShardOf(key.partition);
  const auto claim = [&](ClaimMode mode) {
    MutexLock lock(shard.mutex());
    EXPECT_TRUE(shard.TakeClaim(Claim::OfKey(key), mode, 77));
  };
  const auto give_back = [&](ClaimMode mode) {
    MutexLock lock(shard.mutex());
    shard.GiveBackClaim(Claim::OfKey(key), mode, 77);
  };
  claim(ClaimMode::kExclusive);
  for (const std::string line : {"GET {t}a", "SET {t}a 1", "MGET {t}b {t}a"}) {
    EXPECT_EQ(Run({line}).result, Result::kClaimed) << line;
  }
  EXPECT_EQ(Run({"SET {t}b 1"}).result, Result::kDone);
  const std::string partition = std::to_string(key.partition);
  EXPECT_EQ(Run({"gyre.flush " + partition}).result, Result::kClaimed);
  EXPECT_EQ(Run({"gyre.count " + partition}).result, Result::kDone);
  give_back(ClaimMode::kExclusive);
  claim(ClaimMode::kShared);
  EXPECT_EQ(Run({"GET {t}a"}).result, Result::kDone);
  EXPECT_EQ(Run({"SET {t}a 1"}).result, Result::kClaimed);
  EXPECT_EQ(Run({"gyre.flush " + partition}).result, Result::kClaimed);
  give_back(ClaimMode::kShared);
  EXPECT_EQ(Run({"SET {t}a 1"}).result, Result::kDone);
}

}  // namespace
}  // namespace gyre::testing
