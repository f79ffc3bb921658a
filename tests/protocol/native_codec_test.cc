#include "protocol/native_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/frame.h"
#include "proto_gen/native.pb.h"
#include "protocol/codec_fixture.h"

namespace gyre::testing {
namespace {

using Args = std::vector<std::string>;
using namespace std::string_literals;

std::string Frame(FrameType type, std::uint64_t id, std::string_view payload) {
  std::string frame;
  AppendFrame(type, id, payload, frame);
  return frame;
}

// As the generated code of another client would send it.
std::string RequestPayload(const Args& args) {
  wire::Request request;
  for (const std::string& argument : args) request.add_args(argument);
  return request.SerializeAsString();
}

std::string RequestFrame(std::uint64_t id, const Args& args) {
  return Frame(FrameType::kRequest, id, RequestPayload(args));
}

class NativeCodecTest : public ::testing::Test {
 protected:
  MakeCodec Make() {
    return [this] { return std::make_unique<NativeCodec>(limits_); };
  }
  Event Single(std::string_view bytes) {
    const Replayed replayed = Replay(Make(), bytes);
    EXPECT_EQ(replayed.events.size(), 1U);
    return replayed.events.empty() ? Event{} : replayed.events.front();
  }

  CodecLimits limits_;
};

TEST_F(NativeCodecTest, ReadsRequests) {
  for (const Args& args :
       {Args{"PING"}, Args{"SET", "key", "value"}, Args{"SET", "", "\0\xff\r\n"s},
        Args{"ECHO", std::string(500, 'x')}, Args(100, "argument")}) {
    const Event event = Single(RequestFrame(0x1122334455667788, args));
    EXPECT_EQ(event.status, Decoded::Status::kRequest);
    EXPECT_EQ(event.args, args);
    EXPECT_EQ(event.id, 0x1122334455667788U);
  }
}

TEST_F(NativeCodecTest, ReadsEveryField) {
  wire::Request request;
  request.add_args("GET");
  request.add_args("key");
  request.set_hops(2);
  request.set_write_acks(3);
  request.set_deadline_ms(70000);
  request.set_no_forward(true);
  const Event event = Single(Frame(FrameType::kRequest, 9, request.SerializeAsString()));
  EXPECT_EQ(event.hops, 2U);
  EXPECT_EQ(event.write_acks, 3U);
  EXPECT_EQ(event.deadline_ms, 70000U);
  EXPECT_TRUE(event.no_forward);
}

TEST_F(NativeCodecTest, FieldsOfOneRequestDoNotLeakIntoTheNext) {
  wire::Request first;
  first.add_args("GET");
  first.set_hops(2);
  first.set_no_forward(true);
  const Replayed replayed = Replay(
      Make(), Frame(FrameType::kRequest, 1, first.SerializeAsString()) + RequestFrame(2, {"PING"}));
  ASSERT_EQ(replayed.events.size(), 2U);
  EXPECT_EQ(replayed.events[1].hops, 0U);
  EXPECT_FALSE(replayed.events[1].no_forward);
  EXPECT_EQ(replayed.events[1].args, Args{"PING"});
}

TEST_F(NativeCodecTest, StepsOverUnknownFields) {
  // Fields 100 (varint), 101 (64 bits), 102 (bytes), 103 (32 bits), and args' number with another
  // wire type.
  const std::string unknown = "\xa0\x06\x96\x01"s + "\xa9\x06" + "12345678" + "\xb2\x06\x03" +
                              "abc" + "\xbd\x06" + "1234" + "\x08\x07";
  const Event event =
      Single(Frame(FrameType::kRequest, 1, unknown + RequestPayload({"PING"}) + unknown));
  EXPECT_EQ(event.status, Decoded::Status::kRequest);
  EXPECT_EQ(event.args, Args{"PING"});
}

TEST_F(NativeCodecTest, PassesPeerRequestsOn) {
  const Event event = Single(Frame(FrameType::kPeerRequest, 7, "opaque"));
  EXPECT_EQ(event.kind, Request::Kind::kPeer);
  EXPECT_EQ(event.payload, "opaque");
  EXPECT_EQ(event.id, 7U);
}

TEST_F(NativeCodecTest, ABadPayloadCostsOnlyItsRequest) {
  limits_.key_bytes_max = 10;
  limits_.value_bytes_max = 20;
  limits_.argument_count_max = 3;
  limits_.request_bytes_max = 1000;
  const struct {
    std::string payload;
    ErrorCode code;
  } cases[] = {
      {"", ErrorCode::kInvalidArgument},
      {"\x10\x01", ErrorCode::kInvalidArgument},
      {"\x0a\x05"
       "abc",
       ErrorCode::kProtocol},
      {"\x0a", ErrorCode::kProtocol},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ErrorCode::kProtocol},
      {"\x0a\xff\xff\xff\xff\x0f", ErrorCode::kProtocol},
      {"\x0b\x0c", ErrorCode::kProtocol},
      {"\x00\x00"s, ErrorCode::kProtocol},
      {"\x10", ErrorCode::kProtocol},
      {std::string(50, '\xff'), ErrorCode::kProtocol},
      {RequestPayload({"a", "b", "c", "d"}), ErrorCode::kTooLarge},
      {RequestPayload({"a", std::string(21, 'x')}), ErrorCode::kTooLarge},
  };
  for (const auto& [payload, code] : cases) {
    const Replayed replayed =
        Replay(Make(), Frame(FrameType::kRequest, 5, payload) + RequestFrame(6, {"PING"}));
    ASSERT_EQ(replayed.events.size(), 2U);
    EXPECT_EQ(replayed.events[0].status, Decoded::Status::kError);
    EXPECT_EQ(replayed.events[0].error.code, code) << replayed.events[0];
    EXPECT_FALSE(replayed.events[0].error.message.empty());
    EXPECT_EQ(replayed.events[0].id, 5U);
    EXPECT_EQ(replayed.events[1].args, Args{"PING"});
    EXPECT_EQ(replayed.events[1].id, 6U);
  }
}

TEST_F(NativeCodecTest, ABadFrameEndsTheConnection) {
  limits_.request_bytes_max = 1000;
  const std::string good = RequestFrame(5, {"PING"});
  const auto with = [&](std::size_t at, char byte) {
    std::string frame = good;
    frame[at] = byte;
    return frame;
  };
  const struct {
    const char* name;
    std::string bytes;
    ErrorCode code;
    std::uint64_t id;
  } cases[] = {
      {"wrong magic", with(0, 'X'), ErrorCode::kProtocol, 0},
      {"wrong second byte", with(1, 'X'), ErrorCode::kProtocol, 0},
      {"another protocol", "PING\r\n", ErrorCode::kProtocol, 0},
      {"a single byte", "*", ErrorCode::kProtocol, 0},
      {"version 0", with(2, 0), ErrorCode::kProtocol, 0},
      {"future version", with(2, 99), ErrorCode::kProtocol, 0},
      {"type 0", with(3, 0), ErrorCode::kProtocol, 0},
      {"unknown type", with(3, 99), ErrorCode::kProtocol, 0},
      {"too large", with(6, 1), ErrorCode::kTooLarge, 5},
      {"reply", with(3, static_cast<char>(FrameType::kReply)), ErrorCode::kProtocol, 5},
      {"peer reply", with(3, static_cast<char>(FrameType::kPeerReply)), ErrorCode::kProtocol, 5},
  };
  for (const auto& [name, bytes, code, id] : cases) {
    const Event event = Single(bytes);
    EXPECT_EQ(event.status, Decoded::Status::kMalformed) << name;
    EXPECT_EQ(event.error.code, code) << name;
    EXPECT_EQ(event.id, id) << name;
  }
}

TEST_F(NativeCodecTest, WaitsForWhatIsHalfSent) {
  const std::string whole = RequestFrame(1, {"SET", "key", "value"});
  NativeCodec codec(limits_);
  Request request;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Decoded decoded = codec.Decode(std::string_view(whole).substr(0, size), request);
    EXPECT_EQ(decoded.status, Decoded::Status::kNeedMore) << size;
    EXPECT_EQ(decoded.wanted, size < 2                     ? 0
                              : size < FrameHeader::kBytes ? FrameHeader::kBytes
                                                           : whole.size());
  }
}

TEST_F(NativeCodecTest, EncodesRequestsForOtherNodes) {
  Request request = CommandOf({"SET", "key", "", "\xff\xfe"});
  request.hops = 1;
  request.write_acks = 2;
  request.deadline_ms = 300;
  request.no_forward = true;
  wire::Request parsed;
  ASSERT_TRUE(parsed.ParseFromString(EncodeRequest(request)));
  EXPECT_EQ(Args(parsed.args().begin(), parsed.args().end()), (Args{"SET", "key", "", "\xff\xfe"}));
  EXPECT_EQ(parsed.hops(), 1U);
  EXPECT_EQ(parsed.write_acks(), 2U);
  EXPECT_EQ(parsed.deadline_ms(), 300U);
  EXPECT_TRUE(parsed.no_forward());

  const Event event = Single(Frame(FrameType::kRequest, 1, EncodeRequest(request)));
  EXPECT_EQ(event.args, (Args{"SET", "key", "", "\xff\xfe"}));
  EXPECT_EQ(event.hops, 1U);
}

}  // namespace
}  // namespace gyre::testing
