#include "proto/frame.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre::testing {
namespace {

using namespace std::string_literals;

std::string Encoded(const FrameHeader& header) {
  std::string raw(FrameHeader::kBytes, '\0');
  EncodeFrameHeader(header, raw.data());
  return raw;
}

FrameHeader Example() {
  FrameHeader header;
  header.type = FrameType::kPeerRequest;
  header.payload_bytes = 0x01020304;
  header.request_id = 0x1122334455667788;
  return header;
}

TEST(FrameTest, HasTheLayoutOfItsDiagram) {
  EXPECT_EQ(Encoded(Example()), "GY\x01\x03\x04\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11"s);
}

TEST(FrameTest, ReadsWhatItWrote) {
  for (const FrameType type :
       {FrameType::kRequest, FrameType::kReply, FrameType::kPeerRequest, FrameType::kPeerReply}) {
    FrameHeader header = Example();
    header.type = type;
    const auto read = DecodeFrameHeader(Encoded(header).data(), header.payload_bytes);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->version, kProtocolVersion);
    EXPECT_EQ(read->type, type);
    EXPECT_EQ(read->payload_bytes, header.payload_bytes);
    EXPECT_EQ(read->request_id, header.request_id);
  }
}

TEST(FrameTest, RefusesWhatBreaksItsRules) {
  const struct {
    std::size_t at;
    char byte;
    std::string message;
  } cases[] = {
      {0, 'X', "not a Gyre frame"},
      {1, 'X', "not a Gyre frame"},
      {2, kProtocolVersionMin - 1, "protocol version 0"},
      {2, kProtocolVersion + 1, "upgrade one release at a time"},
      {2, '\xff', "protocol version 255"},
      {3, 0, "unknown frame type 0"},
      {3, 8, "unknown frame type 8"},
      {3, '\xff', "unknown frame type 255"},
  };
  for (const auto& [at, byte, message] : cases) {
    std::string raw = Encoded(Example());
    raw[at] = byte;
    const auto read = DecodeFrameHeader(raw.data(), 0xffffffff);
    ASSERT_FALSE(read.has_value()) << message;
    EXPECT_EQ(read.error().code, ErrorCode::kProtocol);
    EXPECT_NE(read.error().message.find(message), std::string::npos) << read.error().message;
  }
}

TEST(FrameTest, BoundsThePayload) {
  FrameHeader header = Example();
  header.payload_bytes = 1000;
  EXPECT_TRUE(DecodeFrameHeader(Encoded(header).data(), 1000).has_value());
  const auto read = DecodeFrameHeader(Encoded(header).data(), 999);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kTooLarge);
}

TEST(FrameTest, IsKnownAtItsFirstBytes) {
  for (const char* begin : {"", "G", "GY", "GY\x01"}) EXPECT_TRUE(BeginsAsFrame(begin));
  for (const char* begin : {"E", "GE", "gy"}) EXPECT_FALSE(BeginsAsFrame(begin));
}

TEST(FrameTest, AppendsHeaderAndPayload) {
  std::string out = "before";
  AppendFrame(FrameType::kReply, 7, "payload", out);
  ASSERT_EQ(out.size(), 6 + FrameHeader::kBytes + 7);
  const auto header = DecodeFrameHeader(out.data() + 6, 7);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->type, FrameType::kReply);
  EXPECT_EQ(header->request_id, 7U);
  EXPECT_EQ(header->payload_bytes, 7U);
  EXPECT_EQ(out.substr(6 + FrameHeader::kBytes), "payload");
}

}  // namespace
}  // namespace gyre::testing
