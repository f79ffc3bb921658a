#include "protocol/resp_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/codec_fixture.h"

namespace gyre::testing {
namespace {

using Args = std::vector<std::string>;
using namespace std::string_literals;

std::string Bulk(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

std::string Array(const Args& args) {
  std::string encoded = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string& argument : args) encoded += Bulk(argument);
  return encoded;
}

class RespCodecTest : public ::testing::Test {
 protected:
  MakeCodec Make() {
    return [this] { return std::make_unique<RespCodec>(session_, limits_); };
  }

  // The requests in `bytes`, which hold nothing else.
  std::vector<Args> Requests(std::string_view bytes) {
    const Replayed replayed = Replay(Make(), bytes);
    std::vector<Args> requests;
    for (const Event& event : replayed.events) {
      EXPECT_EQ(event.status, Decoded::Status::kRequest) << event;
      requests.push_back(event.args);
    }
    EXPECT_EQ(replayed.pending, 0U);
    return requests;
  }

  // The error that ends the connection, after `before` requests.
  Error Malformed(std::string_view bytes, std::size_t before = 0) {
    const Replayed replayed = Replay(Make(), bytes);
    EXPECT_TRUE(replayed.closed) << "no error";
    EXPECT_EQ(replayed.events.size(), before + 1);
    return replayed.events.empty() ? Error{} : replayed.events.back().error;
  }

  Session session_;
  CodecLimits limits_;
};

TEST_F(RespCodecTest, ReadsArraysOfBulkStrings) {
  const std::vector<Args> cases = {
      {"PING"},
      {"GET", "key"},
      {"SET", "key", "value"},
      {"SET", "", ""},
      {"SET", "k\r\n$3\r\n", "*1\r\n\0\xff"s},
      {"ECHO", std::string(1000, 'x')},
      {"SET", "key", std::string(9'999, 'x')},  // the longest that is read in one go
      {"SET", "key", std::string(10'000, 'x')},
      Args(16, "argument"),
      Args(17, "argument"),
      Args(200, "argument"),
  };
  for (const Args& args : cases) EXPECT_EQ(Requests(Array(args)), std::vector<Args>{args});
}

TEST_F(RespCodecTest, ReadsPipelines) {
  EXPECT_EQ(
      Requests(Array({"GET", "a"}) + Array({"SET", "b", "1"}) + "PING\r\n" + Array({"GET", "c"})),
      (std::vector<Args>{{"GET", "a"}, {"SET", "b", "1"}, {"PING"}, {"GET", "c"}}));
}

TEST_F(RespCodecTest, SkipsEmptyRequests) {
  EXPECT_EQ(Requests("*0\r\n*-1\r\n*-10\r\n\r\n\n  \t \r\n" + Array({"PING"})),
            std::vector<Args>{{"PING"}});
}

TEST_F(RespCodecTest, ReadsInlineCommands) {
  const struct {
    std::string line;
    Args args;
  } cases[] = {
      {"PING\r\n", {"PING"}},
      {"PING\n", {"PING"}},
      {"  set \t key   value  \r\n", {"set", "key", "value"}},
      {"set key \"two words\"\r\n", {"set", "key", "two words"}},
      {"set key 'two words'\r\n", {"set", "key", "two words"}},
      {"set key \"\" ''\r\n", {"set", "key", "", ""}},
      {R"(set key "\x41\n\r\t\b\a\"\\\q\xzz")"
       "\r\n",
       {"set", "key", "A\n\r\t\b\a\"\\qxzz"}},
      {R"(set key 'it\'s \n \x41')"
       "\r\n",
       {"set", "key", R"(it's \n \x41)"}},
      {R"(set key back\slash)"
       "\r\n",
       {"set", "key", R"(back\slash)"}},
      {"set key pre\"fix ed\"\r\n", {"set", "key", "prefix ed"}},
      {"set key \"\\x4\" \r\n", {"set", "key", "x4"}},
      {"$5\r\n", {"$5"}},
      {std::string(65534, 'a') + "\r\n", {std::string(65534, 'a')}},
  };
  for (const auto& [line, args] : cases) EXPECT_EQ(Requests(line), std::vector<Args>{args}) << line;
}

TEST_F(RespCodecTest, EndsTheConnectionAtWhatIsNotResp) {
  const struct {
    std::string bytes;
    std::string message;
  } cases[] = {
      {"*x\r\n", "Protocol error: invalid multibulk length"},
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*1x\r\n", "Protocol error: invalid multibulk length"},
      {"*+1\r\n", "Protocol error: invalid multibulk length"},
      {"*1\n", "Protocol error: invalid multibulk length"},
      {"*1\rx", "Protocol error: invalid multibulk length"},
      {"*-\r\n", "Protocol error: invalid multibulk length"},
      {"*99999999999", "Protocol error: invalid multibulk length"},
      {"*18446744073709551617\r\n", "Protocol error: invalid multibulk length"},
      {"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"},
      {"*1\r\n*1\r\n", "Protocol error: expected '$', got '*'"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$4x\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$4 \r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$99999999999999999999\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$4\r\nPINGxx", "Protocol error: expected CR LF behind a bulk string"},
      {"*1\r\n$4\r\nPING\rx", "Protocol error: expected CR LF behind a bulk string"},
      {"*1\r\n$3\r\nPING\r\n", "Protocol error: expected CR LF behind a bulk string"},
      {"set \"open\r\n", "Protocol error: unbalanced quotes in request"},
      {"set 'open\r\n", "Protocol error: unbalanced quotes in request"},
      {"set \"a\"b\r\n", "Protocol error: unbalanced quotes in request"},
      {"set \"a\\\r\n", "Protocol error: unbalanced quotes in request"},
      {"POST / HTTP/1.1\r\n", "Protocol error: this port speaks RESP, not HTTP"},
      {"Host: localhost\r\n", "Protocol error: this port speaks RESP, not HTTP"},
      {"host: localhost\r\n", "Protocol error: this port speaks RESP, not HTTP"},
      {"post / HTTP/1.1\r\n", "Protocol error: this port speaks RESP, not HTTP"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_EQ(Malformed(bytes), (Error{ErrorCode::kProtocol, message})) << bytes;
    EXPECT_EQ(Malformed(Array({"PING"}) + bytes, 1).message, message) << bytes;
  }
}

TEST_F(RespCodecTest, EndsTheConnectionAtItsLimits) {
  limits_.key_bytes_max = 10;
  limits_.value_bytes_max = 20;
  limits_.argument_count_max = 5;
  limits_.request_bytes_max = 100;
  EXPECT_EQ(Requests(Array(Args(5, "a"))).size(), 1U);
  EXPECT_EQ(Requests(Array({"SET", "k", std::string(20, 'v')})).size(), 1U);

  const struct {
    std::string bytes;
    std::string message;
  } cases[] = {
      {"*6\r\n", "Protocol error: invalid multibulk length: over the limit of 5 arguments"},
      {"*2147483647\r\n",
       "Protocol error: invalid multibulk length: over the limit of 5 arguments"},
      {"*1\r\n$21\r\n",
       "Protocol error: invalid bulk length: over the limit of 20 bytes (see --max-value)"},
      {"*5\r\n" + Bulk(std::string(20, 'a')) + Bulk(std::string(20, 'b')) +
           Bulk(std::string(20, 'c')) + "$20\r\n",
       "Protocol error: too big request: over the limit of 100 bytes for one command: send fewer "
       "keys at once"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_EQ(Malformed(bytes), (Error{ErrorCode::kTooLarge, message})) << bytes;
  }
}

TEST_F(RespCodecTest, BoundsInlineLines) {
  const std::string message =
      "Protocol error: too big inline request: over the limit of 65536 bytes";
  EXPECT_EQ(Malformed(std::string(65537, 'x')).message, message);
  EXPECT_EQ(Malformed(std::string(70000, 'x') + "\r\n").message, message);
}

TEST_F(RespCodecTest, AKeyMayBeLongerThanTheLargestValue) {
  limits_.key_bytes_max = 100;
  limits_.value_bytes_max = 10;
  EXPECT_EQ(Requests(Array({"GET", std::string(100, 'k')})).size(), 1U);
}

TEST_F(RespCodecTest, WaitsForWhatIsHalfSent) {
  const std::string whole = Array({"SET", "key", "value"});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Replayed replayed = ReplaySplit(Make(), whole.substr(0, size), {});
    EXPECT_TRUE(replayed.events.empty()) << size;
    EXPECT_FALSE(replayed.closed) << size;
    EXPECT_EQ(replayed.pending, size);
  }
}

TEST_F(RespCodecTest, SaysHowMuchAValueStillWants) {
  RespCodec codec(session_, limits_);
  Request request;
  const std::string head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nvvv";
  const Decoded decoded = codec.Decode(head, request);
  EXPECT_EQ(decoded.status, Decoded::Status::kNeedMore);
  EXPECT_EQ(decoded.wanted, head.size() - 3 + 1000 + 2);
}

// What was read once is not read again: between two calls the heads that were already seen turn
// into garbage, which a parse from the start would stumble over.
TEST_F(RespCodecTest, GoesOnWhereItStopped) {
  RespCodec codec(session_, limits_);
  Request request;
  std::string input = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nval";
  ASSERT_EQ(codec.Decode(input, request).status, Decoded::Status::kNeedMore);
  for (const std::size_t at : {0, 4, 13, 20}) input[at] = '!';
  input += "ue\r\n";
  const Decoded decoded = codec.Decode(input, request);
  ASSERT_EQ(decoded.status, Decoded::Status::kRequest);
  EXPECT_EQ(decoded.consumed, input.size());
  EXPECT_EQ(request.args, (std::vector<std::string_view>{"SET", "k", "value"}));
}

TEST_F(RespCodecTest, ReadsAHundredThousandArgumentsInSmallReads) {
  Args args(100'000, "argument");
  args[99'999] = "last";
  const std::string bytes = Array(args);
  RespCodec codec(session_, limits_);
  Request request;
  constexpr std::size_t kReadBytes = 512;
  for (std::size_t size = kReadBytes; size < bytes.size(); size += kReadBytes) {
    ASSERT_EQ(codec.Decode({bytes.data(), size}, request).status, Decoded::Status::kNeedMore);
  }
  ASSERT_EQ(codec.Decode(bytes, request).status, Decoded::Status::kRequest);
  EXPECT_TRUE(std::equal(args.begin(), args.end(), request.args.begin(), request.args.end()));
}

}  // namespace
}  // namespace gyre::testing
