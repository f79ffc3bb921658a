// Membership over real sockets: nodes in one process, each with a loop and thread of its own, on
// free ports of the loopback interface.
#include "cluster_net/gossip.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/membership_fixture.h"
#include "net/server.h"
#include "proto_gen/cluster.pb.h"
#include "protocol/codec.h"

namespace gyre {
namespace {

// Far longer than anything takes: hitting it is a failure, never a matter of speed.
constexpr std::chrono::seconds kGossipPatience(30);

// Wakes the test whenever a node's state changed.
struct News {
  std::mutex mutex;
  std::condition_variable changed;
};

class GossipNode final : private Handler {
 public:
  GossipNode(std::uint64_t number, News& news) : news_(news) {
    auto loop = EventLoop::Create();
    EXPECT_TRUE(loop);
    loop_ = std::move(*loop);
    server_ = std::make_unique<Server>(*loop_, sessions_);
    ListenOptions listen;
    listen.protocol = Protocol::kNative;
    listen.codec = MakeNativeCodecFactory(CodecLimits{});
    listen.handler = this;
    EXPECT_TRUE(server_->Listen(listen));
    info_ = TestMember(number, 1000 + number);
    info_.host = "127.0.0.1";
    info_.port = server_->bound_port();
    membership_ = std::make_unique<Membership>(MembershipOptions{}, info_, 64, 2);
    gossip_ = std::make_unique<Gossip>(*loop_, *membership_,
                                       Gossip::Hooks{[this] { OnState(); }, nullptr});
    EXPECT_TRUE(gossip_->Bind(info_.host, info_.port));
  }
  ~GossipNode() { Kill(); }

  void Start(const std::vector<Address>& seeds) {
    loop_->Post([this, seeds] {
      gossip_->Start(seeds);
      OnState();
    });
    thread_ = std::thread([this] { loop_->Run(); });
  }
  // Closes all sockets without a word, as the kernel does for a killed process.
  void Kill() {
    if (!thread_.joinable()) return;
    std::promise<void> closed;
    loop_->Post([&] {
      gossip_.reset();
      server_.reset();
      closed.set_value();
    });
    closed.get_future().wait();
    loop_->Stop();
    thread_.join();
    loop_.reset();
  }
  void Post(std::function<void(Gossip&, Membership&)> task) {
    loop_->Post([this, task = std::move(task)] { task(*gossip_, *membership_); });
  }

  Address address() const { return {info_.host, info_.port}; }
  const NodeId& id() const { return info_.id; }
  // As last reported; under the news' mutex.
  const std::map<NodeId, MemberInfo>& members() const { return members_; }

 private:
  void OnState() {
    const std::lock_guard lock(news_.mutex);
    members_ = membership_->state().members;
    news_.changed.notify_all();
  }

  void Handle(const Request& request, Session&, Responder& responder) override {
    wire::PeerRequest message;
    ASSERT_TRUE(
        message.ParseFromArray(request.payload.data(), static_cast<int>(request.payload.size())));
    if (message.has_confirm_down()) {
      const auto id = NodeId::FromBytes(message.confirm_down().id());
      ASSERT_TRUE(id);
      gossip_->HandleConfirmDown(*id, message.confirm_down().incarnation(),
                                 [pending = responder.Defer()](bool down) mutable {
                                   wire::PeerReply reply;
                                   reply.mutable_confirm_down()->set_down(down);
                                   pending.writer().Peer(reply.SerializeAsString());
                                   pending.Finish();
                                 });
      return;
    }
    ASSERT_TRUE(message.has_push_pull());
    wire::PeerReply reply;
    const auto state = gossip_->HandlePushPull(message.push_pull().SerializeAsString());
    if (state) {
      ASSERT_TRUE(reply.mutable_push_pull()->ParseFromString(*state));
    } else {
      reply.mutable_error()->set_code(static_cast<std::uint32_t>(state.error().code));
      reply.mutable_error()->set_message(state.error().message);
    }
    responder.writer().Peer(reply.SerializeAsString());
  }

  News& news_;
  MemberInfo info_;
  SessionRegistry sessions_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Gossip> gossip_;
  std::map<NodeId, MemberInfo> members_;
  std::thread thread_;
};

class GossipTest : public ::testing::Test {
 protected:
  void Form(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<GossipNode>(i, news));
    }
    for (const auto& node : nodes) node->Start({nodes[0]->address()});
    ASSERT_TRUE(Eventually([&] {
      for (const auto& viewer : nodes) {
        for (const auto& node : nodes) {
          if (!Sees(*viewer, *node, MemberState::kAlive)) return false;
        }
      }
      return true;
    }));
  }
  bool Eventually(const std::function<bool()>& condition) {
    std::unique_lock lock(news.mutex);
    return news.changed.wait_for(lock, kGossipPatience, condition);
  }
  static bool Sees(const GossipNode& viewer, const GossipNode& node, MemberState state) {
    const auto found = viewer.members().find(node.id());
    return found != viewer.members().end() && found->second.state == state;
  }

  News news;
  std::vector<std::unique_ptr<GossipNode>> nodes;
};

TEST_F(GossipTest, FormsAClusterThroughOneSeed) { Form(5); }

TEST_F(GossipTest, FindsASilentDeathByProbes) {
  Form(3);
  nodes[1]->Kill();
  EXPECT_TRUE(Eventually([&] {
    return Sees(*nodes[0], *nodes[1], MemberState::kDead) &&
           Sees(*nodes[2], *nodes[1], MemberState::kDead);
  }));
}

// Without a suspicion on the way: the third node finds the port closed, too.
TEST_F(GossipTest, ConfirmsABrokenLinkWithAThirdNode) {
  Form(3);
  nodes[1]->Kill();
  nodes[0]->Post([id = nodes[1]->id()](Gossip& gossip, Membership& membership) {
    gossip.LinkDown(id, membership.state().members.at(id).epoch);
  });
  EXPECT_TRUE(Eventually([&] {
    return Sees(*nodes[0], *nodes[1], MemberState::kDead) &&
           Sees(*nodes[2], *nodes[1], MemberState::kDead);
  }));
}

TEST_F(GossipTest, OfTwoNodesOneIsDeadAfterASecondRefusedAttempt) {
  Form(2);
  nodes[1]->Kill();
  nodes[0]->Post([id = nodes[1]->id()](Gossip& gossip, Membership& membership) {
    gossip.LinkDown(id, membership.state().members.at(id).epoch);
  });
  EXPECT_TRUE(Eventually([&] { return Sees(*nodes[0], *nodes[1], MemberState::kDead); }));
}

TEST_F(GossipTest, ABrokenLinkToALivingNodeKillsNobody) {
  Form(3);
  std::promise<bool> answer;
  nodes[0]->Post([&](Gossip& gossip, Membership& membership) {
    const std::uint64_t incarnation = membership.state().members.at(nodes[1]->id()).incarnation;
    gossip.HandleConfirmDown(nodes[1]->id(), incarnation,
                             [&](bool down) { answer.set_value(down); });
  });
  EXPECT_FALSE(answer.get_future().get());
}

TEST_F(GossipTest, TellsOfAStop) {
  Form(3);
  nodes[1]->Post(
      [](Gossip& gossip, Membership& membership) { gossip.Perform(membership.Stop(SteadyNow())); });
  EXPECT_TRUE(Eventually([&] {
    return Sees(*nodes[0], *nodes[1], MemberState::kStopped) &&
           Sees(*nodes[2], *nodes[1], MemberState::kStopped);
  }));
}

TEST(GossipBind, SaysWhenThePortIsTaken) {
  auto loop = EventLoop::Create();
  ASSERT_TRUE(loop);
  Membership membership({}, TestMember(1), 64, 2);
  Gossip first(**loop, membership, {});
  Gossip second(**loop, membership, {});
  ASSERT_TRUE(first.Bind("127.0.0.1", 0));
  const Status status = second.Bind("127.0.0.1", first.bound_port());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(std::to_string(first.bound_port())), std::string::npos);
}

}  // namespace
}  // namespace gyre
