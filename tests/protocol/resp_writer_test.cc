#include "protocol/resp_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "protocol/codec_fixture.h"
#include "protocol/resp_codec.h"

namespace gyre::testing {
namespace {

using Say = std::function<void(ReplyWriter&)>;

class RespWriterTest : public ::testing::Test {
 protected:
  std::string Resp(int version, const Say& say) {
    session_.resp_version = version;
    return Encoded(codec_, Request{}, say);
  }
  std::string FailText(ErrorCode code, std::string message) {
    return Resp(2, [&](ReplyWriter& writer) { writer.Fail({code, message}); });
  }

  Session session_;
  RespCodec codec_{session_, CodecLimits{}};
};

TEST_F(RespWriterTest, EncodesEachReplyInBothVersions) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMaxUnsigned = std::numeric_limits<std::uint64_t>::max();
  const struct {
    const char* name;
    Say say;
    std::string resp2;
    std::string resp3;
  } cases[] = {
      {"null", [](auto& w) { w.Null(); }, "$-1\r\n", "_\r\n"},
      {"ok", [](auto& w) { w.Word(Outcome::kOk); }, "+OK\r\n", "+OK\r\n"},
      {"stored", [](auto& w) { w.Word(Outcome::kStored); }, "+OK\r\n", "+OK\r\n"},
      {"deleted", [](auto& w) { w.Word(Outcome::kDeleted); }, "+OK\r\n", "+OK\r\n"},
      {"touched", [](auto& w) { w.Word(Outcome::kTouched); }, "+OK\r\n", "+OK\r\n"},
      {"pong", [](auto& w) { w.Word(Outcome::kPong); }, "+PONG\r\n", "+PONG\r\n"},
      {"not stored", [](auto& w) { w.Word(Outcome::kNotStored); }, "$-1\r\n", "_\r\n"},
      {"exists", [](auto& w) { w.Word(Outcome::kExists); }, "$-1\r\n", "_\r\n"},
      {"not found", [](auto& w) { w.Word(Outcome::kNotFound); }, "$-1\r\n", "_\r\n"},
      {"text", [](auto& w) { w.Text("string"); }, "+string\r\n", "+string\r\n"},
      {"text of two lines", [](auto& w) { w.Text("a\r\nb"); }, "+a  b\r\n", "+a  b\r\n"},
      {"bulk", [](auto& w) { w.Bulk("a\r\nb"); }, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
      {"empty bulk", [](auto& w) { w.Bulk({}); }, "$0\r\n\r\n", "$0\r\n\r\n"},
      {"integer", [](auto& w) { w.Integer(-42); }, ":-42\r\n", ":-42\r\n"},
      {"least integer", [](auto& w) { w.Integer(kMin); }, ":-9223372036854775808\r\n",
       ":-9223372036854775808\r\n"},
      {"unsigned", [](auto& w) { w.Unsigned(42); }, ":42\r\n", ":42\r\n"},
      {"big unsigned", [](auto& w) { w.Unsigned(kMaxUnsigned); }, "$20\r\n18446744073709551615\r\n",
       "(18446744073709551615\r\n"},
      {"double", [](auto& w) { w.Double(3.25); }, "$4\r\n3.25\r\n", ",3.25\r\n"},
      {"tenth", [](auto& w) { w.Double(0.1); }, "$3\r\n0.1\r\n", ",0.1\r\n"},
      {"infinity", [](auto& w) { w.Double(std::numeric_limits<double>::infinity()); },
       "$3\r\ninf\r\n", ",inf\r\n"},
      {"no number", [](auto& w) { w.Double(-std::numeric_limits<double>::quiet_NaN()); },
       "$3\r\nnan\r\n", ",nan\r\n"},
      {"least double", [](auto& w) { w.Double(-std::numeric_limits<double>::denorm_min()); },
       "$7\r\n-5e-324\r\n", ",-5e-324\r\n"},
      {"true", [](auto& w) { w.Boolean(true); }, ":1\r\n", "#t\r\n"},
      {"false", [](auto& w) { w.Boolean(false); }, ":0\r\n", "#f\r\n"},
      {"empty array",
       [](auto& w) {
         w.BeginList(ListShape::kArray, 0);
         w.EndList();
       },
       "*0\r\n", "*0\r\n"},
      {"array",
       [](auto& w) {
         w.BeginList(ListShape::kArray, 3);
         w.Bulk("a");
         w.Null();
         w.BeginList(ListShape::kArray, 1);
         w.Integer(1);
         w.EndList();
         w.EndList();
       },
       "*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n", "*3\r\n$1\r\na\r\n_\r\n*1\r\n:1\r\n"},
      {"map",
       [](auto& w) {
         w.BeginList(ListShape::kMap, 1);
         w.Bulk("k");
         w.Integer(1);
         w.EndList();
       },
       "*2\r\n$1\r\nk\r\n:1\r\n", "%1\r\n$1\r\nk\r\n:1\r\n"},
      {"set",
       [](auto& w) {
         w.BeginList(ListShape::kSet, 1);
         w.Bulk("k");
         w.EndList();
       },
       "*1\r\n$1\r\nk\r\n", "~1\r\n$1\r\nk\r\n"},
      {"record in one piece",
       [](auto& w) {
         w.Record({"key", 7, 99, 6}, "value!");
       },
       "$6\r\nvalue!\r\n", "$6\r\nvalue!\r\n"},
      {"record in chunks",
       [](auto& w) {
         w.BeginRecord({"key", 7, 99, 6});
         w.Chunk("val");
         w.Chunk("");
         w.Chunk("ue!");
         w.EndRecord();
       },
       "$6\r\nvalue!\r\n", "$6\r\nvalue!\r\n"},
      {"text for people", [](ReplyWriter& w) { w.Verbatim("a\nb"); }, "$3\r\na\nb\r\n",
       "=7\r\ntxt:a\nb\r\n"},
  };
  for (const auto& [name, say, resp2, resp3] : cases) {
    EXPECT_EQ(Resp(2, say), resp2) << name;
    EXPECT_EQ(Resp(3, say), resp3) << name;
  }
}

TEST_F(RespWriterTest, SpeaksTheVersionOfTheMomentOfWriting) {
  session_.resp_version = 2;
  const std::string text = Encoded(codec_, Request{}, [&](ReplyWriter& writer) {
    session_.resp_version = 3;
    writer.Null();
  });
  EXPECT_EQ(text, "_\r\n");
}

TEST_F(RespWriterTest, NamesErrorsAsRedisDoes) {
  const struct {
    ErrorCode code;
    std::string message;
    std::string text;
  } cases[] = {
      {ErrorCode::kMoved, "42 127.0.0.1:7379", "-MOVED 42 127.0.0.1:7379\r\n"},
      {ErrorCode::kCrossSlot, "keys differ", "-CROSSSLOT keys differ\r\n"},
      {ErrorCode::kUnavailable, "no owner", "-CLUSTERDOWN no owner\r\n"},
      {ErrorCode::kOutOfMemory, "full", "-OOM full\r\n"},
      {ErrorCode::kTooFewReplicas, "1 of 2", "-NOREPLICAS 1 of 2\r\n"},
      {ErrorCode::kUnknownOutcome, "no ack", "-UNKNOWNOUTCOME no ack\r\n"},
      {ErrorCode::kTimeout, "too late", "-TIMEOUT too late\r\n"},
      {ErrorCode::kInternal, "bug", "-ERR bug\r\n"},
      {ErrorCode::kWrongType, "value is not an integer", "-ERR value is not an integer\r\n"},
      {ErrorCode::kWrongType, "WRONGTYPE Operation", "-WRONGTYPE Operation\r\n"},
      {ErrorCode::kNotAllowed, "NOAUTH", "-NOAUTH\r\n"},
      {ErrorCode::kInvalidArgument, "NOPROTO unsupported", "-NOPROTO unsupported\r\n"},
      {ErrorCode::kInvalidArgument, "WRONGTYPES of men", "-ERR WRONGTYPES of men\r\n"},
      {ErrorCode::kUnknownCommand, "unknown command 'a\r\n+OK'",
       "-ERR unknown command 'a  +OK'\r\n"},
      {ErrorCode::kInternal, "", "-ERR \r\n"},
  };
  for (const auto& [code, message, text] : cases) EXPECT_EQ(FailText(code, message), text);
}

TEST_F(RespWriterTest, MessagesAreMarkedInResp3) {
  for (const auto& [version, text] :
       {std::pair(2, "*2\r\n$4\r\nnews\r\n:1\r\n"), std::pair(3, ">2\r\n$4\r\nnews\r\n:1\r\n")}) {
    session_.resp_version = version;
    Buffer out;
    ReplyWriter* const writer = codec_.PushWriterFor(0, out);
    writer->BeginPush(2);
    writer->Bulk("news");
    writer->Integer(1);
    writer->EndList();
    codec_.Recycle(writer);
    EXPECT_EQ(out.view(), text);
  }
}

// Two replies under construction have two writers; a recycled writer is used again.
TEST_F(RespWriterTest, WritersAreApartAndUsedAgain) {
  Buffer first_out;
  Buffer second_out;
  ReplyWriter* const first = codec_.WriterFor(Request{}, first_out);
  ReplyWriter* const second = codec_.WriterFor(Request{}, second_out);
  ASSERT_NE(first, second);
  first->BeginList(ListShape::kArray, 1);
  second->Integer(2);
  first->Integer(1);
  first->EndList();
  EXPECT_EQ(first_out.view(), "*1\r\n:1\r\n");
  EXPECT_EQ(second_out.view(), ":2\r\n");
  codec_.Recycle(first);
  EXPECT_EQ(codec_.WriterFor(Request{}, second_out), first);
  codec_.Recycle(first);
  codec_.Recycle(second);
}

}  // namespace
}  // namespace gyre::testing
