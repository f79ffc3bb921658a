#include <gtest/gtest.h>

#include "command/command_fixture.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kSyntax[] = "invalid_argument: syntax error";
constexpr char kNotInteger[] = "invalid_argument: value is not an integer or out of range";
constexpr char kHoldsNoInteger[] = "wrong_type: value is not an integer or out of range";

TEST_F(CommandTest, GetReturnsWhatSetStored) {
  Expect({{"GET k", "nil"},
          {"SET k v", "OK"},
          {"GET k", "\"v\""},
          {"get k", "\"v\""},
          {"SET k \"two words\\0\"", "OK"},
          {"STRLEN k", "10"},
          {"SET k \"\"", "OK"},
          {"GET k", "\"\""}});
}

TEST_F(CommandTest, SetTakesConditions) {
  Expect({{"SET k a XX", "nil"},
          {"GET k", "nil"},
          {"SET k a NX", "OK"},
          {"SET k b NX", "nil"},
          {"SET k b XX", "OK"},
          {"SET k c GET", "\"b\""},
          {"SET k d NX GET", "\"c\""},
          {"GET k", "\"c\""},
          {"SET new d XX GET", "nil"},
          {"EXISTS new", "0"},
          {"SET new d NX GET", "nil"},
          {"GET new", "\"d\""}});
}

TEST_F(CommandTest, SetTakesExpiries) {
  Expect({{"SET k v EX 10", "OK"},
          {"PTTL k", "10000"},
          {"SET k v PX 1500", "OK"},
          {"PTTL k", "1500"},
          {"SET k v KEEPTTL", "OK"},
          {"PTTL k", "1500"},
          {"SET k v", "OK"},
          {"PTTL k", "-1"},
          {"SET k v EXAT " + std::to_string(now() / 1000 + 7), "OK"},
          {"PTTL k", "7000"},
          {"SET k v PXAT " + std::to_string(now() + 77), "OK"},
          {"PTTL k", "77"}});
  Pass(milliseconds(77));
  EXPECT_EQ(Text("GET k"), "nil");
  EXPECT_EQ(Text("SET k v PXAT 5"), "OK");
  EXPECT_EQ(Text("GET k"), "nil");
}

TEST_F(CommandTest, SetRefusesWhatMakesNoSense) {
  const std::string expire = "invalid_argument: invalid expire time in 'set' command";
  Expect({{"SET k v NX XX", kSyntax},
          {"SET k v XX NX", kSyntax},
          {"SET k v EX", kSyntax},
          {"SET k v EX 1 PX 1", kSyntax},
          {"SET k v EX 1 KEEPTTL", kSyntax},
          {"SET k v KEEPTTL EX 1", kSyntax},
          {"SET k v BOGUS", kSyntax},
          {"SET k v EX ten", kNotInteger},
          {"SET k v EX 0", expire},
          {"SET k v PX -1", expire},
          {"SET k v EX 9223372036854775807", expire},
          {"SET k v PX 9223372036854775807", expire},
          {"SET k", "invalid_argument: wrong number of arguments for 'set' command"},
          {"GET k", "nil"}});
}

TEST_F(CommandTest, OlderFormsOfSet) {
  Expect({{"SETEX k 10 v", "OK"},
          {"PTTL k", "10000"},
          {"PSETEX k 10 v", "OK"},
          {"PTTL k", "10"},
          {"SETEX k 0 v", "invalid_argument: invalid expire time in 'setex' command"},
          {"PSETEX k -1 v", "invalid_argument: invalid expire time in 'psetex' command"},
          {"SETEX k x v", kNotInteger},
          {"SETNX k w", "0"},
          {"SETNX n w", "1"},
          {"GETSET n x", "\"w\""},
          {"GETSET absent x", "nil"},
          {"GET absent", "\"x\""},
          {"GETDEL absent", "\"x\""},
          {"GETDEL absent", "nil"}});
}

TEST_F(CommandTest, GetExChangesTheExpiry) {
  Expect({{"SET k v", "OK"},
          {"GETEX k", "\"v\""},
          {"TTL k", "-1"},
          {"GETEX k EX 10", "\"v\""},
          {"TTL k", "10"},
          {"GETEX k PERSIST", "\"v\""},
          {"TTL k", "-1"},
          {"GETEX k PXAT " + std::to_string(now() + 500), "\"v\""},
          {"PTTL k", "500"},
          {"GETEX k EX 0", "invalid_argument: invalid expire time in 'getex' command"},
          {"GETEX k EX 1 PERSIST", kSyntax},
          {"GETEX k NX", kSyntax},
          {"GETEX absent EX 10", "nil"},
          {"GETEX k PXAT 5", "\"v\""},
          {"EXISTS k", "0"}});
}

TEST_F(CommandTest, SeveralKeysAtOnce) {
  Expect({{"MSET a 1 b 2 c 3", "OK"},
          {"MGET a b nothing c", "[\"1\", \"2\", nil, \"3\"]"},
          {"MSET a 1 b", "invalid_argument: wrong number of arguments for 'mset' command"},
          {"MSET a x a y", "OK"},
          {"GET a", "\"y\""},
          {"MSETNX c 1 d 1", "0"},
          {"EXISTS d", "0"},
          {"MSETNX d 1 e 2", "1"},
          {"MGET d e", "[\"1\", \"2\"]"},
          {"MSETNX d 1 e", "invalid_argument: wrong number of arguments for 'msetnx' command"},
          {"DEL a b nothing a", "2"},
          {"EXISTS c c d nothing", "3"},
          {"TOUCH c d nothing", "2"},
          {"UNLINK c d e", "3"},
          {"MGET a b c", "[nil, nil, nil]"}});
}

TEST_F(CommandTest, Counters) {
  const std::string overflow = "invalid_argument: increment or decrement would overflow";
  Expect({{"INCR n", "1"},
          {"INCRBY n 41", "42"},
          {"DECR n", "41"},
          {"DECRBY n 50", "-9"},
          {"GET n", "\"-9\""},
          {"INCRBY n x", kNotInteger},
          {"INCRBY n 1.5", kNotInteger},
          {"SET n 9223372036854775807", "OK"},
          {"INCR n", overflow},
          {"SET n -9223372036854775808", "OK"},
          {"DECR n", overflow},
          {"DECRBY n -9223372036854775808", "invalid_argument: decrement would overflow"},
          {"SET n 007", "OK"},
          {"INCR n", kHoldsNoInteger},
          {"SET n \" 1\"", "OK"},
          {"INCR n", kHoldsNoInteger},
          {"SET n \"\"", "OK"},
          {"INCR n", kHoldsNoInteger},
          {"SET n 99999999999999999999", "OK"},
          {"INCR n", kHoldsNoInteger}});
}

TEST_F(CommandTest, CountersKeepTheExpiry) {
  Expect({{"SET n 1 PX 500", "OK"},
          {"INCR n", "2"},
          {"INCRBYFLOAT n 0.5", "\"2.5\""},
          {"APPEND n 0", "4"},
          {"SETRANGE n 0 9", "4"},
          {"GET n", "\"9.50\""},
          {"PTTL n", "500"}});
}

TEST_F(CommandTest, FloatCounters) {
  const std::string not_float = "invalid_argument: value is not a valid float";
  Expect({{"INCRBYFLOAT f 10.50", "\"10.5\""},
          {"INCRBYFLOAT f 0.1", "\"10.6\""},
          {"INCRBYFLOAT f -5", "\"5.6\""},
          {"INCRBYFLOAT f 5.0e3", "\"5005.60000000000000009\""},
          {"SET f 5005.5", "OK"},
          {"INCRBYFLOAT f -5005.5", "\"0\""},
          {"INCRBYFLOAT f x", not_float},
          {"INCRBYFLOAT f \" 1\"", not_float},
          {"INCRBYFLOAT f nan", not_float},
          {"INCRBYFLOAT f inf", "invalid_argument: increment would produce NaN or Infinity"},
          {"SET f text", "OK"},
          {"INCRBYFLOAT f 1", "wrong_type: value is not a valid float"}});
}

TEST_F(CommandTest, AppendAndRanges) {
  Expect({{"APPEND k Hello", "5"},
          {"APPEND k \" World\"", "11"},
          {"GETRANGE k 0 4", "\"Hello\""},
          {"SUBSTR k -5 -1", "\"World\""},
          {"GETRANGE k 0 -1", "\"Hello World\""},
          {"GETRANGE k 5 100", "\" World\""},
          {"GETRANGE k 11 12", "\"\""},
          {"GETRANGE k 4 2", "\"\""},
          {"GETRANGE k -1 -5", "\"\""},
          {"GETRANGE k -100 0", "\"H\""},
          {"GETRANGE k -9223372036854775808 9223372036854775807", "\"Hello World\""},
          {"GETRANGE nothing 0 1", "\"\""},
          {"GETRANGE k a 1", kNotInteger},
          {"SETRANGE k 6 Redis", "11"},
          {"GET k", "\"Hello Redis\""},
          {"SETRANGE k 6 \"\"", "11"},
          {"SETRANGE nothing 5 \"\"", "0"},
          {"EXISTS nothing", "0"},
          {"SETRANGE k -1 x", "invalid_argument: offset is out of range"}});
  EXPECT_EQ(Text("SETRANGE z 3 ab"), "5");
  EXPECT_EQ(Run("GET z").bytes, std::string("\0\0\0ab", 5));
}

TEST_F(CommandTest, ValuesAreBounded) {
  const std::size_t limit = node().engine->options().value_bytes_max;
  EXPECT_EQ(TextOf(RunWords({"SET", "k", std::string(limit, 'x')})), "OK");
  EXPECT_EQ(Run("GET k").bytes.size(), limit);
  EXPECT_EQ(Run("STRLEN k").integer, static_cast<std::int64_t>(limit));
  EXPECT_EQ(Text("GETRANGE k -3 -1"), "\"xxx\"");
  EXPECT_EQ(RunWords({"SET", "k", std::string(limit + 1, 'x')}).error, ErrorCode::kTooLarge);
  EXPECT_EQ(RunWords({"SET", std::string(kKeyBytesMax + 1, 'k'), "v"}).error, ErrorCode::kTooLarge);
  EXPECT_EQ(Run("APPEND k x").error, ErrorCode::kTooLarge);
  for (const char* offset : {"4194304", "9223372036854775807"}) {
    const Reply reply = Run(std::string("SETRANGE big ") + offset + " x");
    EXPECT_EQ(reply.error, ErrorCode::kTooLarge);
    EXPECT_TRUE(reply.bytes.starts_with("string exceeds maximum allowed size"));
  }
  EXPECT_EQ(Text("SETRANGE big 4194303 x"), "4194304");
  EXPECT_EQ(Run("INCR k").error, ErrorCode::kWrongType);
}

TEST_F(CommandTest, AnMsetOfWhichAPartWasWrittenDoesNotSayThatNothingWas) {
  const std::string large(node().engine->options().value_bytes_max + 1, 'x');
  const Reply reply = RunWords({"MSET", "a", "1", "b", large});
  EXPECT_EQ(reply.error, ErrorCode::kUnknownOutcome) << TextOf(reply);
  EXPECT_TRUE(reply.bytes.starts_with("some of the keys were written")) << reply.bytes;
  EXPECT_EQ(Text("GET a"), "\"1\"");
  EXPECT_EQ(RunWords({"MSET", "b", large}).error, ErrorCode::kTooLarge);
}

TEST_F(CommandTest, ReplicasGetResultsNotOperations) {
  Expect({{"SET n 1 EX 10", "OK"},
          {"INCR n", "2"},
          {"GET n", "\"2\""},
          {"DEL n", "1"},
          {"DEL n", "0"},
          {"SET n 5 XX", "nil"}});
  const auto& sent = replicator().sent;
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_EQ(sent[0].value, "1");
  EXPECT_EQ(sent[1].value, "2");
  EXPECT_EQ(sent[1].expiry_ms, now() + 10'000);
  EXPECT_GT(sent[1].version, sent[0].version);
  EXPECT_TRUE(sent[2].tombstone);
  EXPECT_GT(sent[2].version, sent[1].version);
  // Another copy may have what is missing here.
  EXPECT_TRUE(sent[3].tombstone);
}

}  // namespace
}  // namespace gyre::testing
