#include "protocol/memcached_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "protocol/codec_fixture.h"

namespace gyre::testing {
namespace {

using Args = std::vector<std::string>;
using namespace std::string_literals;

class MemcachedCodecTest : public ::testing::Test {
 protected:
  MakeCodec Make() {
    return [this] { return std::make_unique<MemcachedCodec>(limits_); };
  }

  // What comes out of `bytes`, as a client would see it: "mc.get k", "mc.set k 0 0 value quiet",
  // "ERROR", "CLIENT_ERROR bad data chunk", and "(closed)" at the end of the connection.
  std::vector<std::string> Story(std::string_view bytes) {
    const Replayed replayed = Replay(Make(), bytes);
    std::vector<std::string> story;
    for (const Event& event : replayed.events) {
      story.push_back(event.status == Decoded::Status::kRequest ? Words(event)
                                                                : Reply(event.error));
    }
    if (replayed.closed) story.emplace_back("(closed)");
    return story;
  }

  CodecLimits limits_;

 private:
  static std::string Words(const Event& event) {
    std::string text;
    for (const std::string& argument : event.args) text += (text.empty() ? "" : " ") + argument;
    return event.quiet ? text + " quiet" : text;
  }

  // What the writer says of the error, without its line end.
  std::string Reply(const Error& error) {
    const std::string text =
        Encoded(*Make()(), Request{}, [&](ReplyWriter& writer) { writer.Fail(error); });
    return text.substr(0, text.size() - 2);
  }
};

using Lines = std::vector<std::string>;

const std::string kLongKey(251, 'k');
const std::string kLongestKey(250, 'k');

TEST_F(MemcachedCodecTest, ReadsEachCommand) {
  const struct {
    std::string bytes;
    std::string words;
  } cases[] = {
      {"get a\r\n", "mc.get a"},
      {"get a b c\r\n", "mc.get a b c"},
      {"get a\n", "mc.get a"},
      {"  get   a  \r\n", "mc.get a"},
      {"get " + kLongestKey + "\r\n", "mc.get " + kLongestKey},
      {"get noreply\r\n", "mc.get noreply"},
      {"gets a b\r\n", "mc.gets a b"},
      {"gat 10 a b\r\n", "mc.gat 10 a b"},
      {"gats -1 a\r\n", "mc.gats -1 a"},
      {"set a 1 2 5\r\nvalue\r\n", "mc.set a 1 2 value"},
      {"set a 0 0 0\r\n\r\n", "mc.set a 0 0 "},
      {"set a 0 0 4\r\n\r\n\r\n\r\n", "mc.set a 0 0 \r\n\r\n"},
      {"set a 0 0 5 noreply\r\nvalue\r\n", "mc.set a 0 0 value quiet"},
      {"set a 4294967295 -1 1\r\nx\r\n", "mc.set a 4294967295 -1 x"},
      {"set  a  0  0  1 \r\nx\r\n", "mc.set a 0 0 x"},
      {"set a 0 0 1\nx\r\n", "mc.set a 0 0 x"},
      {"add a 1 2 1\r\nx\r\n", "mc.add a 1 2 x"},
      {"replace a 1 2 1\r\nx\r\n", "mc.replace a 1 2 x"},
      {"append a 1 2 1\r\nx\r\n", "mc.append a 1 2 x"},
      {"prepend a 1 2 1 noreply\r\nx\r\n", "mc.prepend a 1 2 x quiet"},
      {"cas a 1 2 5 99\r\nvalue\r\n", "mc.cas a 1 2 99 value"},
      {"cas a 1 2 5 99 noreply\r\nvalue\r\n", "mc.cas a 1 2 99 value quiet"},
      {"delete a\r\n", "mc.delete a"},
      {"delete a 0\r\n", "mc.delete a"},
      {"delete a noreply\r\n", "mc.delete a quiet"},
      {"delete a 0 noreply\r\n", "mc.delete a quiet"},
      {"incr a 5\r\n", "mc.incr a 5"},
      {"incr a 18446744073709551615\r\n", "mc.incr a 18446744073709551615"},
      {"decr a 5 noreply\r\n", "mc.decr a 5 quiet"},
      {"touch a 10\r\n", "mc.touch a 10"},
      {"touch a 10 noreply\r\n", "mc.touch a 10 quiet"},
      {"flush_all\r\n", "mc.flush_all 0"},
      {"flush_all 10\r\n", "mc.flush_all 10"},
      {"flush_all noreply\r\n", "mc.flush_all 0 quiet"},
      {"flush_all 10 noreply\r\n", "mc.flush_all 10 quiet"},
      {"stats\r\n", "mc.stats"},
      {"stats settings\r\n", "mc.stats settings"},
      {"version\r\n", "mc.version"},
      {"verbosity 1\r\n", "mc.verbosity 1"},
      {"verbosity 1 noreply\r\n", "mc.verbosity 1 quiet"},
      {"verbosity noreply\r\n", "mc.verbosity 0 quiet"},
      {"quit\r\n", "mc.quit quiet"},
  };
  for (const auto& [bytes, words] : cases) EXPECT_EQ(Story(bytes), Lines{words}) << bytes;
}

// Each byte at each place of a word of eight, and behind the last whole one.
TEST(MemcachedKeyEndTest, IsTheFirstByteThatNoKeyHas) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool ends = byte <= ' ' || byte == 0x7f;
    for (std::size_t at = 0; at < 21; ++at) {
      std::string text = "key-\xff\x80~!-key-key-key";
      text[at] = static_cast<char>(byte);
      if (at + 2 < text.size()) text[at + 2] = ' ';
      const std::size_t expected = ends ? at : std::min(at + 2, text.size());
      const char* const end = MemcachedKeyEnd(text.data(), text.data() + text.size());
      ASSERT_EQ(static_cast<std::size_t>(end - text.data()), expected) << byte << " at " << at;
      ASSERT_EQ(IsMemcachedKey(text), expected == text.size());
    }
  }
  EXPECT_FALSE(IsMemcachedKey(""));
  EXPECT_TRUE(IsMemcachedKey(std::string(250, 'k')));
  EXPECT_FALSE(IsMemcachedKey(std::string(251, 'k')));
}

TEST_F(MemcachedCodecTest, KeepsEachArgumentApart) {
  const Replayed replayed = Replay(Make(), "cas k 1 2 3 4\r\na b\r\n");
  ASSERT_EQ(replayed.events.size(), 1U);
  EXPECT_EQ(replayed.events[0].args, (Args{"mc.cas", "k", "1", "2", "4", "a b"}));
}

TEST_F(MemcachedCodecTest, ReadsPipelines) {
  EXPECT_EQ(
      Story("set a 0 0 2\r\nab\r\nget a\r\nset b 0 0 1 noreply\r\nx\r\nget b\r\nquit\r\n"),
      (Lines{"mc.set a 0 0 ab", "mc.get a", "mc.set b 0 0 x quiet", "mc.get b", "mc.quit quiet"}));
}

// Each followed by a command that must be read as such: the stream is in step again.
TEST_F(MemcachedCodecTest, RefusesAndGoesOn) {
  const std::string bad_format = "CLIENT_ERROR bad command line format";
  const std::string bad_exptime = "CLIENT_ERROR invalid exptime argument";
  const std::string bad_delta = "CLIENT_ERROR invalid numeric delta argument";
  const std::string bad_delete = bad_format + ".  Usage: delete <key> [noreply]";
  const struct {
    std::string bytes;
    Lines replies;
  } cases[] = {
      {"\r\n", {"ERROR"}},
      {" \r\n", {"ERROR"}},
      {"bogus\r\n", {"ERROR"}},
      {"GET a\r\n", {"ERROR"}},
      {"get\r\n", {"ERROR"}},
      {"gets \r\n", {"ERROR"}},
      {"gat 1\r\n", {"ERROR"}},
      {"gat x a\r\n", {bad_exptime}},
      {"get " + kLongKey + "\r\n", {bad_format}},
      {"get a " + kLongKey + " b\r\n", {bad_format}},
      {"get a\tb\r\n", {bad_format}},
      {"get a\x01\r\n", {bad_format}},
      {"get a\x7f\r\n", {bad_format}},
      {"get \0\r\n"s, {bad_format}},
      {"set a 0 0\r\n", {"ERROR"}},
      {"set a 0 0 1 noreply x\r\n", {"ERROR"}},
      {"set a 0 0 -1\r\n", {bad_format}},
      {"set a 0 0 x\r\n", {bad_format}},
      {"set a 0 0 2147483646\r\n", {bad_format}},
      {"set a 0 0 99999999999999999999\r\n", {bad_format}},
      {"set a x 0 1\r\nv\r\n", {bad_format}},
      {"set a -1 0 1\r\nv\r\n", {bad_format}},
      {"set a 18446744073709551616 0 1\r\nv\r\n", {bad_format}},
      {"set a 0 x 1\r\nv\r\n", {bad_format}},
      {"set a\x01 0 0 9\r\nversion\r\n\r\n", {bad_format}},
      {"set " + kLongKey + " 0 0 9\r\nversion\r\n\r\n", {bad_format}},
      {"set a x 0 1 noreply\r\nv\r\n", {}},
      {"cas a 0 0 1\r\n", {"ERROR"}},
      {"cas a 0 0 1 x\r\nv\r\n", {bad_format}},
      {"cas a 0 0 1 -1\r\nv\r\n", {bad_format}},
      {"set a 0 0 3\r\nabcdef\r\n", {"CLIENT_ERROR bad data chunk", "ERROR"}},
      {"set a 0 0 3 noreply\r\nabcdef\r\n", {"ERROR"}},
      {"set a 0 0 3\r\nabc\n\r\n", {"CLIENT_ERROR bad data chunk", "ERROR"}},
      {"set a 0 0 1\r\nx\rX", {"CLIENT_ERROR bad data chunk"}},
      {"delete\r\n", {"ERROR"}},
      {"delete a 5\r\n", {bad_delete}},
      {"delete a b c\r\n", {bad_delete}},
      {"delete a 0 c\r\n", {bad_delete}},
      {"delete a b c d\r\n", {"ERROR"}},
      {"delete " + kLongKey + "\r\n", {bad_format}},
      {"incr a\r\n", {"ERROR"}},
      {"incr a x\r\n", {bad_delta}},
      {"incr a -1\r\n", {bad_delta}},
      {"incr a 18446744073709551616\r\n", {bad_delta}},
      {"incr " + kLongKey + " 1\r\n", {bad_format}},
      {"decr a x noreply\r\n", {}},
      {"touch a\r\n", {"ERROR"}},
      {"touch a x\r\n", {bad_exptime}},
      {"touch " + kLongKey + " 1\r\n", {bad_format}},
      {"flush_all x\r\n", {bad_exptime}},
      {"flush_all 1 2 3\r\n", {"ERROR"}},
      {"verbosity\r\n", {"ERROR"}},
      {"verbosity x\r\n", {bad_format}},
      {"verbosity 1 2 3 4\r\n", {"ERROR"}},
  };
  for (const auto& [bytes, replies] : cases) {
    Lines expected = replies;
    expected.emplace_back("mc.version");
    EXPECT_EQ(Story(bytes + "version\r\n"), expected) << bytes;
  }
}

TEST_F(MemcachedCodecTest, SwallowsWhatIsTooLarge) {
  limits_.value_bytes_max = 100;
  const std::string data = std::string(101, 'x') + "\r\n";
  EXPECT_EQ(Story("set a 0 0 100\r\n" + data.substr(1) + "version\r\n").size(), 2U);
  EXPECT_EQ(Story("add a 0 0 101\r\n" + data + "version\r\n"),
            (Lines{"SERVER_ERROR object too large for cache", "mc.version"}));
  EXPECT_EQ(Story("add a 0 0 101 noreply\r\n" + data + "version\r\n"), Lines{"mc.version"});
  // A set takes the old value away.
  EXPECT_EQ(Story("set a 0 0 101\r\n" + data + "version\r\n"),
            (Lines{"mc.refused a", "mc.version"}));
}

// Data of a refused set is not taken for commands, wherever its connection pauses.
TEST_F(MemcachedCodecTest, IsNotReadAheadBehindARefusedSet) {
  limits_.value_bytes_max = 4;
  MemcachedCodec codec(limits_);
  const std::string input = "set a 0 0 9\r\nversion\r\n\r\nversion\r\n";
  Request request;
  const Decoded refused = codec.Decode(input, request);
  EXPECT_EQ(refused.status, Decoded::Status::kRequest);
  EXPECT_EQ(request.args, (std::vector<std::string_view>{"mc.refused", "a"}));
  EXPECT_FALSE(codec.MayReadAhead(std::string_view(input).substr(refused.consumed)));
}

TEST_F(MemcachedCodecTest, ABinaryClientIsToldInBinary) {
  std::string header(24, '\0');
  header[0] = '\x80';
  header[1] = '\x0b';
  header.replace(12, 4, "opaq");
  const Replayed replayed = Replay([&] { return std::make_unique<MemcachedCodec>(limits_); },
                                   "version\r\n" + header + "more");
  ASSERT_EQ(replayed.events.size(), 2U);
  EXPECT_TRUE(replayed.closed);
  Request request;
  request.id = replayed.events[1].id;
  MemcachedCodec codec(limits_);
  const std::string reply =
      Encoded(codec, request, [&](ReplyWriter& writer) { writer.Fail(replayed.events[1].error); });
  ASSERT_GT(reply.size(), 24U);
  EXPECT_EQ(reply.substr(0, 8), ("\x81\x0b\0\0\0\0\0\x83"s));
  EXPECT_EQ(static_cast<std::size_t>(static_cast<unsigned char>(reply[11])), reply.size() - 24);
  EXPECT_EQ(reply.substr(12, 4), "opaq");
}

TEST_F(MemcachedCodecTest, ClosesAtHttp) {
  const Lines closed = {"CLIENT_ERROR this port speaks memcached, not HTTP", "(closed)"};
  for (const char* line :
       {"POST / HTTP/1.1\r\n", "PUT /x HTTP/1.0\r\n", "host: x\r\n", "Host: 127.0.0.1:11211\r\n"}) {
    EXPECT_EQ(Story(std::string(line) + "version\r\n"), closed) << line;
  }
}

// Refused data is consumed as it comes: a gigabyte of it never stands in the input buffer.
TEST_F(MemcachedCodecTest, NeverWaitsForRefusedData) {
  MemcachedCodec codec(limits_);
  Feeder feeder(codec, Patience::kAsWanted);
  feeder.Feed("set a 0 0 2000000000\r\n");
  ASSERT_EQ(feeder.events().size(), 1U);
  for (int i = 0; i < 10; ++i) {
    feeder.Feed(std::string(1000, 'x'));
    EXPECT_EQ(feeder.pending(), 0U);
  }
  EXPECT_EQ(feeder.events().size(), 1U);
}

TEST_F(MemcachedCodecTest, ClosesAtALineWithoutEnd) {
  const Lines closed = {"CLIENT_ERROR line too long", "(closed)"};
  EXPECT_EQ(Story(std::string(2049, 'x')), closed);
  EXPECT_EQ(Story(std::string(3000, 'x') + "\r\n"), closed);
  EXPECT_EQ(Story("set " + std::string(3000, 'x')), closed);
  EXPECT_EQ(Story(std::string(2000, 'x') + "\r\n"), Lines{"ERROR"});
}

TEST_F(MemcachedCodecTest, RetrievalsMayBeLonger) {
  std::string keys;
  for (int i = 0; i < 3000; ++i) keys += " k" + std::to_string(i);
  EXPECT_EQ(Story("get" + keys + "\r\n"), Lines{"mc.get" + keys});
  EXPECT_EQ(Story("gats 0" + keys + "\r\n"), Lines{"mc.gats 0" + keys});
  EXPECT_EQ(ReplaySplit(Make(), "get " + std::string(1024 * 1024, 'k'), {}).closed, true);

  limits_.argument_count_max = 2000;
  EXPECT_EQ(Story("get" + keys + "\r\nversion\r\n"),
            (Lines{"CLIENT_ERROR too many keys in one command", "mc.version"}));
}

TEST_F(MemcachedCodecTest, WaitsForWhatIsHalfSent) {
  const std::string whole = "cas a 0 0 5 1\r\nvalue\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Replayed replayed = ReplaySplit(Make(), whole.substr(0, size), {});
    EXPECT_TRUE(replayed.events.empty()) << size;
    EXPECT_EQ(replayed.pending, size);
  }
}

TEST_F(MemcachedCodecTest, GoesOnWhereItStopped) {
  MemcachedCodec codec(limits_);
  Request request;
  std::string input = "set k 1 2 5\r\nval";
  const Decoded waiting = codec.Decode(input, request);
  ASSERT_EQ(waiting.status, Decoded::Status::kNeedMore);
  EXPECT_EQ(waiting.wanted, input.size() + 4);
  for (const std::size_t at : {0, 3, 10, 11, 12}) input[at] = '!';
  input += "ue\r\n";
  ASSERT_EQ(codec.Decode(input, request).status, Decoded::Status::kRequest);
  EXPECT_EQ(request.args, (std::vector<std::string_view>{"mc.set", "k", "1", "2", "value"}));
}

}  // namespace
}  // namespace gyre::testing
