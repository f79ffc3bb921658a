#include <gtest/gtest.h>

#include "command/command_fixture.h"

namespace gyre::testing {
namespace {

using std::chrono::seconds;

class MemcachedCommandTest : public CommandTest {
 protected:
  std::uint64_t TokenOf(const std::string& key) {
    return cluster_.RunAs(0, node().memcached_client, {"mc.gets", key}).elements.at(0).version;
  }
};

constexpr char kBadFormat[] = "invalid_argument: bad command line format";

TEST_F(MemcachedCommandTest, StoringAndRetrieving) {
  ExpectMemcached({{"mc.get k", "[nil]"},
                   {"mc.set k 5 0 v", "STORED"},
                   {"mc.get k nothing k", "[\"v\", nil, \"v\"]"},
                   {"mc.add k 0 0 w", "NOT_STORED"},
                   {"mc.add n 0 0 w", "STORED"},
                   {"mc.replace n 0 0 x", "STORED"},
                   {"mc.replace nothing 0 0 x", "NOT_STORED"},
                   {"mc.append n 0 0 y", "STORED"},
                   {"mc.prepend n 0 0 w", "STORED"},
                   {"mc.get n", "[\"wxy\"]"},
                   {"mc.append nothing 0 0 y", "NOT_STORED"},
                   {"mc.prepend nothing 0 0 y", "NOT_STORED"},
                   {"mc.delete n", "DELETED"},
                   {"mc.delete n", "NOT_FOUND"}});
  const Reply reply = cluster_.RunAs(0, node().memcached_client, {"mc.get", "k"});
  EXPECT_EQ(reply.elements[0].flags, 5U);
  EXPECT_EQ(reply.elements[0].key, "k");
}

TEST_F(MemcachedCommandTest, FlagsAndExpirySurviveAppendAndIncr) {
  ExpectMemcached({{"mc.set k 4294967295 100 1", "STORED"},
                   {"mc.append k 7 0 2", "STORED"},
                   {"mc.incr k 1", "13"}});
  EXPECT_EQ(Text("TTL k"), "100");
  const Reply reply = cluster_.RunAs(0, node().memcached_client, {"mc.get", "k"});
  EXPECT_EQ(reply.elements[0].flags, 4294967295U);
}

TEST_F(MemcachedCommandTest, BadNumbersAreRefused) {
  ExpectMemcached({{"mc.set k 18446744073709551616 0 v", kBadFormat},
                   {"mc.set k -1 0 v", kBadFormat},
                   {"mc.set k 0 x v", kBadFormat},
                   {"mc.cas k 0 0 x v", kBadFormat},
                   {"mc.touch k x", "invalid_argument: invalid exptime argument"},
                   {"mc.gat x k", "invalid_argument: invalid exptime argument"},
                   {"mc.gat x k l", "invalid_argument: invalid exptime argument"},
                   {"mc.get k", "[nil]"}});
  replicator().check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  ExpectMemcached({{"mc.gat 10 k l", "too_few_replicas: only 1"}});
}

TEST_F(MemcachedCommandTest, ExpiryTimes) {
  const std::string unix_time = std::to_string(now() / 1000 + 50);
  ExpectMemcached({{"mc.set a 0 10 v", "STORED"},
                   {"mc.set b 0 " + unix_time + " v", "STORED"},
                   {"mc.set c 0 -1 v", "STORED"},
                   {"mc.get a b c", "[\"v\", \"v\", nil]"}});
  Expect({{"TTL a", "10"}, {"TTL b", "50"}});
  Pass(seconds(10));
  ExpectMemcached({{"mc.get a b", "[nil, \"v\"]"},
                   {"mc.touch b 100", "TOUCHED"},
                   {"mc.touch a 100", "NOT_FOUND"},
                   {"mc.gat 200 b a", "[\"v\", nil]"}});
  EXPECT_EQ(Text("TTL b"), "200");
  EXPECT_EQ(replicator().sent.back().expiry_ms, now() + 200'000);
  ExpectMemcached({{"mc.touch b 0", "TOUCHED"}});
  EXPECT_EQ(Text("TTL b"), "-1");
}

TEST_F(MemcachedCommandTest, AnExpiryThatHasPassedRemoves) {
  ExpectMemcached({{"mc.set a 3 0 v", "STORED"},
                   {"mc.set b 0 0 v", "STORED"},
                   {"mc.gat -1 a", "[\"v\"]"},
                   {"mc.touch b -1", "TOUCHED"},
                   {"mc.get a b", "[nil, nil]"}});
  EXPECT_TRUE(replicator().sent.back().tombstone);
}

// Another copy may have what was evicted here.
TEST_F(MemcachedCommandTest, ReplicasAreToldOfRemovalsOfWhatIsNotHere) {
  for (const char* how : {"mc.delete k", "mc.touch k -1", "mc.gat -1 k", "mc.set k 0 -1 v"}) {
    replicator().sent.clear();
    Memcached(how);
    ASSERT_EQ(replicator().sent.size(), 1U) << how;
    EXPECT_TRUE(replicator().sent[0].tombstone) << how;
  }
}

TEST_F(MemcachedCommandTest, CompareAndStore) {
  Memcached("mc.set k 0 0 v");
  const std::string token = std::to_string(TokenOf("k"));
  ExpectMemcached({{"mc.cas k 0 0 1 w", "EXISTS"},
                   {"mc.cas nothing 0 0 1 w", "NOT_FOUND"},
                   {"mc.cas k 0 0 " + token + " w", "STORED"},
                   {"mc.cas k 0 0 " + token + " x", "EXISTS"},
                   {"mc.get k", "[\"w\"]"}});
  EXPECT_NE(std::to_string(TokenOf("k")), token);
}

TEST_F(MemcachedCommandTest, Counters) {
  const std::string not_numeric = "wrong_type: cannot increment or decrement non-numeric value";
  ExpectMemcached({{"mc.incr n 1", "NOT_FOUND"},
                   {"mc.set n 0 0 10", "STORED"},
                   {"mc.incr n 5", "15"},
                   {"mc.decr n 20", "0"},
                   {"mc.incr n 18446744073709551615", "18446744073709551615"},
                   {"mc.incr n 2", "1"},
                   {"mc.get n", "[\"1\"]"},
                   {"mc.incr n x", "invalid_argument: invalid numeric delta argument"},
                   {"mc.incr n -1", "invalid_argument: invalid numeric delta argument"},
                   {"mc.set n 0 0 text", "STORED"},
                   {"mc.incr n 1", not_numeric},
                   {"mc.decr n 1", not_numeric},
                   {"mc.set n 0 0 -5", "STORED"},
                   {"mc.incr n 1", not_numeric}});
}

TEST_F(MemcachedCommandTest, JoinsAreBounded) {
  const std::string half(node().engine->options().value_bytes_max / 2 + 1, 'x');
  const auto run = [&](const char* name) {
    return cluster_.RunAs(0, node().memcached_client, {name, "k", "0", "0", half});
  };
  EXPECT_EQ(TextOf(run("mc.set")), "STORED");
  EXPECT_EQ(run("mc.append").error, ErrorCode::kTooLarge);
  EXPECT_EQ(run("mc.prepend").error, ErrorCode::kTooLarge);
}

TEST_F(MemcachedCommandTest, FlushAllNowAndLater) {
  ExpectMemcached({{"mc.set a 0 0 v", "STORED"},
                   {"mc.flush_all", "OK"},
                   {"mc.get a", "[nil]"},
                   {"mc.set a 0 0 v", "STORED"},
                   {"mc.flush_all 10", "OK"},
                   {"mc.get a", "[\"v\"]"}});
  Pass(seconds(9));
  ExpectMemcached({{"mc.get a", "[\"v\"]"}, {"mc.set b 0 0 v", "STORED"}});
  Pass(seconds(2));
  ExpectMemcached({{"mc.get a b", "[nil, nil]"},
                   {"mc.set a 0 0 w", "STORED"},
                   {"mc.get a", "[\"w\"]"},
                   {"mc.flush_all x", kBadFormat}});
}

TEST_F(MemcachedCommandTest, ALaterFlushReplacesThePendingOne) {
  ExpectMemcached({{"mc.flush_all 2", "OK"}, {"mc.flush_all", "OK"}, {"mc.set a 0 0 v", "STORED"}});
  Pass(seconds(5));
  ExpectMemcached({{"mc.get a", "[\"v\"]"}, {"mc.flush_all 2", "OK"}, {"mc.flush_all 20", "OK"}});
  Pass(seconds(5));
  ExpectMemcached({{"mc.get a", "[\"v\"]"}});
  Pass(seconds(20));
  ExpectMemcached({{"mc.get a", "[nil]"}, {"mc.flush_all 2", "OK"}});
  // By whomever: all partitions were emptied since the order.
  Pass(std::chrono::milliseconds(1));
  Run("FLUSHALL");
  Run("SET a v");
  Pass(seconds(5));
  EXPECT_EQ(Text("GET a"), "\"v\"");
}

TEST_F(MemcachedCommandTest, ARefusedSetLeavesNothing) {
  ExpectMemcached({{"mc.set k 0 0 old", "STORED"},
                   {"mc.refused k", "too_large: object too large for cache"},
                   {"mc.get k", "[nil]"},
                   {"mc.set k 0 0 old", "STORED"}});
  const std::string large(std::size_t{5} << 20, 'x');
  EXPECT_EQ(cluster_.RunAs(0, node().memcached_client, {"mc.set", "k", "0", "0", large}).error,
            ErrorCode::kTooLarge);
  ExpectMemcached({{"mc.get k", "[nil]"}});
}

TEST_F(MemcachedCommandTest, FlagsKeepTheirLower32Bits) {
  ExpectMemcached({{"mc.set k 4294967303 0 v", "STORED"}});
  const Reply reply = cluster_.RunAs(0, node().memcached_client, {"mc.get", "k"});
  EXPECT_EQ(reply.elements[0].flags, 7U);
}

TEST_F(MemcachedCommandTest, TheServer) {
  ExpectMemcached({{"mc.stats", "{\"pid\": \"42\", \"threads\": \"1\"}"},
                   {"mc.stats nothing", "unknown_command: unknown argument"},
                   {"mc.stats reset", "(RESET)"},
                   {"mc.verbosity 1", "OK"}});
  EXPECT_EQ(node().report.resets, 1);
  EXPECT_TRUE(Memcached("mc.version").starts_with("(VERSION "));
  Memcached("mc.quit");
  EXPECT_TRUE(node().memcached_client.close_after_reply);
}

}  // namespace
}  // namespace gyre::testing
