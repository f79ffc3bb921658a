// Commands on several keys, in a cluster of three.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "command/test_cluster.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ScatterTest : public ClusterTest {
 protected:
  std::shared_ptr<TestSlot> Start(std::size_t index, std::vector<std::string> words,
                                  std::uint32_t acks = 0) {
    Request request = RequestOf(std::move(words));
    request.write_acks = acks;
    return ClusterTest::Start(index, request);
  }
  // "MSET" with a key of each partition, valued by its number.
  std::vector<std::string> SetAll() const {
    std::vector<std::string> words = {"MSET"};
    for (PartitionId p = 0; p < TestCluster::kPartitions; ++p) {
      words.push_back(cluster_.KeyIn(p));
      words.push_back(std::to_string(p));
    }
    return words;
  }
  std::vector<std::string> OnAll(const std::string& command) const {
    std::vector<std::string> words = {command};
    for (PartitionId p = 0; p < TestCluster::kPartitions; ++p) words.push_back(cluster_.KeyIn(p));
    return words;
  }
  static std::string AllNumbers() {
    std::string text = "[";
    for (PartitionId p = 0; p < TestCluster::kPartitions; ++p) {
      text += (p == 0 ? "\"" : ", \"") + std::to_string(p) + "\"";
    }
    return text + "]";
  }
};

TEST_F(ScatterTest, ValuesComeBackInTheOrderOfTheKeys) {
  EXPECT_EQ(Run(0, SetAll()), "OK");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(Run(i, OnAll("MGET")), AllNumbers());
  EXPECT_EQ(Run(1, {"MGET", cluster_.KeyIn(2), "nothing", cluster_.KeyIn(1), cluster_.KeyIn(2)}),
            "[\"2\", nil, \"1\", \"2\"]");
}

TEST_F(ScatterTest, OneCommandGoesToEachNode) {
  Run(0, SetAll());
  EXPECT_EQ(cluster_.node(1).received.size(), 1U);
  EXPECT_EQ(cluster_.node(2).received.size(), 1U);
}

TEST_F(ScatterTest, CountsAreAdded) {
  Run(0, SetAll());
  EXPECT_EQ(Run(1, OnAll("EXISTS")), "16");
  EXPECT_EQ(Run(2, {"DEL", cluster_.KeyIn(0), cluster_.KeyIn(1), "nothing"}), "2");
  EXPECT_EQ(Run(0, OnAll("UNLINK")), "14");
}

TEST_F(ScatterTest, ArgumentsBeforeTheKeysGoAlong) {
  Run(0, SetAll());
  const Reply reply = cluster_.RunAs(0, cluster_.node(0).memcached_client,
                                     {"mc.gat", "100", cluster_.KeyIn(0), cluster_.KeyIn(1)});
  EXPECT_EQ(TextOf(reply), "[\"0\", \"1\"]");
  EXPECT_EQ(Run(2, {"TTL", cluster_.KeyIn(1)}), "100");
}

// "Too few replicas" says that nothing was written.
TEST_F(ScatterTest, AWriteThatFailsInPartIsOfUnknownOutcome) {
  cluster_.node(2).replicator.check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  EXPECT_EQ(Run(0, SetAll()), "unknown_outcome: some of the keys were written, and then: only 1");
  EXPECT_EQ(Run(0, {"GET", cluster_.KeyIn(0)}), "\"0\"") << "other nodes' keys are set";
}

TEST_F(ScatterTest, TheFirstErrorIsTheAnswerWhereNothingWasWritten) {
  for (std::size_t i = 0; i < 3; ++i) {
    cluster_.node(i).replicator.check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  }
  EXPECT_EQ(Run(0, SetAll()), "too_few_replicas: only 1");
}

TEST_F(ScatterTest, EveryKeyNeedsItsCopies) {
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).replicator.hold = true;
  const auto slot = Start(0, SetAll(), 2);
  cluster_.time.Advance(milliseconds(10));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(slot->finished());
    EXPECT_FALSE(cluster_.node(i).replicator.held.empty());
    cluster_.node(i).replicator.Release({});
    cluster_.time.Advance(milliseconds(10));
  }
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

TEST_F(ScatterTest, APartThatIsLateMakesTheWholeUnknown) {
  cluster_.node(0).replicator.outcome = Fail(ErrorCode::kUnknownOutcome, "late");
  const auto slot = Start(0, SetAll(), 2);
  cluster_.time.Advance(milliseconds(10));
  EXPECT_EQ(TextOf(slot->reply()), "unknown_outcome: late");
}

TEST_F(ScatterTest, PartsSurviveAHandover) {
  Run(0, SetAll());
  cluster_.node(0).SetRole(0, Role::kHandingOver);
  cluster_.node(1).SetRole(1, Role::kHandingOver);
  const auto slot = Start(0, OnAll("EXISTS"));
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(slot->finished());
  cluster_.Give(0, 0);
  cluster_.Give(1, 1);
  cluster_.time.Advance(milliseconds(300));
  EXPECT_EQ(TextOf(slot->reply()), "16");
}

TEST_F(ScatterTest, PartsAreGroupedAnewAfterAFailover) {
  cluster_.node(1).down = true;
  const auto slot = Start(0, SetAll());
  cluster_.time.Advance(milliseconds(300));
  EXPECT_FALSE(slot->finished());
  for (PartitionId p = 0; p < TestCluster::kPartitions; ++p) {
    if (p % 3 == 1) cluster_.Give(p, p % 2 == 0 ? 0 : 2);
  }
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(300));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(TextOf(slot->reply()), "OK");
  EXPECT_EQ(Run(2, OnAll("MGET")), AllNumbers());
}

TEST_F(ScatterTest, ALostPartOfASafeCommandIsRepeated) {
  cluster_.node(1).lose_replies = 1;
  const auto set = Start(0, SetAll());
  cluster_.time.Advance(milliseconds(100));
  EXPECT_FALSE(set->finished()) << "node 1 may still execute it";
  cluster_.incarnation_of[1] = 2;
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(100));
  ASSERT_TRUE(set->finished());
  EXPECT_EQ(TextOf(set->reply()), "OK");
  cluster_.node(2).lose_requests = 1;
  EXPECT_EQ(Run(0, OnAll("MGET")), AllNumbers());
}

TEST_F(ScatterTest, ManyKeysAreSpreadOverTurns) {
  std::vector<std::string> set = {"MSET"};
  std::vector<std::string> get = {"MGET"};
  for (int i = 0; i < 5000; ++i) {
    set.push_back("k" + std::to_string(i));
    set.push_back(std::to_string(i));
    get.push_back("k" + std::to_string(i));
  }
  EXPECT_EQ(Run(0, set), "OK");
  const Reply reply = cluster_.RunAs(1, cluster_.node(1).client, get);
  ASSERT_EQ(reply.elements.size(), 5000U);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(reply.elements[i].bytes, std::to_string(i));

  std::vector<std::string> remove = get;
  remove[0] = "DEL";
  remove.emplace_back("missing");
  EXPECT_EQ(Run(2, remove), "5000");
  set.emplace_back("odd");
  EXPECT_NE(Run(0, set).find("wrong number of arguments"), std::string::npos);
  EXPECT_EQ(Run(0, std::vector<std::string>{"DBSIZE"}), "0") << "nothing of it was stored";
}

TEST_F(ScatterTest, ManyKeysOfOnePartitionAreSpreadOverTurns) {
  std::vector<std::string> set = {"MSET"};
  std::vector<std::string> get = {"MGET"};
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "{tag}" + std::to_string(i);
    set.insert(set.end(), {key, std::to_string(i)});
    get.push_back(key);
  }
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(Run(node, set), "OK");
    const Reply reply = cluster_.RunAs(node, cluster_.node(node).client, get);
    ASSERT_EQ(reply.elements.size(), 3000U);
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(reply.elements[i].bytes, std::to_string(i));
  }
}

TEST_F(ScatterTest, OneStepHasABound) {
  std::vector<std::string> set = {"MSETNX"};
  for (int i = 0; i <= 16 * 1024; ++i) set.insert(set.end(), {"{tag}" + std::to_string(i), "v"});
  const std::string refusal = Run(0, set);
  EXPECT_NE(refusal.find("too many keys for one step"), std::string::npos) << refusal;
  set.resize(set.size() - 2);
  EXPECT_EQ(Run(0, set), "1");
}

// ---- MSETNX -------------------------------------------------------------------------------------

TEST_F(ScatterTest, MsetnxNeedsOneNode) {
  // Partitions 1 and 4 are node 1's.
  const std::string a = cluster_.KeyIn(1);
  const std::string b = cluster_.KeyIn(4);
  EXPECT_EQ(Run(1, {"MSETNX", a, "1", b, "2"}), "1");
  EXPECT_EQ(Run(0, {"MSETNX", a, "x", cluster_.KeyIn(4, 1), "y"}), "0");
  EXPECT_EQ(Run(0, {"EXISTS", cluster_.KeyIn(4, 1)}), "0") << "all or none";
  EXPECT_EQ(Run(0, {"MSETNX", cluster_.KeyIn(1, 1), "x", cluster_.KeyIn(4, 1), "y"}), "1");
  const std::string crossed = Run(0, {"MSETNX", cluster_.KeyIn(0), "1", b, "2"});
  EXPECT_TRUE(crossed.starts_with("cross_slot: ")) << crossed;
  EXPECT_NE(crossed.find("{hash tag}"), std::string::npos) << crossed;
}

TEST_F(ScatterTest, MsetnxWaitsThroughAHandover) {
  const std::string a = cluster_.KeyIn(1);
  const std::string b = cluster_.KeyIn(4);
  cluster_.node(1).SetRole(4, Role::kHandingOver);
  const auto slot = Start(1, {"MSETNX", a, "1", b, "2"});
  cluster_.time.Advance(milliseconds(30));
  EXPECT_FALSE(slot->finished());
  cluster_.Give(4, 1);
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(slot->reply()), "1");
}

}  // namespace
}  // namespace gyre::testing
