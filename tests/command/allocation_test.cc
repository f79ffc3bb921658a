// From the codec's request to its reply, in the steady state nothing is allocated.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "command/command_fixture.h"
#include "protocol/codec.h"
#include "support/allocation_counter.h"

namespace gyre::testing {
namespace {

// Answers into one buffer, as a connection does.
class BufferResponder final : public Responder {
 public:
  BufferResponder(Codec& codec, Buffer& out) : codec_(codec), out_(out) {}
  void Begin(const Request& request) { writer_ = codec_.WriterFor(request, out_); }
  void End() { codec_.Recycle(writer_); }
  ReplyWriter& writer() override { return *writer_; }
  PendingReply Defer() override { std::abort(); }  // nothing here is ever late

 private:
  Codec& codec_;
  Buffer& out_;
  ReplyWriter* writer_ = nullptr;
};

class CommandAllocationTest : public CommandTest {
 protected:
  // What `rounds` passes over the pipeline allocate.
  std::uint64_t AllocationsOf(Codec& codec, Session& session, const std::string& pipeline,
                              int rounds) {
    const std::uint64_t before = test::AllocationCount();
    for (int round = 0; round < rounds; ++round) {
      std::string_view input = pipeline;
      while (!input.empty()) {
        const Decoded decoded = codec.Decode(input, request_);
        if (decoded.status != Decoded::Status::kRequest) {
          ADD_FAILURE() << "not a request: " << input;
          return 0;
        }
        input.remove_prefix(decoded.consumed);
        responder_->Begin(request_);
        node().dispatcher().Handle(request_, session, *responder_);
        responder_->End();
      }
      node().dispatcher().EndOfBatch();
      out_.Clear();
    }
    return test::AllocationCount() - before;
  }
  void ExpectNone(const CodecFactory& factory, Session& session, const std::string& pipeline) {
    replicator().forgets = true;
    const std::unique_ptr<Codec> codec = factory(session);
    responder_ = std::make_unique<BufferResponder>(*codec, out_);
    // Nobody forgets the removals here: their list has the capacity by then.
    AllocationsOf(*codec, session, pipeline, 1100);
    EXPECT_EQ(AllocationsOf(*codec, session, pipeline, 100), 0U) << pipeline;
  }

 private:
  Request request_;
  Buffer out_;
  std::unique_ptr<BufferResponder> responder_;
};

TEST_F(CommandAllocationTest, RespAllocatesNothing) {
  const std::string value(64, 'v');
  ExpectNone(MakeRespCodecFactory({}), node().client,
             "SET key:000000000000000000001 " + value +
                 "\r\n"
                 "GET key:000000000000000000001\r\n"
                 "GET key:000000000000000000002\r\n"
                 "SET key:000000000000000000003 " +
                 value +
                 " EX 100\r\n"
                 "TTL key:000000000000000000003\r\n"
                 "INCR counter\r\n"
                 "DEL key:000000000000000000003\r\n"
                 "PING\r\n");
}

TEST_F(CommandAllocationTest, MemcachedAllocatesNothing) {
  const std::string value(64, 'v');
  ExpectNone(MakeMemcachedCodecFactory({}), node().memcached_client,
             "set key:000000000000000000001 5 0 64\r\n" + value +
                 "\r\n"
                 "get key:000000000000000000001\r\n"
                 "get key:000000000000000000002\r\n"
                 "touch key:000000000000000000001 100\r\n"
                 "delete key:000000000000000000001\r\n");
}

}  // namespace
}  // namespace gyre::testing
