// Whole nodes, but for commands: real threads, loops and sockets on the loopback interface. What
// the simulator cannot see: that the threads meet where they may (run it under TSan).
#include "cluster_net/cluster_runtime.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/event_loop.h"
#include "net/server.h"
#include "protocol/codec.h"
#include "sim/world.h"

namespace gyre {
namespace {

constexpr std::uint32_t kRuntimePartitions = 64;
// Far longer than anything takes: hitting it is a failure, never a matter of speed.
constexpr std::chrono::seconds kPatience(60);

class RuntimeNode final : private Handler {
 public:
  explicit RuntimeNode(std::uint32_t number, const std::vector<Address>& seeds) {
    EngineOptions engine;
    engine.memory_bytes = std::size_t{16} << 20;
    engine.value_bytes_max = 64 * 1024;
    engine.partition_count = kRuntimePartitions;
    engine.shard_count = 4;
    engine.version_node = static_cast<std::uint8_t>(number);
    engine_ = std::move(*Engine::Create(engine));
    loop_ = std::move(*EventLoop::Create());
    server_ = std::make_unique<Server>(*loop_, sessions_);
    ListenOptions listen;
    listen.protocol = Protocol::kNative;
    listen.codec = MakeNativeCodecFactory(CodecLimits{});
    listen.handler = this;
    EXPECT_TRUE(server_->Listen(listen));
    ClusterRuntimeOptions options;
    options.self.id = sim::IdOf(number);
    options.self.name = "n" + std::to_string(number);
    options.self.host = "127.0.0.1";
    options.self.port = server_->bound_port();
    options.self.incarnation = static_cast<std::uint64_t>(UnixNow());
    options.seeds = seeds;
    options.replicator.write_acks = 2;
    address_ = {options.self.host, options.self.port};
    auto runtime = ClusterRuntime::Create(options, *engine_);
    EXPECT_TRUE(runtime) << runtime.error().message;
    runtime_ = std::move(*runtime);
    part_ = &runtime_->MakeWorker(*loop_);
    thread_ = std::thread([this] { loop_->Run(); });
    EXPECT_TRUE(runtime_->Start());
  }
  ~RuntimeNode() override { Close(); }

  const Address& address() const { return address_; }
  ClusterRuntime& runtime() { return *runtime_; }
  ClusterViewPtr view() { return runtime_->views().Load(); }

  // SIGTERM.
  void Stop() {
    std::promise<void> done;
    runtime_->BeginStop({}, [&done] { done.set_value(); });
    EXPECT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
    Close();
  }
  void Close() {
    if (!thread_.joinable()) return;
    std::promise<void> closed;
    loop_->Post([&] {
      runtime_->CloseWorker(*part_);
      server_.reset();
      closed.set_value();
    });
    closed.get_future().wait();
    loop_->Stop();
    thread_.join();
    runtime_->Stop();
    runtime_.reset();
  }

  // Runs `condition` on the worker's loop until it holds.
  bool Eventually(const std::function<bool()>& condition) {
    auto held = std::make_shared<std::promise<void>>();
    std::future<void> future = held->get_future();
    loop_->Post([this, condition, held] { Poll(condition, held); });
    return future.wait_for(kPatience) == std::future_status::ready;
  }

  // Writes the keys that this node owns; how many were acknowledged by two.
  std::size_t Write(const std::vector<std::string>& keys) {
    std::promise<std::size_t> result;
    std::size_t open = 1;
    std::size_t acknowledged = 0;
    const auto finish = [&] {
      if (--open == 0) result.set_value(acknowledged);
    };
    loop_->Post([&] {
      for (const std::string& key : keys) {
        Replicator::Ticket ticket = 0;
        if (!Store(key, ticket)) continue;
        ++open;
        part_->replicator.Await(ticket, 2, [&](const Status& status) {
          acknowledged += status ? 1 : 0;
          finish();
        });
      }
      part_->replicator.Flush();
      finish();
    });
    return result.get_future().get();
  }
  bool Has(const std::string& key_bytes) {
    const Key key = engine_->KeyOf(key_bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    return static_cast<bool>(shard.Peek(key));
  }
  bool Owns(const std::string& key_bytes) {
    const Key key = engine_->KeyOf(key_bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    return shard.info(key.partition).role == Role::kOwner;
  }

 private:
  void Handle(const Request& request, Session&, Responder& responder) override {
    if (request.kind != Request::Kind::kPeer) {
      return responder.writer().Fail({ErrorCode::kUnknownCommand, "peers only"});
    }
    part_->peers.Handle(request.payload,
                        [pending = responder.Defer()](const std::string& reply) mutable {
                          pending.writer().Peer(reply);
                          pending.Finish();
                        });
  }
  void Poll(const std::function<bool()>& condition,
            const std::shared_ptr<std::promise<void>>& held) {
    if (condition()) return held->set_value();
    part_->transport.After(std::chrono::milliseconds(5),
                           [this, condition, held] { Poll(condition, held); });
  }
  bool Store(const std::string& key_bytes, Replicator::Ticket& ticket) {
    const Key key = engine_->KeyOf(key_bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    if (shard.info(key.partition).role != Role::kOwner) return false;
    if (!part_->replicator.Check(key.partition, 2)) return false;
    const Result<RecordView> stored =
        shard.Store(key, "value", kNeverExpires, 0, shard.NextVersion(loop_->unix_now()));
    if (!stored) return false;
    ticket = part_->replicator.SubmitOne(Effect::Put(key, *stored));
    return true;
  }

  SessionRegistry sessions_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<ClusterRuntime> runtime_;
  WorkerPart* part_ = nullptr;
  Address address_;
  std::thread thread_;
};

// All are on the ring (one may serve before it has its place), every partition is whole on its
// holders, and the first of them owns it.
bool InPlace(RuntimeNode& node, std::size_t nodes) {
  const ClusterViewPtr view = node.view();
  if (view == nullptr) return false;
  std::size_t placed = 0;
  for (std::size_t i = 0; i < view->members.size(); ++i) {
    placed += view->members[i].serving() && view->on_ring[i] ? 1 : 0;
  }
  if (placed != nodes) return false;
  for (PartitionId partition = 0; partition < view->partition_count; ++partition) {
    if (view->holders[partition].size() != std::min<std::size_t>(nodes, 2)) return false;
    if (view->complete[partition] != view->holders[partition]) return false;
    if (view->owner[partition] != view->holders[partition].front()) return false;
  }
  return true;
}

TEST(ClusterRuntimeTest, NodesJoinReplicateHandOverAndDrain) {
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back("key" + std::to_string(i));
  std::vector<std::unique_ptr<RuntimeNode>> nodes;
  nodes.push_back(std::make_unique<RuntimeNode>(0, std::vector<Address>{}));
  const std::vector<Address> seeds{nodes[0]->address()};
  for (std::uint32_t number : {1U, 2U}) {
    nodes.push_back(std::make_unique<RuntimeNode>(number, seeds));
  }
  for (auto& node : nodes) {
    ASSERT_TRUE(node->Eventually([&] { return InPlace(*node, 3); }));
  }
  std::size_t acknowledged = 0;
  for (auto& node : nodes) acknowledged += node->Write(keys);
  EXPECT_EQ(acknowledged, keys.size());
  for (const std::string& key : keys) {
    int copies = 0;
    for (auto& node : nodes) copies += node->Has(key) ? 1 : 0;
    EXPECT_EQ(copies, 2) << key;
  }

  nodes.push_back(std::make_unique<RuntimeNode>(3, seeds));
  for (auto& node : nodes) {
    ASSERT_TRUE(node->Eventually([&] { return InPlace(*node, 4); }));
  }
  EXPECT_GT(nodes[3]->runtime().stats().transfer.partitions_done, 0U);

  std::promise<Status> drained;
  nodes[1]->runtime().Drain(sim::IdOf(2),
                            [&drained](Status status) { drained.set_value(std::move(status)); });
  EXPECT_TRUE(drained.get_future().get());
  ASSERT_TRUE(
      nodes[2]->Eventually([&] { return nodes[2]->runtime().stats().ownership.complete == 0; }));

  nodes[0]->Stop();
  for (std::size_t each : {1U, 3U}) {
    ASSERT_TRUE(nodes[each]->Eventually(
        [&] { return nodes[each]->runtime().stats().ownership.complete == kRuntimePartitions; }));
  }
  for (const std::string& key : keys) {
    int owners = 0;
    for (std::size_t each : {1U, 3U}) {
      EXPECT_TRUE(nodes[each]->Has(key)) << key;
      owners += nodes[each]->Owns(key) ? 1 : 0;
    }
    EXPECT_EQ(owners, 1) << key;
  }
  for (std::size_t each : {1U, 2U, 3U}) {
    EXPECT_EQ(nodes[each]->runtime().stats().ownership.losses, 0U);
  }
}

TEST(ClusterRuntimeTest, APortInUseIsAnErrorThatNamesTheFlag) {
  RuntimeNode node(0, {});
  EngineOptions engine_options;
  engine_options.memory_bytes = std::size_t{16} << 20;
  engine_options.value_bytes_max = 64 * 1024;
  engine_options.partition_count = kRuntimePartitions;
  const auto engine = Engine::Create(engine_options);
  ASSERT_TRUE(engine);
  ClusterRuntimeOptions options;
  options.self.id = sim::IdOf(1);
  options.self.host = node.address().host;
  options.self.port = node.address().port;
  const auto runtime = ClusterRuntime::Create(options, **engine);
  ASSERT_FALSE(runtime);
  EXPECT_NE(runtime.error().message.find("--port"), std::string::npos) << runtime.error().message;
}

}  // namespace
}  // namespace gyre
