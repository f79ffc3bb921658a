// Several nodes in one process: real engines and dispatchers, a network that tests break, virtual
// time.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/dispatcher.h"
#include "command/fakes.h"
#include "command/reply_text.h"
#include "support/native_bytes.h"

namespace gyre::testing {

// One request's reply, as net's connection would hold it.
class TestSlot final : public ReplySlot {
 public:
  ReplyWriter& writer() override { return recorder_; }
  void Finish() override {
    if (!finished()) reply_ = recorder_.Take();
  }
  void FinishWithError(const Error& error) override {
    if (finished()) return;
    recorder_.Restart();
    recorder_.Fail(error);
    Finish();
  }
  bool finished() const override { return reply_.has_value(); }
  void AddRef() override { ++references_; }
  void Unref() override {
    if (--references_ == 0) FinishWithError({ErrorCode::kInternal, "dropped"});
  }
  const Reply& reply() const { return *reply_; }

 private:
  ReplyRecorder recorder_;
  std::optional<Reply> reply_;
  int references_ = 0;
};

class TestResponder final : public Responder {
 public:
  // `subscribed`: where what was subscribed to is kept; null: the protocol has no push.
  explicit TestResponder(TestSlot& slot, std::unique_ptr<PushSource>* subscribed = nullptr)
      : slot_(slot), subscribed_(subscribed) {}
  ReplyWriter& writer() override { return slot_.writer(); }
  PendingReply Defer() override {
    deferred_ = true;
    return PendingReply(slot_);
  }
  std::shared_ptr<PushWaker> Subscribe(std::unique_ptr<PushSource> source) override {
    if (subscribed_ == nullptr) return nullptr;
    *subscribed_ = std::move(source);
    return std::make_shared<Waker>();
  }
  // After Handle.
  void Returned() {
    if (!deferred_) slot_.Finish();
  }

 private:
  struct Waker final : PushWaker {  // tests call Write themselves
    void Wake() override {}
  };

  TestSlot& slot_;
  std::unique_ptr<PushSource>* const subscribed_;
  bool deferred_ = false;
};

class TestCluster;

// A node with one loop. It is also the transport by which its dispatcher reaches the others.
class TestNode final : public Transport {
 public:
  TestNode(TestCluster& cluster, std::uint8_t number, const DispatcherOptions& options,
           bool majority);
  ~TestNode() override {
    subscription.reset();
    dispatcher_.reset();
  }

  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override;
  void After(Duration delay, std::function<void()> done) override;

  // Handles a request of `session`; the slot may be filled later.
  std::shared_ptr<TestSlot> Start(const Request& request, Session& session);
  Dispatcher& dispatcher() { return *dispatcher_; }
  Services services();
  void Crash() {
    subscription.reset();
    dispatcher_.reset();
  }

  void SetRole(PartitionId partition, Role role);
  Role RoleOf(PartitionId partition);

  // First, because what stands below may hold their handles.
  std::vector<std::shared_ptr<TestSlot>> slots;
  const MemberInfo info;
  std::unique_ptr<Engine> engine;
  ViewPublisher views;
  SessionRegistry sessions;
  // The clock of its fence may jump by a minute after some readings: the process is stopped there.
  ReplicationTable replication;
  int fence_reads = 0;
  int stop_after_reads = -1;
  std::function<void()> on_clock_read;  // what other threads do meanwhile
  FakeReplicator replicator;
  FakeReport report;
  FakeSettings settings;
  FakeRing ring;
  FakePeers peers;
  Session client;          // RESP
  Session cluster_client;  // RESP, cluster port
  Session memcached_client;
  Session operator_client;  // native
  Session peer;             // native: what other nodes forward

  std::unique_ptr<PushSource> subscription;  // of whichever session

  // ---- The network to this node.
  bool down = false;                  // calls fail before they are sent
  int lose_requests = 0;              // the next so many get lost on the way here
  int lose_replies = 0;               // the next so many are executed, but the answer gets lost
  std::vector<std::string> received;  // the command lines that arrived

 private:
  static MemberInfo MakeInfo(std::uint8_t number);
  TestCluster& cluster_;
  std::unique_ptr<Dispatcher> dispatcher_;
};

class TestCluster {
 public:
  static constexpr std::uint32_t kPartitions = 16;

  explicit TestCluster(int nodes, const DispatcherOptions& options = {}, bool majority = false) {
    for (int i = 0; i < nodes; ++i) {
      nodes_.push_back(
          std::make_unique<TestNode>(*this, static_cast<std::uint8_t>(i + 1), options, majority));
    }
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      owners_.push_back(static_cast<MemberIndex>(partition % nodes_.size()));
    }
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      Give(partition, owners_[partition]);
    }
    Publish();
  }
  ~TestCluster() { time.Clear(); }

  TestNode& node(std::size_t index) { return *nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }

  // Who orders the partition's writes: the roles. The view says so after Publish.
  void Give(PartitionId partition, MemberIndex owner) {
    for (MemberIndex i = 0; i < nodes_.size(); ++i) {
      nodes_[i]->SetRole(partition, i == owner ? Role::kOwner : Role::kReplica);
    }
    owners_[partition] = owner;
  }
  void SetOwnerInView(PartitionId partition, MemberIndex owner) { owners_[partition] = owner; }
  // Tells all nodes who owns what; or one.
  void Publish() {
    for (MemberIndex i = 0; i < nodes_.size(); ++i) PublishTo(i);
  }
  void PublishTo(MemberIndex index) {
    auto view = std::make_shared<ClusterView>();
    view->digest = ++digest_;
    view->partition_count = kPartitions;
    view->replicas = 2;
    for (const auto& node : nodes_) view->members.push_back(node->info);
    for (const MemberIndex suspect : suspects) view->members[suspect].state = MemberState::kSuspect;
    for (const MemberIndex each : dead) view->members[each].state = MemberState::kDead;
    for (const auto& [each, number] : incarnation_of) view->members[each].incarnation = number;
    view->on_ring.assign(nodes_.size(), true);
    view->self = index;
    view->owner = owners_;
    for (const MemberIndex owner : owners_) {
      const auto next = static_cast<MemberIndex>((owner + 1) % nodes_.size());
      MemberList holders;
      if (owner != kNoMember) holders.push_back(owner);
      if (owner != kNoMember && next != owner) holders.push_back(next);
      view->complete.push_back(holders);
      view->holders.push_back(holders);
    }
    nodes_[index]->views.Publish(view);
  }

  // Tells one that it is alone, and that nobody owns anything.
  void PublishAlone(MemberIndex index) {
    auto view = std::make_shared<ClusterView>();
    view->digest = ++digest_;
    view->partition_count = kPartitions;
    view->replicas = 2;
    view->members.push_back(nodes_[index]->info);
    view->on_ring.assign(1, true);
    view->self = 0;
    view->owner.assign(kPartitions, kNoMember);
    view->complete.resize(kPartitions);
    view->holders.resize(kPartitions);
    nodes_[index]->views.Publish(view);
  }

  // Runs one command on a node, time included, until its reply is there.
  Reply RunAs(std::size_t index, Session& session, const std::vector<std::string>& words) {
    Request request;
    request.args.assign(words.begin(), words.end());
    return RunAs(index, session, request);
  }
  Reply RunAs(std::size_t index, Session& session, const Request& request) {
    const std::shared_ptr<TestSlot> slot = node(index).Start(request, session);
    while (!slot->finished() && time.Step()) {
    }
    EXPECT_TRUE(slot->finished()) << "no reply to " << request.args.front();
    return slot->finished() ? slot->reply() : Reply{};
  }

  // A key of the partition, the n-th of them.
  std::string KeyIn(PartitionId partition, int n = 0) const {
    for (int i = 0;; ++i) {
      std::string key = "key" + std::to_string(i);
      if (PartitionOf(SlotOf(key), kPartitions) == partition && n-- == 0) return key;
    }
  }
  TestNode* FindNode(const NodeId& id) {
    for (const auto& node : nodes_) {
      if (node->info.id == id) return node.get();
    }
    return nullptr;
  }

  Timeline time;
  // In views that are published from now on.
  std::vector<MemberIndex> suspects;
  std::vector<MemberIndex> dead;
  std::map<MemberIndex, std::uint64_t> incarnation_of;

 private:
  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::vector<MemberIndex> owners_;
  std::uint64_t digest_ = 0;
};

// ---- TestNode -----------------------------------------------------------------------------------

inline MemberInfo TestNode::MakeInfo(std::uint8_t number) {
  MemberInfo info;
  info.id.bytes[0] = number;
  info.name = "n" + std::to_string(number);
  info.host = "127.0.0.1";
  info.port = static_cast<std::uint16_t>(7700 + number);
  info.resp_port = static_cast<std::uint16_t>(6300 + number);
  info.resp_cluster_port = static_cast<std::uint16_t>(7300 + number);
  return info;
}

inline TestNode::TestNode(TestCluster& cluster, std::uint8_t number,
                          const DispatcherOptions& options, bool majority)
    : info(MakeInfo(number)),
      replication(
          {.partition_count = TestCluster::kPartitions, .shard_count = 4, .majority = majority},
          [this] {
            const bool stopped = stop_after_reads >= 0 && fence_reads++ == stop_after_reads;
            return cluster_.time.steady_now() + (stopped ? std::chrono::minutes(1) : Duration{});
          }),
      cluster_(cluster) {
  auto created = Engine::Create({.memory_bytes = std::size_t{64} << 20,
                                 .value_bytes_max = std::size_t{4} << 20,
                                 .partition_count = TestCluster::kPartitions,
                                 .shard_count = 4,
                                 .version_node = number});
  EXPECT_TRUE(created) << created.error().message;
  engine = std::move(*created);
  client.id = sessions.NextId();
  client.connected_ms = Timeline::kStart;
  client.peer_address = "127.0.0.1:50001";
  client.local_address = "127.0.0.1:6301";
  sessions.Add(client);
  cluster_client.id = sessions.NextId();
  cluster_client.cluster_port = true;
  memcached_client.protocol = Protocol::kMemcached;
  operator_client.protocol = Protocol::kNative;
  peer.protocol = Protocol::kNative;
  peer.peer = info.id;
  dispatcher_ = std::make_unique<Dispatcher>(services(), options);
}

inline Services TestNode::services() {
  return {.engine = *engine,
          .views = views,
          .sessions = sessions,
          .replication = replication,
          .report = report,
          .settings = settings,
          .replicator = replicator,
          .transport = *this,
          .peers = peers,
          .ring = ring,
          .unix_now = [this] { return cluster_.time.unix_now(); },
          .steady_now =
              [this] {
                if (on_clock_read) on_clock_read();
                return cluster_.time.steady_now();
              }};
}

inline void TestNode::SetRole(PartitionId partition, Role role) {
  Shard& shard = engine->ShardOf(partition);
  MutexLock lock(shard.mutex());
  shard.SetKeepsTombstones(partition, true);
  shard.SetRole(partition, role);
}

inline Role TestNode::RoleOf(PartitionId partition) {
  Shard& shard = engine->ShardOf(partition);
  MutexLock lock(shard.mutex());
  return shard.info(partition).role;
}

inline void TestNode::After(Duration delay, std::function<void()> done) {
  cluster_.time.After(delay, std::move(done));
}

inline std::shared_ptr<TestSlot> TestNode::Start(const Request& request, Session& session) {
  auto slot = std::make_shared<TestSlot>();
  slots.push_back(slot);
  slot->AddRef();  // for the call: the last handle that goes ends an unanswered request
  const bool pushes = session.protocol != Protocol::kMemcached;
  TestResponder responder(*slot, pushes ? &subscription : nullptr);
  dispatcher_->Handle(request, session, responder);
  session.push_source = subscription.get();
  responder.Returned();
  slot->Unref();
  dispatcher_->EndOfBatch();
  return slot;
}

inline void TestNode::Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                           Done done) {
  constexpr Duration kHop = std::chrono::microseconds(100);
  TestNode* const target = cluster_.FindNode(to);
  EXPECT_EQ(type, FrameType::kRequest);
  if (target == nullptr || target->down) {
    return After(kHop, [done = std::move(done)] {
      done(Fail(ErrorCode::kUnavailable, "connection refused"));
    });
  }
  if (target->lose_requests > 0) {
    --target->lose_requests;
    return After(kHop, [done = std::move(done)] { done(Fail(ErrorCode::kIo, "reset")); });
  }
  cluster_.time.After(kHop, [this, target, payload = std::move(payload), deadline,
                             done = std::move(done)]() mutable {
    // As the native port does.
    std::shared_ptr<TestSlot> slot;
    const bool whole = WithNativeRequest(payload, [&](const Request& request) {
      std::string line;
      for (const std::string_view arg : request.args) line += std::string(arg) + " ";
      line.pop_back();
      target->received.push_back(line);
      slot = target->Start(request, target->peer);
    });
    ASSERT_TRUE(whole);
    const bool lost = target->lose_replies > 0;
    if (lost) {
      --target->lose_replies;
      return After(kHop, [done = std::move(done)] { done(Fail(ErrorCode::kIo, "reset")); });
    }
    const TimePoint end = cluster_.time.steady_now() + deadline;
    auto poll = std::make_shared<std::function<void()>>();
    *poll = [this, slot, end, poll, done = std::move(done)] {
      if (slot->finished()) {
        done(EncodeNativeReply(slot->reply()));
      } else if (cluster_.time.steady_now() >= end) {
        done(Fail(ErrorCode::kTimeout, "no reply in time"));
      } else {
        return After(kHop, *poll);
      }
      *poll = nullptr;
    };
    After(kHop, *poll);
  });
}

// Tests of a cluster of three.
class ClusterTest : public ::testing::Test {
 protected:
  explicit ClusterTest(bool majority = false) : cluster_(3, {}, majority) {}

  std::string Run(std::size_t index, const std::vector<std::string>& words) {
    return TextOf(cluster_.RunAs(index, cluster_.node(index).client, words));
  }
  std::string Run(std::size_t index, const std::string& line) { return Run(index, Words(line)); }

  // Its words live as long as the test.
  Request RequestOf(std::vector<std::string> words) {
    words_.push_back(std::move(words));
    Request request;
    request.args.assign(words_.back().begin(), words_.back().end());
    return request;
  }
  Request RequestOf(const std::string& line) { return RequestOf(Words(line)); }

  // Through the node's client port.
  std::shared_ptr<TestSlot> Start(std::size_t index, const Request& request) {
    return cluster_.node(index).Start(request, cluster_.node(index).client);
  }
  std::shared_ptr<TestSlot> Start(std::size_t index, const std::string& line,
                                  std::uint32_t deadline_ms = 0) {
    Request request = RequestOf(line);
    request.deadline_ms = deadline_ms;
    return Start(index, request);
  }

  std::deque<std::vector<std::string>> words_;
  TestCluster cluster_;
};

}  // namespace gyre::testing
