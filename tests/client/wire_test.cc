#include "client/wire.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/frame.h"
#include "proto/native_reply.h"
#include "proto_gen/native.pb.h"

namespace gyre::client {
namespace {

using Kind = Value::Kind;

Result<DecodedReply> Decode(const wire::Reply& reply) {
  return DecodeReply(reply.SerializeAsString());
}

// What `fill` wrote, as the client reads it.
template <typename Fill>
Value ValueOf(Fill fill) {
  wire::Reply reply;
  fill(*reply.mutable_value());
  Result<DecodedReply> decoded = Decode(reply);
  EXPECT_TRUE(decoded) << decoded.error().message;
  return decoded ? decoded->value : Value{};
}

TEST(WireTest, ARequestIsWhatProtobufReads) {
  const std::string binary("\0\xff\r\n", 4);
  const Result<std::string> request = EncodeRequest({"SET", "key", binary}, 2);
  ASSERT_TRUE(request);
  ByteQueue<> out;
  AppendRequestFrame(42, *request, 300, out);

  const auto header = DecodeFrameHeader(out.data(), 1000);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::kRequest);
  EXPECT_EQ(header->request_id, 42u);
  ASSERT_EQ(out.size(), FrameHeader::kBytes + header->payload_bytes);
  wire::Request read;
  ASSERT_TRUE(read.ParseFromString(std::string(out.view().substr(FrameHeader::kBytes))));
  ASSERT_EQ(read.args_size(), 3);
  EXPECT_EQ(read.args(2), binary);
  EXPECT_EQ(read.write_acks(), 2u);
  EXPECT_EQ(read.deadline_ms(), 300u);
  EXPECT_EQ(read.hops(), 0u);
}

TEST(WireTest, ARequestWithoutAcksOrDeadlineLeavesThemOut) {
  ByteQueue<> out;
  AppendRequestFrame(1, *EncodeRequest({"PING"}, 0), 0, out);
  EXPECT_EQ(out.size(), FrameHeader::kBytes + 2 + 4);
}

// In memory of its own, so that AddressSanitizer sees a look beyond the end.
TEST(WireTest, AReplyThatEndsBehindAnyByteIsReadNoFurther) {
  wire::Reply reply;
  reply.mutable_value()->set_boolean(true);
  reply.set_stale_ring(true);
  const std::string whole = reply.SerializeAsString();
  ASSERT_TRUE(DecodeReply(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto decoded = DecodeReply({cut.data(), cut.size()});
    // Cut between two fields it is a message, too.
    EXPECT_FALSE(decoded && decoded->stale_ring) << size;
  }
}

TEST(WireTest, ARequestNeedsAName) {
  EXPECT_EQ(EncodeRequest({}, 0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(EncodeRequest({""}, 0).error().code, ErrorCode::kInvalidArgument);
  const std::vector<std::string_view> many(kArgumentCountMax + 1, "a");
  EXPECT_EQ(EncodeRequest(many, 0).error().code, ErrorCode::kTooLarge);
}

TEST(WireTest, EveryKindOfValue) {
  EXPECT_EQ(ValueOf([](auto& v) { v.set_null(true); }).kind, Kind::kNull);
  const Value word = ValueOf([](auto& v) { v.set_outcome(wire::NOT_STORED); });
  EXPECT_EQ(word.kind, Kind::kWord);
  EXPECT_EQ(word.text, "NOT_STORED");
  EXPECT_EQ(ValueOf([](auto& v) { v.set_outcome(wire::OK); }).text, "OK")
      << "number 0 is sent, too";
  EXPECT_EQ(ValueOf([](auto& v) { v.set_text("line"); }).text, "line");
  EXPECT_EQ(ValueOf([](auto& v) { v.set_bulk(std::string("\0b", 2)); }).text,
            std::string("\0b", 2));
  EXPECT_EQ(ValueOf([](auto& v) { v.set_integer(-5); }).integer, -5);
  EXPECT_EQ(ValueOf([](auto& v) { v.set_unsigned_integer(~0ULL); }).unsigned_integer, ~0ULL);
  EXPECT_EQ(ValueOf([](auto& v) { v.set_number(2.5); }).number, 2.5);
  EXPECT_TRUE(ValueOf([](auto& v) { v.set_boolean(true); }).boolean);
  const Value error = ValueOf([](auto& v) {
    v.mutable_error()->set_code(15);
    v.mutable_error()->set_message("not a number");
  });
  EXPECT_EQ(error.kind, Kind::kError);
  EXPECT_EQ(error.error, ErrorCode::kWrongType);
  EXPECT_EQ(error.text, "not a number");
  const Value record = ValueOf([](auto& v) {
    v.mutable_record()->set_key("k");
    v.mutable_record()->set_value("v");
    v.mutable_record()->set_flags(7);
    v.mutable_record()->set_version(1ULL << 60);
  });
  EXPECT_EQ(record.kind, Kind::kRecord);
  EXPECT_EQ(record.key + record.text, "kv");
  EXPECT_EQ(record.flags, 7u);
  EXPECT_EQ(record.version, 1ULL << 60);
}

TEST(WireTest, AnEmptyListIsAList) {
  const Value value = ValueOf([](auto& v) { v.mutable_list(); });
  EXPECT_EQ(value.kind, Kind::kArray);
  EXPECT_TRUE(value.elements.empty());
}

TEST(WireTest, ListsNest) {
  const Value value = ValueOf([](auto& v) {
    v.mutable_list()->set_shape(wire::List::MAP);
    v.mutable_list()->add_values()->set_bulk("keys");
    v.mutable_list()->add_values()->mutable_list()->add_values()->set_integer(3);
  });
  EXPECT_EQ(value.kind, Kind::kMap);
  ASSERT_EQ(value.elements.size(), 2u);
  EXPECT_EQ(value.elements[1].kind, Kind::kArray);
  EXPECT_EQ(value.elements[1].elements[0].integer, 3);
}

TEST(WireTest, StaleRingIsRead) {
  wire::Reply reply;
  reply.mutable_value()->set_null(true);
  EXPECT_FALSE(Decode(reply)->stale_ring);
  reply.set_stale_ring(true);
  EXPECT_TRUE(Decode(reply)->stale_ring);
}

TEST(WireTest, FieldsOfANewerReleaseAreSkipped) {
  wire::Reply reply;
  reply.mutable_value()->set_integer(5);
  std::string bytes = reply.SerializeAsString();
  bytes += "\x7a\x03new";  // field 15, three bytes
  const Result<DecodedReply> decoded = DecodeReply(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->value.integer, 5);
}

TEST(WireTest, UnknownErrorCodesAreInternal) {
  const auto from_wire = [](std::uint32_t code) {
    return ValueOf([&](auto& v) { v.mutable_error()->set_code(code); }).error;
  };
  EXPECT_EQ(from_wire(11), ErrorCode::kUnknownOutcome);
  EXPECT_EQ(from_wire(16), ErrorCode::kNotAllowed);
  EXPECT_EQ(from_wire(17), ErrorCode::kInternal);
  EXPECT_EQ(from_wire(64), ErrorCode::kInternal) << "the client's own cannot come from a node";
}

struct Nonsense {
  const char* name;
  std::string bytes;
};

class NonsenseTest : public ::testing::TestWithParam<Nonsense> {};

TEST_P(NonsenseTest, IsAProtocolError) {
  const Result<DecodedReply> decoded = DecodeReply(GetParam().bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kProtocol);
}

std::string Nested(int depth) {
  wire::Reply reply;
  wire::Value* value = reply.mutable_value();
  for (int i = 0; i < depth; ++i) value = value->mutable_list()->add_values();
  value->set_null(true);
  return reply.SerializeAsString();
}

INSTANTIATE_TEST_SUITE_P(
    Table, NonsenseTest,
    ::testing::Values(Nonsense{"Empty", ""}, Nonsense{"EmptyValue", std::string("\x0a\x00", 2)},
                      Nonsense{"UnknownKind", "\x0a\x03\x7a\x01x"},
                      Nonsense{"UnknownOutcome", "\x0a\x02\x10\x08"},
                      Nonsense{"CutOff", "\x0a\x05\x2a"},
                      Nonsense{"Garbage", "\xff\xff\xff\xff\xff"},
                      Nonsense{"WrongWireType", std::string("\x08\x00", 2)},
                      Nonsense{"OddMap",
                               std::string("\x0a\x08\x52\x06\x08\x01\x12\x02\x08\x01", 10)},
                      Nonsense{"UnknownShape", std::string("\x0a\x04\x52\x02\x08\x03", 6)},
                      Nonsense{"LongerThanItIs", "\x0a\x7f\x08\x01"},
                      Nonsense{"TooDeep", Nested(kReplyDepthMax + 1)}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(NonsenseTest, DepthUpToTheBoundIsFine) { EXPECT_TRUE(DecodeReply(Nested(kReplyDepthMax))); }

TEST(NonsenseTest, AnyByteChangedNeverCrashes) {
  wire::Reply reply;
  wire::List* list = reply.mutable_value()->mutable_list();
  list->add_values()->mutable_record()->set_value("value");
  list->add_values()->mutable_error()->set_message("message");
  list->add_values()->set_number(1);
  reply.set_stale_ring(true);
  const std::string whole = reply.SerializeAsString();
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      refused += DecodeReply(bytes) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace gyre::client
