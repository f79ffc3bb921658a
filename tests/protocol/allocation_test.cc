// In the steady state a codec does not allocate: counted.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "base/buffer.h"
#include "proto/frame.h"
#include "protocol/codec_fixture.h"
#include "protocol/native_codec.h"
#include "support/allocation_counter.h"

namespace gyre::testing {
namespace {

// Decodes all requests of `input` and answers each with a record, a list and an error's neighbour,
// a number.
void Serve(Codec& codec, std::string_view input, Request& request, Buffer& out) {
  while (!input.empty()) {
    const Decoded decoded = codec.Decode(input, request);
    ASSERT_EQ(decoded.status, Decoded::Status::kRequest);
    input.remove_prefix(decoded.consumed);
    ReplyWriter* writer = codec.WriterFor(request, out);
    writer->BeginList(ListShape::kArray, 3);
    writer->BeginRecord({"key", 1, 2, 5});
    writer->Chunk("value");
    writer->EndRecord();
    writer->Null();
    writer->Integer(1234567);
    writer->EndList();
    codec.Recycle(writer);
  }
}

// Half of `input` first, then all of it: what a codec remembers between two reads must not cost
// memory, either.
void ServeSplit(Codec& codec, std::string_view input, Request& request, Buffer& out) {
  ASSERT_EQ(codec.Decode(input.substr(0, input.size() / 2), request).status,
            Decoded::Status::kNeedMore);
  Serve(codec, input, request, out);
}

void ExpectNoAllocation(const CodecFactory& factory, const std::string& single) {
  constexpr int kWarmUpRounds = 3;
  constexpr int kRounds = 100;
  Session session;
  const std::unique_ptr<Codec> codec = factory(session);
  Request request;
  Buffer out;
  std::string pipeline;
  for (int i = 0; i < 16; ++i) pipeline += single;
  std::uint64_t before = 0;
  for (int round = 0; round < kWarmUpRounds + kRounds; ++round) {
    if (round == kWarmUpRounds) before = test::AllocationCount();
    Serve(*codec, pipeline, request, out);
    ServeSplit(*codec, single, request, out);
    out.Clear();
  }
  EXPECT_EQ(test::AllocationCount() - before, 0U);
}

TEST(AllocationTest, TheCounterCounts) {
  const std::uint64_t before = test::AllocationCount();
  ::operator delete(::operator new(1));
  EXPECT_EQ(test::AllocationCount() - before, 1U);
}

TEST(AllocationTest, RespAllocatesNothing) {
  ExpectNoAllocation(
      MakeRespCodecFactory({}),
      "*3\r\n$3\r\nSET\r\n$20\r\nkey:0000000000000001\r\n$64\r\n" + std::string(64, 'v') + "\r\n");
}

TEST(AllocationTest, InlineRespAllocatesNothing) {
  ExpectNoAllocation(MakeRespCodecFactory({}),
                     "set key:000000000000000000000001 \"" + std::string(64, 'v') + "\"\r\n");
}

TEST(AllocationTest, MemcachedAllocatesNothing) {
  ExpectNoAllocation(MakeMemcachedCodecFactory({}),
                     "set key:000000000000000000000001 0 0 64\r\n" + std::string(64, 'v') + "\r\n");
  ExpectNoAllocation(MakeMemcachedCodecFactory({}),
                     "get key:000000000000000000000001 a b c d e\r\n");
}

TEST(AllocationTest, NativeAllocatesNothing) {
  const std::string value(64, 'v');
  const std::string payload =
      EncodeRequest(CommandOf({"SET", "key:0000000000000000000001", value}));
  std::string frame;
  AppendFrame(FrameType::kRequest, 1, payload, frame);
  ExpectNoAllocation(MakeNativeCodecFactory({}), frame);
}

}  // namespace
}  // namespace gyre::testing
