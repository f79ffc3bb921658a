// The real codecs on a real server: what net promises of any protocol holds for each of them.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "net/server_fixture.h"
#include "protocol/codec.h"
#include "support/allocation_counter.h"

namespace gyre::test {
namespace {

// Answers every command with "OK", every third one later in the same batch.
class OkHandler final : public Handler {
 public:
  void Handle(const Request&, Session&, Responder& responder) override {
    if (++count_ % 3 != 0 || late_.has_value()) {
      responder.writer().Word(Outcome::kOk);
    } else {
      late_ = responder.Defer();
    }
  }
  void EndOfBatch() override {
    if (!late_) return;
    late_->writer().Word(Outcome::kOk);
    late_->Finish();
    late_.reset();
  }

 private:
  int count_ = 0;
  std::optional<PendingReply> late_;
};

struct ProtocolCase {
  // Failures name the case, not its bytes.
  friend void PrintTo(const ProtocolCase& c, std::ostream* out) { *out << c.name; }

  const char* name;
  CodecFactory codec;
  std::string request;
  std::string reply;
  std::string malformed;
  std::string refusal;  // how the reply to one connection too many begins
};

std::string NativeRequest() {
  std::string frame;
  AppendFrame(FrameType::kRequest, 7, std::string("\x0a\x04PING", 6), frame);
  return frame;
}
std::string NativeOk() {
  std::string frame;
  AppendFrame(FrameType::kReply, 7, std::string("\x0a\x02\x10\x00", 4), frame);
  return frame;
}

// A native port leaves its connections undecided until they speak: the case takes its codec only.
Protocol ProtocolOf(std::string_view name) {
  return name == "memcached" ? Protocol::kMemcached : Protocol::kResp;
}

class ProtocolTest : public ::testing::TestWithParam<ProtocolCase> {
 protected:
  void StartServer(const ConnectionLimits& limits = {}) {
    server_ = std::make_unique<ServerThread>(limits);
    server_->OnLoop([this] {
      const Status status = server_->server->Listen({.protocol = ProtocolOf(GetParam().name),
                                                     .codec = GetParam().codec,
                                                     .handler = &handler_});
      ASSERT_TRUE(status) << status.error().message;
      port_ = server_->server->bound_port();
    });
  }
  static std::string Repeat(const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  }

  OkHandler handler_;
  std::unique_ptr<ServerThread> server_;
  std::uint16_t port_ = 0;
};

TEST_P(ProtocolTest, AnswersAPipelineWithDeferredReplies) {
  StartServer();
  Client client(port_);
  constexpr int kRequests = 1000;
  client.Send(Repeat(GetParam().request, kRequests));
  const std::string expected = Repeat(GetParam().reply, kRequests);
  EXPECT_EQ(client.Read(expected.size()), expected);
}

TEST_P(ProtocolTest, MalformedInputGetsAnErrorAndTheEnd) {
  StartServer();
  Client client(port_);
  client.Send(GetParam().request + GetParam().malformed);
  const std::string all = client.ReadAll();
  EXPECT_EQ(all.substr(0, GetParam().reply.size()), GetParam().reply);
  EXPECT_GT(all.size(), GetParam().reply.size()) << "an error";
  EXPECT_EQ(server_->server->stats().protocol_errors, 1U);
}

TEST_P(ProtocolTest, OneConnectionTooManyIsToldSo) {
  ConnectionLimits limits;
  limits.connections_max = 0;
  StartServer(limits);
  Client client(port_);
  EXPECT_NE(client.ReadAll().find(GetParam().refusal), std::string::npos);
}

TEST_P(ProtocolTest, TheSteadyStateDoesNotAllocate) {
  StartServer();
  Client client(port_);
  const std::string batch = Repeat(GetParam().request, 16);
  std::string replies(Repeat(GetParam().reply, 16).size(), '\0');
  std::uint64_t before = 0;
  for (int round = 0; round < 200; ++round) {
    if (round == 100) before = AllocationCount();  // pools are full by then
    client.Send(batch);
    client.ReadInto(replies);
  }
  EXPECT_EQ(AllocationCount() - before, 0U) << "in 1600 requests";
}

// A client that knows goodbyes, one that does not, and one that asked for nothing yet.
class GoodbyeTest : public ::testing::Test {
 protected:
  GoodbyeTest() {
    server_.OnLoop([this] {
      const Status status = server_.server->Listen(
          {.protocol = Protocol::kResp, .codec = MakeNativeCodecFactory({}), .handler = &handler_});
      ASSERT_TRUE(status) << status.error().message;
      port_ = server_.server->bound_port();
    });
  }
  void ExpectGoodbye(const std::function<void()>& end) {
    Client knows(port_);
    knows.Send(Request(true));
    EXPECT_EQ(knows.Read(NativeOk().size()), NativeOk());
    Client knows_not(port_);
    knows_not.Send(Request(false));
    EXPECT_EQ(knows_not.Read(NativeOk().size()), NativeOk());
    Client silent(port_);
    end();
    std::string goodbye;
    AppendFrame(FrameType::kGoodbye, 0, "", goodbye);
    EXPECT_EQ(knows.ReadAll(), goodbye);
    EXPECT_EQ(knows_not.ReadAll(), "");
    EXPECT_EQ(silent.ReadAll(), "");
  }
  static std::string Request(bool takes_goodbye) {
    std::string frame;
    AppendFrame(FrameType::kRequest, 7,
                "\x0a\x04PING" + std::string(takes_goodbye ? "\x38\x01" : ""), frame);
    return frame;
  }

  OkHandler handler_;
  ServerThread server_;
  std::uint16_t port_ = 0;
};

TEST_F(GoodbyeTest, IsSaidWhenANodeStops) {
  ExpectGoodbye([this] {
    server_.OnLoop([this] { server_.server->Drain(server_.loop->now() + kPatience, [] {}); });
  });
}

TEST_F(GoodbyeTest, IsSaidToWhoIsIdle) {
  ExpectGoodbye([this] {
    server_.OnLoop([this] { server_.server->SetIdleTimeout(std::chrono::milliseconds(1)); });
  });
}

INSTANTIATE_TEST_SUITE_P(
    All, ProtocolTest,
    ::testing::Values(
        ProtocolCase{"resp", MakeRespCodecFactory({}), "*1\r\n$4\r\nPING\r\n", "+OK\r\n",
                     "*1\r\n$-7\r\n", "-ERR max number of clients reached"},
        ProtocolCase{"memcached", MakeMemcachedCodecFactory({}), "version\r\n", "OK\r\n",
                     std::string(100'000, 'x'), "ERROR Too many open connections"},
        ProtocolCase{"native", MakeNativeCodecFactory({}), NativeRequest(), NativeOk(),
                     "not a frame, for sure", "max number of clients reached"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gyre::test
