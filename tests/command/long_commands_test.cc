// Commands of very many keys: in steps, and one step for others.
#include "command/long_commands.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command/key_claims.h"
#include "command/test_cluster.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kKeys = 3000;

// A node that has all keys. Its steps read the clock before they begin: there others may act.
class LongCommandsTest : public ::testing::Test {
 protected:
  TestNode& node() { return cluster_.node(0); }
  std::shared_ptr<TestSlot> Start(std::vector<std::string> words, std::uint32_t deadline_ms = 0,
                                  std::uint32_t acks = 0) {
    words_.push_back(std::move(words));
    Request request;
    request.args.assign(words_.back().begin(), words_.back().end());
    request.deadline_ms = deadline_ms;
    request.write_acks = acks;
    return node().Start(request, node().client);
  }
  std::string Run(const std::string& line) {
    return TextOf(cluster_.RunAs(0, node().client, Words(line)));
  }
  std::string End(const std::shared_ptr<TestSlot>& slot) {
    while (!slot->finished() && cluster_.time.Step()) {
    }
    return slot->finished() ? TextOf(slot->reply()) : "no reply";
  }
  // `act` is called with 0, 1, ... whenever the clock is read from now on, but by what it does.
  void Meanwhile(std::function<void(int)> act) {
    node().on_clock_read = [this, act = std::move(act), at = 0, inside = false]() mutable {
      if (inside) return;
      inside = true;
      act(at++);
      inside = false;
    };
  }
  bool AnythingClaimed() {
    for (PartitionId partition = 0; partition < TestCluster::kPartitions; ++partition) {
      Shard& shard = node().engine->ShardOf(partition);
      MutexLock lock(shard.mutex());
      if (shard.claims().Any(partition) || shard.info(partition).claimed) return true;
      if (shard.claims().key_count() != 0) return true;
    }
    return false;
  }
  std::uint32_t InFlight() {
    std::uint32_t sum = 0;
    for (const auto& each : node().replication.in_flight) sum += each.load();
    return sum;
  }
  // "MSETNX" and its kin: with a prefix that has a hash tag they are of one partition.
  static std::vector<std::string> Pairs(const std::string& command, const std::string& prefix,
                                        const std::string& value = "v", int count = kKeys) {
    std::vector<std::string> words = {command};
    for (int i = 0; i < count; ++i) {
      words.insert(words.end(), {prefix + std::to_string(i), value});
    }
    return words;
  }
  static std::vector<std::string> Names(const std::string& command, const std::string& prefix) {
    std::vector<std::string> words = {command};
    for (int i = 0; i < kKeys; ++i) words.push_back(prefix + std::to_string(i));
    return words;
  }
  static std::string Last(const std::string& prefix) { return prefix + std::to_string(kKeys - 1); }

  std::deque<std::vector<std::string>> words_;
  TestCluster cluster_{1};
};

class OnPrefix : public LongCommandsTest, public ::testing::WithParamInterface<const char*> {};

// Many partitions, whose keys are claimed, and one, which is claimed as a whole.
INSTANTIATE_TEST_SUITE_P(Keys, OnPrefix, ::testing::Values("k", "{tag}"));

TEST_P(OnPrefix, OthersSeeAllOfItOrNothing) {
  const std::string prefix = GetParam();
  std::vector<std::shared_ptr<TestSlot>> reads;
  bool claimed = false;
  Meanwhile([&](int) {
    claimed = claimed || AnythingClaimed();
    if (reads.size() < 200) reads.push_back(Start({"MGET", prefix + "0", Last(prefix)}));
  });
  EXPECT_EQ(End(Start(Pairs("MSETNX", prefix))), "1");
  node().on_clock_read = nullptr;
  EXPECT_TRUE(claimed);
  int before = 0;
  int after = 0;
  for (const auto& read : reads) {
    const std::string seen = End(read);
    before += seen == "[nil, nil]" ? 1 : 0;
    after += seen == "[\"v\", \"v\"]" ? 1 : 0;
  }
  EXPECT_EQ(before + after, static_cast<int>(reads.size()));
  EXPECT_GT(after, 0);
  EXPECT_FALSE(AnythingClaimed());
  EXPECT_EQ(InFlight(), 0U);
}

TEST_P(OnPrefix, ItSaysWhatItWouldInOneStep) {
  const std::string prefix = GetParam();
  EXPECT_EQ(End(Start(Pairs("MSET", prefix, "old"))), "OK");
  EXPECT_EQ(Run("GET " + Last(prefix)), "\"old\"");
  EXPECT_EQ(End(Start(Pairs("MSETNX", prefix))), "0");
  EXPECT_EQ(Run("GET " + prefix + "0"), "\"old\"");
  EXPECT_EQ(End(Start(Names("EXISTS", prefix))), std::to_string(kKeys));
  EXPECT_EQ(Run("DEL " + prefix + "7"), "1");
  EXPECT_EQ(End(Start(Names("DEL", prefix))), std::to_string(kKeys - 1));
  EXPECT_EQ(Run("DBSIZE"), "0");
  EXPECT_EQ(Run("SET " + Last(prefix) + " taken"), "OK");
  EXPECT_EQ(End(Start(Pairs("MSETNX", prefix))), "0") << "whichever key it is";
  EXPECT_EQ(Run("DBSIZE"), "1");
  EXPECT_FALSE(AnythingClaimed());
}

TEST_F(LongCommandsTest, OfAKeyThatIsNamedTwiceTheLastValueStays) {
  std::vector<std::string> words = Pairs("MSET", "k");
  words.insert(words.begin() + 1, {"k5", "first"});
  words.insert(words.end(), {"k5", "last"});
  EXPECT_EQ(End(Start(words)), "OK");
  EXPECT_EQ(Run("GET k5"), "\"last\"");
  std::vector<std::string> wrong = Pairs("MSET", "k");
  wrong.pop_back();
  EXPECT_NE(End(Start(wrong)).find("wrong number of arguments"), std::string::npos);
}

TEST_F(LongCommandsTest, AnothersClaimIsWaitedForUntilTheDeadline) {
  const Key key = node().engine->KeyOf("k2000");
  auto other = std::make_unique<KeyClaims>(*node().engine, node().replication, ClaimMode::kShared);
  {
    MutexLock lock(node().engine->ShardOf(key.partition).mutex());
    EXPECT_TRUE(other->Take(Claim::OfKey(key)));
  }
  const auto late = Start(Pairs("MSETNX", "k"), 50);
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(late->finished());
  EXPECT_EQ(late->reply().error, ErrorCode::kTimeout) << TextOf(late->reply());
  EXPECT_EQ(Run("DBSIZE"), "0") << "nothing was written";

  EXPECT_EQ(Run("GET k2000"), "nil") << "the other claim is of one who reads";
  const auto patient = Start(Pairs("MSETNX", "k"));
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(patient->finished());
  other.reset();
  EXPECT_EQ(End(patient), "1");
  EXPECT_FALSE(AnythingClaimed());
}

TEST_F(LongCommandsTest, WhoWaitsForAClaimKeepsItsPlaceForAllItsKeys) {
  const std::string a = cluster_.KeyIn(1);
  const std::string b = cluster_.KeyIn(2);
  auto other =
      std::make_unique<KeyClaims>(*node().engine, node().replication, ClaimMode::kExclusive);
  {
    MutexLock lock(node().engine->ShardOf(2).mutex());
    EXPECT_TRUE(other->Take(Claim::OfKey(node().engine->KeyOf(b))));
  }
  const auto first = Start({"MSET", a, "1", b, "1"});
  const auto second = Start({"MGET", a, b});
  const auto third = Start({"SET", a, "2"});
  const auto late = Start({"MSET", a, "3", b, "3"}, 20);
  EXPECT_EQ(Run("SET " + cluster_.KeyIn(3) + " v"), "OK") << "others go on";
  cluster_.time.Advance(milliseconds(100));
  EXPECT_EQ(late->reply().error, ErrorCode::kTimeout) << TextOf(late->reply());
  for (const auto& slot : {first, second, third}) EXPECT_FALSE(slot->finished());
  const RouterStats stats = node().dispatcher().router_stats();
  EXPECT_EQ(stats.waited_for_claims, 3u) << "the first, the second and the late one";
  EXPECT_EQ(stats.waited_for_owner, 1u) << "the third, behind the first";
  EXPECT_TRUE(node().replicator.sent.size() == 1U) << "of none is a part written";
  other.reset();
  EXPECT_EQ(End(first), "OK");
  EXPECT_EQ(End(second), "[\"1\", \"1\"]");
  EXPECT_EQ(End(third), "OK");
  EXPECT_EQ(Run("MGET " + a + " " + b), "[\"2\", \"1\"]");
}

TEST_F(LongCommandsTest, TwoOnTheSameKeysComeOneAfterTheOther) {
  std::vector<std::string> backwards = {"MSETNX"};
  for (int i = kKeys - 1; i >= 0; --i) {
    backwards.insert(backwards.end(), {"k" + std::to_string(i), "b"});
  }
  const auto a = Start(Pairs("MSETNX", "k", "a"));
  const auto b = Start(backwards);
  const std::string first = End(a);
  const std::string second = End(b);
  EXPECT_EQ(std::stoi(first) + std::stoi(second), 1);
  const std::string winner = first == "1" ? "\"a\"" : "\"b\"";
  EXPECT_EQ(Run("GET k0"), winner);
  EXPECT_EQ(Run("GET " + Last("k")), winner);
}

// ---- When the node may no longer act ------------------------------------------------------------

// The point of the run at which something is written and something is not.
class HalfWritten : public LongCommandsTest {
 protected:
  // Calls `act` there, once.
  void AtHalf(std::function<void()> act) {
    Meanwhile([this, act = std::move(act)](int) {
      const std::size_t sent = node().replicator.sent.size();
      if (sent == 0 || sent >= kKeys || done_) return;
      done_ = true;
      act();
    });
  }
  void CloseFence() {
    node().replication.fence.self().Confirm(cluster_.time.steady_now() - 2 * SelfFence::kFor);
  }
  bool done_ = false;
};

TEST_F(HalfWritten, AHandoverWaitsForIt) {
  const PartitionId partition = node().engine->KeyOf("{tag}").partition;
  AtHalf([&] {
    node().SetRole(partition, Role::kHandingOver);
    EXPECT_GT(node().replication.in_flight[partition].load(), 0U) << "it is not settled";
  });
  EXPECT_EQ(End(Start(Pairs("MSETNX", "{tag}"))), "1");
  EXPECT_TRUE(done_);
  EXPECT_EQ(node().replicator.sent.size(), static_cast<std::size_t>(kKeys));
  EXPECT_EQ(InFlight(), 0U);
  // Others are not admitted any more.
  const auto other = Start({"GET", "{tag}0"}, 50);
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(other->reply().kind, Reply::Kind::kError);
}

TEST_F(HalfWritten, ALossOfThePartitionIsAnUnknownOutcome) {
  const PartitionId partition = node().engine->KeyOf("{tag}").partition;
  AtHalf([&] { node().SetRole(partition, Role::kReplica); });
  const std::string reply = End(Start(Pairs("MSETNX", "{tag}")));
  EXPECT_TRUE(done_);
  EXPECT_TRUE(reply.starts_with("unknown_outcome: some of the keys were written")) << reply;
  EXPECT_FALSE(AnythingClaimed());
  EXPECT_EQ(InFlight(), 0U);
}

TEST_F(HalfWritten, ADeathThatOthersDeclaredIsAnUnknownOutcome) {
  AtHalf([&] { node().replication.fence.self().Overrule(); });
  const std::string reply = End(Start(Pairs("MSETNX", "k")));
  EXPECT_TRUE(done_);
  EXPECT_TRUE(reply.starts_with("unknown_outcome: some of the keys were written")) << reply;
  EXPECT_FALSE(AnythingClaimed());
}

// Its client knows no other node, and nothing was written.
TEST_F(HalfWritten, ADeathBeforeItBeganIsADelay) {
  CloseFence();
  const auto slot = Start(Pairs("MSETNX", "k"));
  node().replication.fence.self().Overrule();
  node().replication.fence.self().Confirm(TimePoint::max());
  EXPECT_EQ(End(slot), "1");
}

TEST_F(HalfWritten, AFenceThatOpensAgainIsADelay) {
  AtHalf([&] {
    CloseFence();
    cluster_.time.After(milliseconds(300),
                        [&] { node().replication.fence.self().Confirm(TimePoint::max()); });
  });
  EXPECT_EQ(End(Start(Pairs("MSETNX", "k"))), "1");
  EXPECT_TRUE(done_);
  EXPECT_EQ(node().replicator.sent.size(), static_cast<std::size_t>(kKeys));
}

TEST_F(HalfWritten, BeyondItsDeadlineItGoesOn) {
  AtHalf([&] { cluster_.time.Advance(milliseconds(500)); });
  EXPECT_EQ(End(Start(Pairs("MSETNX", "k"), 100)), "1");
  EXPECT_TRUE(done_);
}

TEST_F(HalfWritten, CopiesThatCannotBeHadAreAnUnknownOutcome) {
  AtHalf([&] { node().replicator.check = Fail(ErrorCode::kTooFewReplicas, "only 1"); });
  EXPECT_EQ(End(Start(Pairs("MSETNX", "k"))),
            "unknown_outcome: some of the keys were written, and then: only 1");
  EXPECT_FALSE(AnythingClaimed());
}

TEST_F(HalfWritten, ADispatcherThatGoesLeavesNoClaims) {
  const auto slot = Start(Pairs("MSETNX", "k"));
  AtHalf([this] { CloseFence(); });
  while (!done_ && cluster_.time.Step()) {
  }
  EXPECT_TRUE(AnythingClaimed());
  node().on_clock_read = nullptr;
  node().Crash();
  cluster_.time.Advance(seconds(5));
  EXPECT_FALSE(AnythingClaimed());
  EXPECT_EQ(InFlight(), 0U);
  EXPECT_TRUE(slot->finished());
}

TEST_F(LongCommandsTest, EveryKeyNeedsItsCopies) {
  node().replicator.hold = true;
  const auto slot = Start(Pairs("MSET", "k"), 0, 2);
  cluster_.time.Advance(milliseconds(500));
  EXPECT_FALSE(slot->finished());
  EXPECT_FALSE(AnythingClaimed()) << "who reads meanwhile does not wait for the copies";
  EXPECT_EQ(node().replicator.sent.size(), static_cast<std::size_t>(kKeys));
  node().replicator.Release({});
  EXPECT_EQ(End(slot), "OK");

  node().replicator.hold = false;
  node().replicator.outcome = Fail(ErrorCode::kUnknownOutcome, "late");
  EXPECT_EQ(End(Start(Pairs("MSET", "k"), 0, 2)), "unknown_outcome: late");
}

TEST_F(LongCommandsTest, WithoutTheCopiesNothingIsWritten) {
  node().replicator.check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  EXPECT_EQ(End(Start(Pairs("MSETNX", "k"), 0, 2)), "too_few_replicas: only 1");
  EXPECT_TRUE(node().replicator.sent.empty());
  EXPECT_FALSE(AnythingClaimed());
}

}  // namespace
}  // namespace gyre::testing
