#include "net/frame_link.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "crypto/keyring.h"
#include "net/server_fixture.h"

namespace gyre::test {
namespace {

// A link and, on the same loop, the server that it connects to. What happens is written down; the
// loop runs until the story has a given length.
class FrameLinkTest : public ::testing::Test {
 protected:
  FrameLinkTest() {
    std::signal(SIGPIPE, SIG_IGN);
    StartServer(Frames());
    port_ = server_->bound_port();
  }
  ~FrameLinkTest() override {
    link_.reset();
    handler_.pending.clear();
    server_.reset();
  }

  void StartServer(CodecFactory codec, std::uint16_t port = 0, Keyring* keys = nullptr) {
    server_ = std::make_unique<Server>(*loop_, sessions_);
    const Status status = server_->Listen(
        {.port = port, .codec = std::move(codec), .handler = &handler_, .keys = keys});
    ASSERT_TRUE(status) << status.error().message;
  }
  void MakeLink(FrameLinkOptions options = {}, const std::string& host = "127.0.0.1") {
    link_ = std::make_unique<FrameLink>(
        *loop_, host, port_, options,
        FrameLink::Callbacks{.on_frame =
                                 [this](const FrameHeader& header, std::string_view payload) {
                                   Tell(std::to_string(header.request_id) + "=" +
                                        std::string(payload));
                                   if (on_frame_) on_frame_();
                                 },
                             .on_up = [this] { Tell("up"); },
                             .on_down =
                                 [this](const FrameLink::Down& down) {
                                   down_ = down;
                                   Tell("down");
                                   if (on_down_) on_down_();
                                 }});
  }
  void Tell(const std::string& event) {
    story_.push_back(event);
    if (story_.size() >= length_) Pause();
  }
  // The loop runs once only, so each act of a test is a task on it.
  void Pause() {
    if (acts_.empty()) {
      loop_->Stop();
      return;
    }
    auto act = std::move(acts_.front());
    acts_.erase(acts_.begin());
    length_ = story_.size() + act.first;
    loop_->Post(act.second);
  }
  // Does `act`, then waits for `events` more events.
  void Then(std::size_t events, std::function<void()> act) {
    acts_.emplace_back(events, std::move(act));
  }
  std::vector<std::string> Replay() {
    Timer guard(*loop_);
    guard.Start(kPatience, Duration::zero(), [this] {
      ADD_FAILURE() << "the story stopped after " << story_.size() << " events";
      loop_->Stop();
    });
    Pause();
    loop_->Run();
    return story_;
  }
  void Send(std::uint64_t id, const std::string& payload) {
    EXPECT_TRUE(link_->Send(FrameType::kRequest, id, payload));
  }

  using Story = std::vector<std::string>;

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::Create().value());
  SessionRegistry sessions_;
  TestHandler handler_;
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
  std::unique_ptr<FrameLink> link_;
  std::function<void()> on_frame_;
  std::function<void()> on_down_;
  FrameLink::Down down_;
  Story story_;
  std::size_t length_ = 0;
  std::vector<std::pair<std::size_t, std::function<void()>>> acts_;
};

TEST_F(FrameLinkTest, ConnectsWhenThereIsSomethingToSend) {
  MakeLink();
  EXPECT_EQ(link_->state(), FrameLink::State::kDown);
  Then(3, [this] {
    Send(7, "echo a");
    Send(8, "later b");
    Send(9, "echo c");
    EXPECT_EQ(link_->state(), FrameLink::State::kConnecting);
    EXPECT_GT(link_->queue_bytes(), 3 * FrameHeader::kBytes);
  });
  Then(1, [this] {
    EXPECT_EQ(link_->state(), FrameLink::State::kUp);
    PendingReply reply = handler_.pending.at("b");
    handler_.pending.clear();
    reply.writer().Bulk("b");
    reply.Finish();
  });
  EXPECT_EQ(Replay(), (Story{"up", "7=a", "9=c", "8=b"}));
  EXPECT_EQ(link_->queue_bytes(), 0U);
}

TEST_F(FrameLinkTest, ResolvesNames) {
  MakeLink({}, "localhost");
  Then(2, [this] { Send(1, "echo a"); });
  EXPECT_EQ(Replay(), (Story{"up", "1=a"}));
}

TEST_F(FrameLinkTest, TellsThatNobodyListens) {
  server_.reset();
  FrameLinkOptions options;
  options.backoff_min = std::chrono::hours(1);
  options.backoff_max = std::chrono::hours(2);
  MakeLink(options);
  on_down_ = [this] {
    EXPECT_FALSE(link_->Send(FrameType::kRequest, 3, "x")) << "not within the backoff";
    EXPECT_FALSE(link_->Connect());
  };
  Then(1, [this] {
    Send(1, "echo a");
    Send(2, "echo b");
  });
  EXPECT_EQ(Replay(), (Story{"down"}));
  EXPECT_TRUE(down_.refused);
  EXPECT_FALSE(down_.was_up);
  EXPECT_FALSE(down_.reset);
  EXPECT_EQ(down_.frames_unsent, 2U);
  EXPECT_EQ(down_.error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(down_.error.message,
            "the link to 127.0.0.1:" + std::to_string(port_) + " is down: connection refused");
}

TEST_F(FrameLinkTest, TriesAgainAfterTheBackoffIsForgotten) {
  server_.reset();
  FrameLinkOptions options;
  options.backoff_min = std::chrono::hours(1);
  options.backoff_max = std::chrono::hours(2);
  MakeLink(options);
  Then(1, [this] { Send(1, "echo a"); });
  Then(2, [this] {
    StartServer(Frames(), port_);
    link_->ResetBackoff();
    Send(2, "echo b");
  });
  EXPECT_EQ(Replay(), (Story{"down", "up", "2=b"}));
}

TEST_F(FrameLinkTest, TellsThatThePeerDied) {
  MakeLink();
  Then(3, [this] {
    Send(1, "echo a");
    Send(2, "later never");
    on_frame_ = [this] { loop_->Post([this] { server_.reset(); }); };
  });
  Then(2, [this] {
    on_frame_ = nullptr;
    StartServer(Frames(), port_);
    Send(3, "echo again");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "down", "up", "3=again"}));
  EXPECT_TRUE(down_.was_up);
  EXPECT_TRUE(down_.reset);
  EXPECT_FALSE(down_.goodbye);
  EXPECT_FALSE(down_.refused);
  EXPECT_EQ(down_.error.code, ErrorCode::kIo);
  EXPECT_EQ(down_.frames_unsent, 0U);
}

TEST_F(FrameLinkTest, TellsThatThePeerSaidGoodbye) {
  MakeLink();
  Then(2, [this] { Send(1, "echo a"); });
  Then(1, [this] { server_->Drain(loop_->now() + kPatience, [] {}); });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "down"}));
  EXPECT_TRUE(down_.goodbye);
  EXPECT_TRUE(down_.reset);
}

TEST_F(FrameLinkTest, RefusesMoreThanItsQueueHolds) {
  FrameLinkOptions options;
  options.queue_bytes_max = 1000;
  MakeLink(options);
  Then(2, [this] {
    Send(1, "echo " + std::string(900, 'x'));
    EXPECT_FALSE(link_->Send(FrameType::kRequest, 2, std::string(100, 'y')));
    EXPECT_FALSE(link_->Send(FrameType::kRequest, 3, std::string(1000, 'z')));
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=" + std::string(900, 'x')}));
}

TEST_F(FrameLinkTest, CarriesLargeFramesBothWays) {
  MakeLink();
  const std::string large(5'000'000, 'v');
  Then(3, [&] {
    Send(1, "echo " + large);
    Send(2, "blob 9000000");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=" + large, "2=" + std::string(9'000'000, 'x')}));
}

TEST_F(FrameLinkTest, GivesUpOnAPeerThatSpeaksAnotherProtocol) {
  server_.reset();
  StartServer(Lines());
  port_ = server_->bound_port();
  MakeLink();
  Then(2, [this] { Send(1, "\necho longer-than-the-header-of-a-frame\n"); });
  EXPECT_EQ(Replay(), (Story{"up", "down"}));
  EXPECT_EQ(down_.error.code, ErrorCode::kProtocol);
}

TEST_F(FrameLinkTest, MayBeDestroyedFromItsCallbacks) {
  MakeLink();
  Then(2, [this] {
    on_frame_ = [this] { link_.reset(); };
    Send(1, "echo a");
    Send(2, "echo never seen");
  });
  Then(1, [this] {
    server_.reset();
    MakeLink();
    on_down_ = [this] { link_.reset(); };
    Send(1, "echo a");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "down"}));
}

TEST_F(FrameLinkTest, ClosesSilentlyAndMayBeUsedAgain) {
  MakeLink();
  Then(2, [this] {
    on_frame_ = [this] {
      link_->Close();
      EXPECT_EQ(link_->state(), FrameLink::State::kDown);
    };
    Send(1, "echo a");
    Send(2, "echo forgotten");
  });
  Then(2, [this] {
    on_frame_ = nullptr;
    Send(3, "echo b");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "up", "3=b"}));
}

TEST_F(FrameLinkTest, GivesUpConnectingInTime) {
  // A socket that listens with its backlog full answers no further connection.
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(file, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(file, 0), 0);
  socklen_t bytes = sizeof address;
  getsockname(file, reinterpret_cast<sockaddr*>(&address), &bytes);
  port_ = ntohs(address.sin_port);
  const Client fills_the_backlog(port_);
  FrameLinkOptions options;
  options.connect_timeout = std::chrono::milliseconds(20);
  MakeLink(options);
  Then(1, [this] { Send(1, "echo a"); });
  EXPECT_EQ(Replay(), (Story{"down"}));
  EXPECT_FALSE(down_.refused);
  EXPECT_EQ(down_.error.code, ErrorCode::kUnavailable);
  close(file);
}

// ---- With keys --------------------------------------------------------------------------------

class SealedLinkTest : public FrameLinkTest {
 protected:
  SealedLinkTest() {
    server_.reset();
    StartServer(Frames(), 0, &theirs_);
    port_ = server_->bound_port();
  }
  ~SealedLinkTest() override {
    link_.reset();
    handler_.pending.clear();
    server_.reset();
  }

  static GossipKey NewKey() { return ParseGossipKeys(GenerateGossipKey())->front(); }
  void MakeSealedLink() {
    FrameLinkOptions options;
    options.keys = &ours_;
    options.backoff_min = options.backoff_max = std::chrono::milliseconds(1);
    MakeLink(options);
  }

  const GossipKey key_ = NewKey();
  Keyring ours_{{key_}};
  Keyring theirs_{{key_}};
};

TEST_F(SealedLinkTest, CarriesFramesOfEachSizeBothWays) {
  MakeSealedLink();
  const std::string large(5'000'000, 'v');
  Then(5, [&] {
    Send(1, "echo a");
    EXPECT_EQ(link_->state(), FrameLink::State::kConnecting);
    Send(2, "echo " + large);
    Send(3, "blob 9000000");
    Send(4, "echo b");
  });
  EXPECT_EQ(Replay(),
            (Story{"up", "1=a", "2=" + large, "3=" + std::string(9'000'000, 'x'), "4=b"}));
  EXPECT_EQ(ours_.stats().handshakes, 1U);
  EXPECT_EQ(theirs_.stats().handshakes, 1U);
  EXPECT_EQ(link_->queue_bytes(), 0U);
}

TEST_F(SealedLinkTest, AnswersLateOverTheSameLink) {
  MakeSealedLink();
  Then(2, [this] {
    Send(1, "later x");
    Send(2, "echo b");
  });
  Then(1, [this] {
    PendingReply reply = handler_.pending.at("x");
    handler_.pending.clear();
    reply.writer().Bulk("x");
    reply.Finish();
  });
  EXPECT_EQ(Replay(), (Story{"up", "2=b", "1=x"}));
}

TEST_F(SealedLinkTest, AStrangerIsToldAndNeverUp) {
  ours_.Replace({NewKey()});
  MakeSealedLink();
  Then(1, [this] { Send(1, "echo a"); });
  EXPECT_EQ(Replay(), (Story{"down"}));
  EXPECT_EQ(down_.error.code, ErrorCode::kNotAllowed);
  EXPECT_FALSE(down_.was_up);
  EXPECT_FALSE(down_.reset) << "it lives: its failure detector must not hear of a death";
  EXPECT_EQ(theirs_.stats().handshakes_failed, 1U);
  EXPECT_EQ(ours_.stats().handshakes_failed, 1U);
}

TEST_F(SealedLinkTest, ANodeWithoutAKeySaysSo) {
  server_.reset();
  StartServer(MakeNativeCodecFactory({}));
  port_ = server_->bound_port();
  MakeSealedLink();
  Then(1, [this] { Send(1, "echo a"); });
  EXPECT_EQ(Replay(), (Story{"down"}));
  EXPECT_EQ(down_.error.code, ErrorCode::kNotAllowed);
  EXPECT_NE(down_.error.message.find("runs without --gossip-key"), std::string::npos)
      << down_.error.message;
}

TEST_F(SealedLinkTest, AClientWithoutAKeyIsServedInTheClear) {
  MakeLink();
  Then(3, [this] {
    Send(1, "echo a");
    Send(2, "echo " + std::string(200'000, 'b'));
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "2=" + std::string(200'000, 'b')}));
  EXPECT_EQ(theirs_.stats().handshakes, 0U);
}

TEST_F(SealedLinkTest, IsMadeAgainWithTheNewKeyAndLosesNothing) {
  const GossipKey fresh = NewKey();
  theirs_.Replace({key_, fresh});
  MakeSealedLink();
  Then(2, [this] { Send(1, "echo a"); });
  Then(2, [&] {
    EXPECT_FALSE(link_->outdated());
    ours_.Replace({fresh, key_});
    EXPECT_TRUE(link_->outdated());
    ASSERT_TRUE(link_->Hold());
    Send(2, "echo b");
    link_->Renew();
  });
  Then(1, [&] {
    theirs_.Replace({fresh});
    Send(3, "echo c");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "up", "2=b", "3=c"}));
  EXPECT_FALSE(link_->outdated());
  EXPECT_EQ(ours_.stats().handshakes, 2U);
}

TEST_F(SealedLinkTest, BreaksWithItsKey) {
  MakeSealedLink();
  Then(2, [this] { Send(1, "echo a"); });
  Then(1, [this] {
    theirs_.Replace({NewKey()});
    Send(2, "echo b");
  });
  EXPECT_EQ(Replay(), (Story{"up", "1=a", "down"}));
  EXPECT_EQ(theirs_.stats().links_broken, 1U);
}

}  // namespace
}  // namespace gyre::test
