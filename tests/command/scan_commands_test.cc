// Questions about the whole key space.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "command/scan_cursor.h"
#include "command/test_cluster.h"
#include "support/key_hashes.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;

class ScanTest : public ::testing::Test {
 protected:
  Reply Run(std::size_t index, const std::vector<std::string>& words) {
    return cluster_.RunAs(index, cluster_.node(index).client, words);
  }
  Reply RunOnClusterPort(std::size_t index, const std::vector<std::string>& words) {
    return cluster_.RunAs(index, cluster_.node(index).cluster_client, words);
  }
  void Fill(int count) {
    for (int i = 0; i < count; ++i) Run(0, {"SET", "key" + std::to_string(i), "v"});
  }
  static std::multiset<std::string> KeysOf(const Reply& list) {
    std::multiset<std::string> keys;
    for (const Reply& key : list.elements) keys.insert(key.bytes);
    return keys;
  }
  using Runner = std::function<Reply(const std::vector<std::string>&)>;
  // A whole scan; how often each key was met. `between` runs after each step.
  std::map<std::string, int> ScanAll(
      const Runner& run, const std::vector<std::string>& options,
      const std::function<void()>& between = [] {}) {
    std::map<std::string, int> met;
    std::string cursor = "0";
    int steps = 0;
    do {
      std::vector<std::string> words = {"SCAN", cursor};
      words.insert(words.end(), options.begin(), options.end());
      const Reply reply = run(words);
      EXPECT_EQ(reply.elements.size(), 2U) << TextOf(reply);
      if (reply.elements.size() != 2) return met;
      cursor = reply.elements[0].bytes;
      for (const Reply& key : reply.elements[1].elements) ++met[key.bytes];
      between();
      EXPECT_LT(++steps, 10'000) << "the scan does not end";
    } while (cursor != "0" && steps < 10'000);
    return met;
  }
  Runner On(std::size_t index) {
    return [this, index](const auto& words) { return Run(index, words); };
  }

  TestCluster cluster_{3};
};

TEST_F(ScanTest, AnyNodeCountsTheCluster) {
  EXPECT_EQ(TextOf(Run(0, {"DBSIZE"})), "0");
  Fill(100);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(TextOf(Run(i, {"DBSIZE"})), "100");
}

TEST_F(ScanTest, KeysMatchesPatterns) {
  Fill(30);
  EXPECT_EQ(Run(1, {"KEYS", "*"}).elements.size(), 30U);
  EXPECT_EQ(KeysOf(Run(2, {"KEYS", "key?"})).size(), 10U);
  EXPECT_EQ(KeysOf(Run(2, {"KEYS", "key1[0-2]"})),
            (std::multiset<std::string>{"key10", "key11", "key12"}));
  EXPECT_EQ(TextOf(Run(2, {"KEYS", "nothing*"})), "[]");
}

TEST_F(ScanTest, TheClusterPortSpeaksForItsNodeOnly) {
  Fill(60);
  std::int64_t size = 0;
  std::multiset<std::string> keys;
  std::map<std::string, int> scanned;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t here = RunOnClusterPort(i, {"DBSIZE"}).integer;
    EXPECT_GT(here, 0);
    size += here;
    keys.merge(KeysOf(RunOnClusterPort(i, {"KEYS", "*"})));
    const auto met = ScanAll([&](const auto& words) { return RunOnClusterPort(i, words); }, {});
    EXPECT_EQ(met.size(), static_cast<std::size_t>(here));
    scanned.insert(met.begin(), met.end());
  }
  EXPECT_EQ(size, 60);
  EXPECT_EQ(keys.size(), 60U);
  EXPECT_EQ(scanned.size(), 60U);
}

TEST_F(ScanTest, ScanMeetsEachKey) {
  Fill(500);
  for (const char* count : {"1", "10", "100", "100000"}) {
    const auto met = ScanAll(On(1), {"COUNT", count});
    EXPECT_EQ(met.size(), 500U) << count;
    for (const auto& [key, times] : met) EXPECT_EQ(times, 1) << key << " COUNT " << count;
  }
}

TEST_F(ScanTest, ScanMeetsEachKeyWhileOthersComeAndGo) {
  Fill(300);
  int next = 0;
  const auto met = ScanAll(On(0), {"COUNT", "20"}, [&] {
    for (int i = 0; i < 40; ++i) {
      Run(0, {"SET", "new" + std::to_string(next++), "v"});
      if (next > 100) Run(0, {"DEL", "new" + std::to_string(next - 100)});
    }
  });
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(met.count("key" + std::to_string(i)), 1U) << "key" << i;
  }
}

TEST_F(ScanTest, ScanGoesOnThroughAHandover) {
  Fill(200);
  PartitionId partition = 0;
  const auto met = ScanAll(On(0), {"COUNT", "20"}, [&] {
    if (partition >= TestCluster::kPartitions) return;
    // The next node takes the partition over, with its records.
    const auto from = static_cast<MemberIndex>(partition % 3);
    const auto to = static_cast<MemberIndex>((from + 1) % 3);
    const Reply keys = cluster_.RunAs(from, cluster_.node(from).peer,
                                      {"gyre.scan", std::to_string(partition), "0", "10000", "*"});
    cluster_.Give(partition, to);
    for (const Reply& key : keys.elements.at(2).elements) Run(to, {"SET", key.bytes, "v"});
    ++partition;
    cluster_.Publish();
  });
  EXPECT_EQ(met.size(), 200U);
}

TEST_F(ScanTest, KeysOfOnePartitionComeInPages) {
  constexpr int kCount = 25'000;  // more than one page, and than one step has time for
  std::multiset<std::string> expected;
  for (int i = 0; i < kCount; ++i) {
    const std::string key = "{tag}" + std::to_string(i);
    Run(0, {"SET", key, "v"});
    expected.insert(key);
  }
  EXPECT_EQ(KeysOf(Run(1, {"KEYS", "{tag}*"})), expected);
}

TEST_F(ScanTest, WhatIsCostlyCountsAsManyVisits) {
  constexpr std::size_t kCount = 60;
  for (std::size_t i = 0; i < kCount; ++i) {
    Run(0, {"SET", "{tag}" + std::to_string(i) + std::string(60'000, 'a'), "v"});
  }
  const std::string pattern = "*" + std::string(1000, 'a') + "b*";
  const Reply page = Run(0, {"SCAN", "0", "COUNT", "10000", "MATCH", pattern});
  EXPECT_NE(page.elements.at(0).bytes, "0") << "it looked at all keys in one go";
  EXPECT_TRUE(ScanAll(On(0), {"COUNT", "10000", "MATCH", pattern}).empty());
  EXPECT_EQ(ScanAll(On(0), {"COUNT", "10000", "MATCH", "*aa*"}).size(), kCount);
  EXPECT_EQ(Run(0, {"KEYS", "*aa*"}).elements.size(), kCount);
}

TEST_F(ScanTest, APatternThatIsTooLongIsRefused) {
  const std::string pattern(5000, '*');
  const std::string answer = TextOf(Run(0, {"KEYS", pattern}));
  EXPECT_NE(answer.find("longer than 4096 bytes"), std::string::npos) << answer;
  EXPECT_EQ(Run(0, {"SCAN", "0", "MATCH", pattern}).kind, Reply::Kind::kError);
}

TEST_F(ScanTest, OneKeyIsFoundByOneCall) {
  const std::string key = cluster_.KeyIn(TestCluster::kPartitions - 1);
  Run(0, {"SET", key, "v"});
  for (std::size_t node = 0; node < 3; ++node) {
    const Reply scanned = Run(node, {"SCAN", "0"});
    EXPECT_EQ(TextOf(scanned), "[\"0\", [\"" + key + "\"]]");
  }
}

TEST_F(ScanTest, ScanTakesOptions) {
  Fill(50);
  EXPECT_EQ(ScanAll(On(2), {"MATCH", "key4?"}).size(), 10U);
  EXPECT_EQ(ScanAll(On(2), {"TYPE", "string", "MATCH", "*"}).size(), 50U);
  EXPECT_TRUE(ScanAll(On(2), {"TYPE", "hash"}).empty());
  const std::pair<std::vector<std::string>, const char*> bad[] = {
      {{"SCAN", "x"}, "invalid_argument: invalid cursor"},
      {{"SCAN", "-1"}, "invalid_argument: invalid cursor"},
      {{"SCAN", "18446744073709551615"}, "invalid_argument: invalid cursor"},
      {{"SCAN", "16"}, "invalid_argument: invalid cursor"},  // there is no partition 16
      {{"SCAN", "0", "COUNT"}, "invalid_argument: syntax error"},
      {{"SCAN", "0", "COUNT", "0"}, "invalid_argument: syntax error"},
      {{"SCAN", "0", "COUNT", "x"}, "invalid_argument: value is not an integer or out of range"},
      {{"SCAN", "0", "FOO", "1"}, "invalid_argument: syntax error"},
  };
  for (const auto& [words, expected] : bad) EXPECT_EQ(TextOf(Run(0, words)), expected);
}

TEST_F(ScanTest, RemovedAndExpiredKeysAreNotMet) {
  Fill(20);
  Run(0, {"DEL", "key1", "key2"});
  Run(0, {"PEXPIRE", "key3", "10"});
  cluster_.time.Advance(milliseconds(20));
  const auto met = ScanAll(On(1), {});
  EXPECT_EQ(met.size(), 17U);
  EXPECT_EQ(Run(1, {"KEYS", "*"}).elements.size(), 17U);
}

TEST_F(ScanTest, RandomKeyIsAKey) {
  EXPECT_EQ(TextOf(Run(0, {"RANDOMKEY"})), "nil");
  Fill(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(TextOf(Run(i % 3, {"RANDOMKEY"})), "\"key0\"");
  Fill(20);
  std::set<std::string> met;
  for (int i = 0; i < 300; ++i) met.insert(Run(0, {"RANDOMKEY"}).bytes);
  EXPECT_GT(met.size(), 5U);
  for (const std::string& key : met) EXPECT_EQ(TextOf(Run(0, {"EXISTS", key})), "1") << key;
}

TEST_F(ScanTest, FlushEmptiesTheCluster) {
  const std::vector<std::string> forms[] = {
      {"FLUSHALL"}, {"FLUSHDB"}, {"FLUSHALL", "ASYNC"}, {"flushall", "sync"}};
  for (const auto& form : forms) {
    Fill(50);
    EXPECT_EQ(TextOf(Run(1, form)), "OK");
    EXPECT_EQ(TextOf(Run(0, {"DBSIZE"})), "0");
    EXPECT_EQ(TextOf(Run(2, {"GET", "key7"})), "nil");
  }
  EXPECT_EQ(TextOf(Run(1, {"FLUSHALL", "NOW"})), "invalid_argument: syntax error");
  // The replicas are told, partition by partition.
  int flushes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (const auto& sent : cluster_.node(i).replicator.sent) flushes += sent.flush ? 1 : 0;
  }
  EXPECT_EQ(flushes, 4 * static_cast<int>(TestCluster::kPartitions));
  EXPECT_EQ(TextOf(Run(0, {"SET", "key7", "again"})), "OK");
  EXPECT_EQ(TextOf(Run(2, {"GET", "key7"})), "\"again\"");
}

TEST_F(ScanTest, FlushWaitsForAHandover) {
  Fill(50);
  cluster_.node(1).SetRole(1, Role::kHandingOver);
  Request request;
  request.args = {"FLUSHALL"};
  const auto slot = cluster_.node(0).Start(request, cluster_.node(0).client);
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(slot->finished());
  cluster_.Give(1, 1);
  cluster_.time.Advance(milliseconds(300));
  EXPECT_EQ(TextOf(slot->reply()), "OK");
  EXPECT_EQ(TextOf(Run(0, {"DBSIZE"})), "0");
}

constexpr std::uint64_t kLastPosition = ScanCursor::PositionOf(~std::uint64_t{0});

TEST(ScanCursorTest, HoldsWhatItIsGiven) {
  const std::shared_ptr<const KeyHash> secret = TestKeyHash(1);
  for (const KeyHash* hash : {&KeyHash::Plain(), secret.get()}) {
    const ScanCursorCodec codec(*hash);
    for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{256}, kLastPosition}) {
      const std::uint64_t cursor = codec.Encode({.partition = 16383, .position = position});
      const ScanCursor back = codec.Decode(cursor);
      EXPECT_EQ(back.partition, 16383u);
      EXPECT_EQ(back.position, position);
      EXPECT_EQ(static_cast<std::uint64_t>(static_cast<double>(cursor)), cursor);
      EXPECT_TRUE(ScanCursor::IsValid(cursor, 16384));
      EXPECT_FALSE(ScanCursor::IsValid(cursor, 1024));
    }
  }
  EXPECT_FALSE(ScanCursor::IsValid(std::uint64_t{1} << 53, 1024));
  EXPECT_EQ(ScanCursorCodec(*TestKeyHash(1)).Encode({}), 0u) << "0 is the begin and the end alone";
}

// The order of cursors and of the positions that they stand for have nothing to do with each other.
TEST(ScanCursorTest, DoesNotTellTheHash) {
  const ScanCursorCodec codec(*TestKeyHash(1));
  constexpr std::uint64_t kCursors = 4096;
  std::uint64_t ascents = 0;
  std::uint64_t last = 0;
  for (std::uint64_t i = 1; i <= kCursors; ++i) {
    const std::uint64_t position = i * (kLastPosition / kCursors) / 256 * 256;
    const std::uint64_t cursor = codec.Encode({.partition = 7, .position = position});
    ascents += cursor > last ? 1 : 0;
    last = cursor;
    EXPECT_NE(cursor >> 14, position);
  }
  EXPECT_GT(ascents, kCursors / 2 - 200);
  EXPECT_LT(ascents, kCursors / 2 + 200);
}

// What was given under another secret begins the partition anew, nearly always.
TEST(ScanCursorTest, OfAnotherSecretBeginsThePartitionAnew) {
  const ScanCursorCodec codec(*TestKeyHash(1));
  const ScanCursorCodec other(*TestKeyHash(2));
  int anew = 0;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    const ScanCursor cursor = codec.Decode(other.Encode({.partition = 7, .position = i << 20}));
    EXPECT_EQ(cursor.partition, 7u);
    anew += cursor.position == 0 ? 1 : 0;
  }
  EXPECT_GT(anew, 980);
}

}  // namespace
}  // namespace gyre::testing
