#include "protocol/native_writer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "proto/frame.h"
#include "proto_gen/cluster.pb.h"
#include "proto_gen/native.pb.h"
#include "protocol/codec_fixture.h"
#include "protocol/native_codec.h"

namespace gyre::testing {
namespace {

using Say = std::function<void(ReplyWriter&)>;

constexpr std::uint64_t kId = 0xabcdef0123456789;

class NativeWriterTest : public ::testing::Test {
 protected:
  // The payload of the one frame that `say` makes.
  std::string Payload(const Say& say, FrameType type = FrameType::kReply) {
    Request request;
    request.id = kId;
    if (type == FrameType::kPeerReply) request.kind = Request::Kind::kPeer;
    const std::string frame = Encoded(codec_, request, say);
    const auto header = DecodeFrameHeader(frame.data(), frame.size());
    EXPECT_TRUE(header.has_value());
    EXPECT_EQ(header->type, type);
    EXPECT_EQ(header->request_id, kId);
    EXPECT_EQ(header->payload_bytes, frame.size() - FrameHeader::kBytes);
    return frame.substr(FrameHeader::kBytes);
  }
  // As the generated code of another client reads it.
  wire::Reply Parsed(const Say& say) {
    wire::Reply reply;
    EXPECT_TRUE(reply.ParseFromString(Payload(say)));
    return reply;
  }
  wire::Value Value(const Say& say) { return Parsed(say).value(); }

  NativeCodec codec_{CodecLimits{}};
};

TEST_F(NativeWriterTest, OtherParsersReadScalars) {
  EXPECT_TRUE(Value([](auto& w) { w.Null(); }).null());
  EXPECT_EQ(Value([](auto& w) { w.Word(Outcome::kOk); }).kind_case(), wire::Value::kOutcome);
  EXPECT_EQ(Value([](auto& w) { w.Word(Outcome::kTouched); }).outcome(), wire::TOUCHED);
  EXPECT_EQ(Value([](auto& w) { w.Text("text"); }).text(), "text");
  EXPECT_EQ(Value([](auto& w) { w.Bulk("\xff"); }).bulk(), "\xff");
  EXPECT_EQ(Value([](auto& w) { w.Bulk(""); }).kind_case(), wire::Value::kBulk);
  EXPECT_EQ(Value([](auto& w) { w.Integer(-1); }).integer(), -1);
  EXPECT_EQ(Value([](auto& w) { w.Integer(std::numeric_limits<std::int64_t>::min()); }).integer(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Value([](auto& w) { w.Unsigned(~0ULL); }).unsigned_integer(), ~0ULL);
  EXPECT_EQ(Value([](auto& w) { w.Double(-0.5); }).number(), -0.5);
  EXPECT_TRUE(Value([](auto& w) { w.Boolean(true); }).boolean());
  EXPECT_EQ(Value([](auto& w) { w.Boolean(false); }).kind_case(), wire::Value::kBoolean);
}

TEST_F(NativeWriterTest, OtherParsersReadErrors) {
  const wire::Value value = Value([](auto& w) { w.Fail({ErrorCode::kUnavailable, "no owner"}); });
  EXPECT_EQ(value.error().code(), static_cast<std::uint32_t>(ErrorCode::kUnavailable));
  EXPECT_EQ(value.error().message(), "no owner");
}

TEST_F(NativeWriterTest, OtherParsersReadRecordsAndLists) {
  const wire::Value value = Value([](auto& w) {
    w.BeginList(ListShape::kMap, 2);
    w.Bulk("k");
    w.BeginRecord({"key", 7, 99, 6});
    w.Chunk("val");
    w.Chunk("ue!");
    w.EndRecord();
    w.Integer(1);
    w.BeginList(ListShape::kSet, 0);
    w.EndList();
    w.EndList();
  });
  ASSERT_EQ(value.list().values_size(), 4);
  EXPECT_EQ(value.list().shape(), wire::List::MAP);
  EXPECT_EQ(value.list().values(0).bulk(), "k");
  const wire::Record& record = value.list().values(1).record();
  EXPECT_EQ(record.key(), "key");
  EXPECT_EQ(record.value(), "value!");
  EXPECT_EQ(record.flags(), 7U);
  EXPECT_EQ(record.version(), 99U);
  EXPECT_EQ(value.list().values(3).list().shape(), wire::List::SET);
}

TEST_F(NativeWriterTest, TellsThatTheRingIsStale) {
  EXPECT_FALSE(Parsed([](auto& w) { w.Integer(1); }).stale_ring());
  const Say say[] = {[](auto& w) { w.Integer(1); },
                     [](auto& w) {
                       w.BeginList(ListShape::kArray, 0);
                       w.EndList();
                     },
                     [](auto& w) {
                       w.Fail({ErrorCode::kTimeout, "too late"});
                     }};
  for (const Say& value : say) {
    const Say marked = [&](ReplyWriter& w) {
      w.MarkStaleRing();
      value(w);
    };
    EXPECT_TRUE(Parsed(marked).stale_ring());
    bool stale = false;
    EXPECT_TRUE(DecodeReply(Payload(marked), &stale).has_value());
    EXPECT_TRUE(stale);
  }
}

// A string that is no UTF-8 would make generated parsers refuse the whole message.
TEST_F(NativeWriterTest, MessagesAreUtf8) {
  const struct {
    std::string text;
    std::string sent;
  } cases[] = {
      {"plain", "plain"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"key '\xff\xfe'", "key '?\?'"},
      {"cut \xe2\x82", "cut ?\?"},
      {"overlong \xc0\xaf", "overlong ?\?"},
      {"overlong \xe0\x80\xaf", "overlong ?\?\?"},
      {"surrogate \xed\xa0\x80", "surrogate ?\?\?"},
      {"beyond \xf4\x90\x80\x80", "beyond ?\?\?\?"},
      {"mixed \xff caf\xc3\xa9", "mixed ? caf\xc3\xa9"},
  };
  for (const auto& [text, sent] : cases) {
    EXPECT_EQ(Value([&](auto& w) { w.Text(text); }).text(), sent);
    EXPECT_EQ(Value([&](auto& w) {
                w.Fail({ErrorCode::kInternal, text});
              })
                  .error()
                  .message(),
              sent);
  }
}

TEST_F(NativeWriterTest, PeersGetPeerReplies) {
  EXPECT_EQ(Payload([](auto& w) { w.Peer("opaque"); }, FrameType::kPeerReply), "opaque");
  wire::PeerReply reply;
  ASSERT_TRUE(reply.ParseFromString(Payload(
      [](auto& w) {
        w.Fail({ErrorCode::kClosed, "stopping"});
      },
      FrameType::kPeerReply)));
  EXPECT_EQ(reply.error().code(), static_cast<std::uint32_t>(ErrorCode::kClosed));
  EXPECT_EQ(reply.error().message(), "stopping");
}

TEST_F(NativeWriterTest, ARestartedReplyForgetsItsLists) {
  Buffer out;
  out.Append("before");
  Request request;
  request.id = kId;
  ReplyWriter* writer = codec_.WriterFor(request, out);
  writer->BeginList(ListShape::kArray, 2);
  writer->Integer(1);
  out.Truncate(6);
  writer->Restart();
  writer->Fail({ErrorCode::kUnknownOutcome, "no ack"});
  codec_.Recycle(writer);
  const auto reply = DecodeReply(out.view().substr(6 + FrameHeader::kBytes), nullptr);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->kind, Reply::Kind::kError);
  EXPECT_EQ(reply->error, ErrorCode::kUnknownOutcome);
}

TEST_F(NativeWriterTest, MessagesAreFramesWithTheIdThatSubscribed) {
  Buffer out;
  ReplyWriter* const writer = codec_.PushWriterFor(kId, out);
  for (const std::int64_t number : {1, 2}) {
    writer->BeginPush(2);
    writer->Bulk("news");
    writer->Integer(number);
    writer->EndList();
  }
  codec_.Recycle(writer);
  std::string_view rest = out.view();
  for (const std::int64_t number : {1, 2}) {
    const FrameHeader header = DecodeFrameHeader(rest.data(), rest.size()).value();
    EXPECT_EQ(header.type, FrameType::kPush);
    EXPECT_EQ(header.request_id, kId);
    const auto message =
        DecodeReply(rest.substr(FrameHeader::kBytes, header.payload_bytes), nullptr);
    ASSERT_TRUE(message.has_value());
    ASSERT_EQ(message->elements.size(), 2U);
    EXPECT_EQ(message->elements[0].bytes, "news");
    EXPECT_EQ(message->elements[1].integer, number);
    rest.remove_prefix(header.frame_bytes());
  }
  EXPECT_TRUE(rest.empty());
  // The writer is one of replies again.
  EXPECT_EQ(Value([](auto& w) { w.Integer(1); }).integer(), 1);
}

// ---- DecodeReply -------------------------------------------------------------------------------

std::string Nested(int depth) {
  wire::Reply reply;
  wire::Value* value = reply.mutable_value();
  for (int i = 0; i < depth; ++i) value = value->mutable_list()->add_values();
  value->set_null(true);
  return reply.SerializeAsString();
}

TEST(DecodeReplyTest, BoundsTheDepthOfLists) {
  EXPECT_TRUE(DecodeReply(Nested(kReplyDepthMax), nullptr).has_value());
  EXPECT_FALSE(DecodeReply(Nested(kReplyDepthMax + 1), nullptr).has_value());
  EXPECT_FALSE(DecodeReply(Nested(90), nullptr).has_value());
}

TEST(DecodeReplyTest, RefusesWhatIsNoReply) {
  using namespace std::string_literals;
  const std::string cases[] = {
      "",                               // no value
      "\x0a\x00"s,                      // a value that says nothing
      "\x0a\x02\x08"s,                  // cut
      "\x0a\x05\x52\x03\x12\x01\x08"s,  // cut in a list
      "\x0a\x04\x52\x02\x08\x09"s,      // an unknown shape
      "\x0a\x06\x52\x04\x12\x02\x08"s,  // lengths that do not agree
      "\xff\xff\xff\xff\xff"s,
      // A map of one element.
      "\x0a\x08\x52\x06\x08\x01\x12\x02\x08\x01"s,
  };
  for (const std::string& bytes : cases) {
    const auto reply = DecodeReply(bytes, nullptr);
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ErrorCode::kProtocol);
  }
}

TEST(DecodeReplyTest, TakesWordsAndCodesOfNewerReleasesForErrors) {
  wire::Reply reply;
  reply.mutable_value()->set_outcome(static_cast<wire::Outcome>(200));
  EXPECT_EQ(DecodeReply(reply.SerializeAsString(), nullptr)->kind, Reply::Kind::kError);
  reply.mutable_value()->mutable_error()->set_code(1000);
  EXPECT_EQ(DecodeReply(reply.SerializeAsString(), nullptr)->error, ErrorCode::kInternal);
}

// ---- What is written is what is read -----------------------------------------------------------

bool Same(const Reply& a, const Reply& b) {
  return a.kind == b.kind && a.outcome == b.outcome && a.error == b.error && a.shape == b.shape &&
         a.bytes == b.bytes && a.key == b.key && a.integer == b.integer &&
         a.unsigned_integer == b.unsigned_integer && a.number == b.number &&
         a.boolean == b.boolean && a.flags == b.flags && a.version == b.version &&
         std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(), b.elements.end(),
                    Same);
}

Reply ArbitraryReply(int depth) {
  Reply reply;
  reply.kind = static_cast<Reply::Kind>(
      *rc::gen::inRange(0, static_cast<int>(Reply::Kind::kRecord) + (depth > 0 ? 1 : -1)));
  switch (reply.kind) {
    case Reply::Kind::kNull:
      break;
    case Reply::Kind::kOutcome:
      reply.outcome = static_cast<Outcome>(*rc::gen::inRange(0, 8));
      break;
    case Reply::Kind::kError:
      reply.error = static_cast<ErrorCode>(*rc::gen::inRange(0, 17));
      reply.bytes = *rc::gen::string<std::string>();
      for (char& c : reply.bytes) c &= 0x7f;
      break;
    case Reply::Kind::kText:
      reply.bytes = *rc::gen::string<std::string>();
      for (char& c : reply.bytes) c &= 0x7f;
      break;
    case Reply::Kind::kBulk:
      reply.bytes = *rc::gen::arbitrary<std::string>();
      break;
    case Reply::Kind::kInteger:
      reply.integer = *rc::gen::arbitrary<std::int64_t>();
      break;
    case Reply::Kind::kUnsigned:
      reply.unsigned_integer = *rc::gen::arbitrary<std::uint64_t>();
      break;
    case Reply::Kind::kDouble:
      reply.number = *rc::gen::arbitrary<double>();
      break;
    case Reply::Kind::kBoolean:
      reply.boolean = *rc::gen::arbitrary<bool>();
      break;
    case Reply::Kind::kRecord:
      reply.key = *rc::gen::arbitrary<std::string>();
      reply.bytes = *rc::gen::arbitrary<std::string>();
      reply.flags = *rc::gen::arbitrary<std::uint32_t>();
      reply.version = *rc::gen::arbitrary<std::uint64_t>();
      break;
    case Reply::Kind::kList: {
      reply.shape = static_cast<ListShape>(*rc::gen::inRange(0, 3));
      const int count = *rc::gen::inRange(0, 5) * (reply.shape == ListShape::kMap ? 2 : 1);
      for (int i = 0; i < count; ++i) reply.elements.push_back(ArbitraryReply(depth - 1));
      break;
    }
  }
  return reply;
}

RC_GTEST_PROP(NativeReplyProperty, WhatIsWrittenIsWhatIsRead, ()) {
  constexpr int kDepth = 3;
  const Reply reply = ArbitraryReply(kDepth);
  const bool stale_ring = *rc::gen::arbitrary<bool>();
  NativeCodec codec{CodecLimits{}};
  const std::string frame = Encoded(codec, Request{}, [&](ReplyWriter& writer) {
    if (stale_ring) writer.MarkStaleRing();
    Replay(reply, writer);
  });
  bool read_stale_ring = false;
  const auto read =
      DecodeReply(std::string_view(frame).substr(FrameHeader::kBytes), &read_stale_ring);
  RC_ASSERT(read.has_value());
  RC_ASSERT(Same(*read, reply));
  RC_ASSERT(read_stale_ring == stale_ring);
  wire::Reply parsed;
  RC_ASSERT(parsed.ParseFromString(frame.substr(FrameHeader::kBytes)));
}

RC_GTEST_PROP(ReplyProperty, ARecordedReplyIsWhatWasSaid, ()) {
  constexpr int kDepth = 3;
  const Reply reply = ArbitraryReply(kDepth);
  ReplyRecorder recorder;
  Replay(reply, recorder);
  RC_ASSERT(Same(recorder.Take(), reply));
}

}  // namespace
}  // namespace gyre::testing
