#include "protocol/memcached_writer.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "protocol/codec_fixture.h"
#include "protocol/memcached_codec.h"

namespace gyre::testing {
namespace {

using Say = std::function<void(ReplyWriter&)>;

void SayRecord(ReplyWriter& writer, std::string_view key, std::string_view value) {
  writer.BeginRecord({key, 5, 77, value.size()});
  writer.Chunk(value.substr(0, 2));
  writer.Chunk(value.substr(2));
  writer.EndRecord();
}

class MemcachedWriterTest : public ::testing::Test {
 protected:
  std::string Reply(std::string_view command, const Say& say) {
    return Encoded(codec_, CommandOf({command}), say);
  }
  std::string Quiet(const Say& say) {
    Request request = CommandOf({"mc.set"});
    request.quiet = true;
    return Encoded(codec_, request, say);
  }

  MemcachedCodec codec_{CodecLimits{}};
};

TEST_F(MemcachedWriterTest, EncodesSingleReplies) {
  const struct {
    Say say;
    std::string text;
  } cases[] = {
      {[](auto& w) { w.Word(Outcome::kOk); }, "OK\r\n"},
      {[](auto& w) { w.Word(Outcome::kStored); }, "STORED\r\n"},
      {[](auto& w) { w.Word(Outcome::kNotStored); }, "NOT_STORED\r\n"},
      {[](auto& w) { w.Word(Outcome::kExists); }, "EXISTS\r\n"},
      {[](auto& w) { w.Word(Outcome::kNotFound); }, "NOT_FOUND\r\n"},
      {[](auto& w) { w.Word(Outcome::kDeleted); }, "DELETED\r\n"},
      {[](auto& w) { w.Word(Outcome::kTouched); }, "TOUCHED\r\n"},
      {[](auto& w) { w.Null(); }, "NOT_FOUND\r\n"},
      {[](auto& w) { w.Unsigned(18446744073709551615U); }, "18446744073709551615\r\n"},
      {[](auto& w) { w.Integer(-3); }, "-3\r\n"},
      {[](auto& w) { w.Double(0.5); }, "0.5\r\n"},
      {[](auto& w) { w.Boolean(true); }, "1\r\n"},
      {[](auto& w) { w.Text("VERSION 1.0"); }, "VERSION 1.0\r\n"},
      {[](auto& w) { w.Bulk("a\r\nEND\r\n"); }, "a  END  \r\n"},
  };
  for (const auto& [say, text] : cases) EXPECT_EQ(Reply("mc.any", say), text);
}

TEST_F(MemcachedWriterTest, EncodesErrors) {
  const struct {
    ErrorCode code;
    std::string text;
  } cases[] = {
      {ErrorCode::kInvalidArgument, "CLIENT_ERROR a  b\r\n"},
      {ErrorCode::kWrongType, "CLIENT_ERROR a  b\r\n"},
      {ErrorCode::kProtocol, "CLIENT_ERROR a  b\r\n"},
      {ErrorCode::kUnknownCommand, "ERROR\r\n"},
      {ErrorCode::kOutOfMemory, "SERVER_ERROR out of memory storing object\r\n"},
      {ErrorCode::kUnavailable, "SERVER_ERROR a  b\r\n"},
      {ErrorCode::kUnknownOutcome, "SERVER_ERROR a  b\r\n"},
      {ErrorCode::kInternal, "SERVER_ERROR a  b\r\n"},
  };
  for (const auto& [code, text] : cases) {
    EXPECT_EQ(Reply("mc.any", [code = code](auto& w) { w.Fail({code, "a\r\nb"}); }), text);
  }
}

TEST_F(MemcachedWriterTest, ListsRecordsAndSkipsMisses) {
  const Say say = [](ReplyWriter& w) {
    w.BeginList(ListShape::kArray, 3);
    SayRecord(w, "a", "value");
    w.Null();
    SayRecord(w, "c", "\r\n");
    w.EndList();
  };
  const std::string plain = "VALUE a 5 5\r\nvalue\r\nVALUE c 5 2\r\n\r\n\r\nEND\r\n";
  const std::string with_token = "VALUE a 5 5 77\r\nvalue\r\nVALUE c 5 2 77\r\n\r\n\r\nEND\r\n";
  EXPECT_EQ(Reply("mc.get", say), plain);
  EXPECT_EQ(Reply("mc.gat", say), plain);
  EXPECT_EQ(Reply("mc.gets", say), with_token);
  EXPECT_EQ(Reply("mc.gats", say), with_token);
}

TEST_F(MemcachedWriterTest, ARetrievalOutsideAListEndsToo) {
  EXPECT_EQ(Reply("mc.get", [](auto& w) { SayRecord(w, "a", "value"); }),
            "VALUE a 5 5\r\nvalue\r\nEND\r\n");
  EXPECT_EQ(Reply("mc.get", [](auto& w) { w.Null(); }), "END\r\n");
}

TEST_F(MemcachedWriterTest, MapsAreStatistics) {
  EXPECT_EQ(Reply("mc.stats",
                  [](ReplyWriter& w) {
                    w.BeginList(ListShape::kMap, 3);
                    w.Bulk("pid");
                    w.Integer(12);
                    w.Text("version");
                    w.Text("1.0");
                    w.Bulk("none");
                    w.Null();
                    w.EndList();
                  }),
            "STAT pid 12\r\nSTAT version 1.0\r\nSTAT none \r\nEND\r\n");
}

// Clients read a retrieval up to END or the first error line: nothing may stand before or behind
// the error.
TEST_F(MemcachedWriterTest, AFailedElementReplacesTheList) {
  EXPECT_EQ(Reply("mc.get",
                  [](ReplyWriter& w) {
                    w.BeginList(ListShape::kArray, 3);
                    SayRecord(w, "a", "value");
                    w.Fail({ErrorCode::kUnavailable, "no owner"});
                    SayRecord(w, "c", "value");
                    w.Fail({ErrorCode::kUnavailable, "no owner"});
                    w.EndList();
                  }),
            "SERVER_ERROR no owner\r\n");
}

TEST_F(MemcachedWriterTest, LeavesEarlierRepliesAlone) {
  Buffer out;
  out.Append("STORED\r\n");
  ReplyWriter* writer = codec_.WriterFor(CommandOf({"mc.get"}), out);
  writer->BeginList(ListShape::kArray, 2);
  SayRecord(*writer, "a", "value");
  writer->Fail({ErrorCode::kTimeout, "too late"});
  writer->EndList();
  codec_.Recycle(writer);
  EXPECT_EQ(out.view(), "STORED\r\nSERVER_ERROR too late\r\n");
}

TEST_F(MemcachedWriterTest, QuietRequestsGetNoByte) {
  EXPECT_EQ(Quiet([](auto& w) { w.Word(Outcome::kStored); }), "");
  EXPECT_EQ(Quiet([](auto& w) { w.Fail({ErrorCode::kInternal, "bug"}); }), "");
  EXPECT_EQ(Quiet([](auto& w) { w.Null(); }), "");
  EXPECT_EQ(Quiet([](auto& w) {
              w.BeginList(ListShape::kMap, 1);
              SayRecord(w, "a", "value");
              w.Integer(1);
              w.Fail({ErrorCode::kInternal, "bug"});
              w.EndList();
            }),
            "");
}

TEST_F(MemcachedWriterTest, ARestartedReplyForgetsItsList) {
  EXPECT_EQ(Reply("mc.stats",
                  [](ReplyWriter& w) {
                    w.BeginList(ListShape::kMap, 1);
                    w.Restart();
                    w.Fail({ErrorCode::kTimeout, "too late"});
                  }),
            "SERVER_ERROR too late\r\n");
}

TEST_F(MemcachedWriterTest, ARecycledWriterStartsAnew) {
  EXPECT_EQ(Quiet([](auto& w) { w.Integer(1); }), "");
  EXPECT_EQ(Reply("mc.gets", [](auto& w) { w.Null(); }), "END\r\n");
  EXPECT_EQ(Reply("mc.incr", [](auto& w) { w.Null(); }), "NOT_FOUND\r\n");
}

}  // namespace
}  // namespace gyre::testing
