#include "client/shell/bench_wire.h"

#include <gtest/gtest.h>

#include "proto/frame.h"
#include "proto_gen/native.pb.h"

namespace gyre::client {
namespace {

std::string NativeReply(void (*fill)(wire::Value&)) {
  wire::Reply reply;
  fill(*reply.mutable_value());
  std::string frame;
  gyre::AppendFrame(gyre::FrameType::kReply, 1, reply.SerializeAsString(), frame);
  return frame;
}

struct Stream {
  const char* name;
  BenchProtocol protocol;
  std::string bytes;  // a hit, a miss, a store, an error
};

std::vector<Stream> Streams() {
  const std::string large(300, 'v');
  return {
      {"Native", BenchProtocol::kNative,
       NativeReply([](auto& v) { v.mutable_record()->set_value(std::string(300, 'v')); }) +
           NativeReply([](auto& v) { v.set_null(true); }) +
           NativeReply([](auto& v) { v.set_outcome(wire::OK); }) +
           NativeReply([](auto& v) { v.mutable_error()->set_message("no room"); })},
      {"Resp", BenchProtocol::kResp, "$300\r\n" + large + "\r\n$-1\r\n+OK\r\n-no room\r\n"},
      {"Memcached", BenchProtocol::kMemcached,
       "VALUE key:000000001 0 300\r\n" + large +
           "\r\nEND\r\nEND\r\nSTORED\r\nSERVER_ERROR no room\r\n"},
  };
}

class BenchWireTest : public ::testing::TestWithParam<Stream> {
 protected:
  std::unique_ptr<BenchWire> wire_ = BenchWire::Make(GetParam().protocol, "value");
};

void ExpectOneOfEach(const ReplyCounts& counts) {
  EXPECT_EQ(counts.replies, 4u);
  EXPECT_EQ(counts.hits, 1u);
  EXPECT_EQ(counts.misses, 1u);
  EXPECT_EQ(counts.stored, 1u);
  EXPECT_EQ(counts.errors, 1u);
  EXPECT_NE(counts.first_error.find("no room"), std::string::npos);
}

TEST_P(BenchWireTest, CountsReplies) {
  ReplyCounts counts;
  const std::string& bytes = GetParam().bytes;
  EXPECT_EQ(wire_->Count(bytes, counts), static_cast<std::ptrdiff_t>(bytes.size()));
  ExpectOneOfEach(counts);
}

TEST_P(BenchWireTest, CountsTheSameHoweverTheyAreSplit) {
  const std::string& bytes = GetParam().bytes;
  for (const std::size_t size : {1, 2, 3, 7, 100}) {
    ReplyCounts counts;
    std::string in;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      in += bytes.substr(at, size);
      const std::ptrdiff_t taken = wire_->Count(in, counts);
      ASSERT_GE(taken, 0);
      in.erase(0, static_cast<std::size_t>(taken));
    }
    EXPECT_TRUE(in.empty());
    ExpectOneOfEach(counts);
  }
}

TEST_P(BenchWireTest, AnotherProtocolIsNoticed) {
  ReplyCounts counts;
  EXPECT_EQ(wire_->Count("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", counts), -1);
}

INSTANTIATE_TEST_SUITE_P(Protocols, BenchWireTest, ::testing::ValuesIn(Streams()),
                         [](const auto& info) { return std::string(info.param.name); });

std::string Requests(BenchProtocol protocol) {
  ByteQueue<> out;
  const auto wire = BenchWire::Make(protocol, "abc");
  wire->AppendGet(7, out);
  wire->AppendSet(123456789, out);
  return std::string(out.view());
}

TEST(BenchRequestTest, Text) {
  EXPECT_EQ(Requests(BenchProtocol::kResp),
            "*2\r\n$3\r\nGET\r\n$13\r\nkey:000000007\r\n"
            "*3\r\n$3\r\nSET\r\n$13\r\nkey:123456789\r\n$3\r\nabc\r\n");
  EXPECT_EQ(Requests(BenchProtocol::kMemcached),
            "get key:000000007\r\nset key:123456789 0 0 3\r\nabc\r\n");
}

TEST(BenchRequestTest, Native) {
  const std::string bytes = Requests(BenchProtocol::kNative);
  std::size_t at = 0;
  std::vector<wire::Request> requests;
  std::vector<std::uint64_t> ids;
  while (at < bytes.size()) {
    const auto header = gyre::DecodeFrameHeader(bytes.data() + at, 1000);
    ASSERT_TRUE(header);
    at += gyre::FrameHeader::kBytes;
    ASSERT_TRUE(requests.emplace_back().ParseFromString(bytes.substr(at, header->payload_bytes)));
    ids.push_back(header->request_id);
    at += header->payload_bytes;
  }
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].args(1), "key:000000007");
  EXPECT_EQ(requests[1].args(0), "SET");
  EXPECT_EQ(requests[1].args(2), "abc");
  EXPECT_NE(ids[0], ids[1]);
}

TEST(BenchRequestTest, Keys) {
  EXPECT_EQ(BenchKey(0), "key:000000000");
  EXPECT_EQ(BenchKey(kBenchKeysMax - 1), "key:999999999");
}

}  // namespace
}  // namespace gyre::client
