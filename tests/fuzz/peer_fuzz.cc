// Whatever a peer sends, its requests and its answers, PeerService and Coordinator stay whole. The
// first byte chooses the road and how the node stands; the rest is the message. A request is put
// together from several chunks, so that what one leaves behind meets the next.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "control/coordinator.h"
#include "control/peer_service.h"
#include "membership/state_codec.h"
#include "peer/effect_codec.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"
#include "peer/pull_codec.h"
#include "repair/transfer.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

constexpr std::uint32_t kPartitions = 8;
constexpr UnixMillis kNow = 1'800'000'000'000;
// Callbacks that one input may cause: a peer that never comes to an end is the reader's to notice.
constexpr int kTasksMax = 2000;

NodeId IdOf(std::uint8_t last) {
  NodeId id;
  id.bytes.back() = last;
  return id;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

// Answers each call with the same bytes, later.
class FuzzTransport final : public Transport {
 public:
  void Call(const NodeId&, FrameType, std::string, Duration, Done done) override {
    tasks.push_back([this, done = std::move(done)] { done(std::string_view(answer)); });
  }
  void After(Duration, std::function<void()> task) override { tasks.push_back(std::move(task)); }

  std::string answer;
  std::deque<std::function<void()>> tasks;
};

class Node final : public ControlPort, public PullPort {
 public:
  Node() {
    MemberInfo self;
    self.id = IdOf(1);
    self.host = "127.0.0.1";
    self.port = 7700;
    self.incarnation = 10;
    membership_ = std::make_unique<Membership>(MembershipOptions{}, self, kPartitions, 2);
    coordinator_ = std::make_unique<Coordinator>(
        OwnershipOptions{.founder = true}, self.id,
        Coordinator::Parts{*engine_, table_, views_, transport_, *membership_, *this,
                           [this](const MembershipActions&) { coordinator_->OnStateChanged(); },
                           [this] { return now_; }});
    transfer_ = std::make_unique<Transfer>(
        TransferOptions{}, self.id, *engine_, transport_,
        [this](PartitionId partition, std::uint64_t pull, bool filled) {
          coordinator_->OnPulled(partition, pull, filled);
        },
        [this] { return now_; }, [] { return kNow; });
    // Another member, on the ring.
    wire::PushPull known;
    known.set_cluster(ClusterHash("gyre"));
    known.set_from(std::string(IdOf(2).raw()));
    known.set_partition_count(kPartitions);
    known.set_replicas(2);
    self.id = IdOf(2);
    self.port = 7701;
    ToWire(MemberRecord{self, 10}, *known.add_members());
    ToWire(RingEntry{self.id, "", 1, 1}, *known.add_ring());
    Result<std::string> reply;
    membership_->OnPushPull(now_, known.SerializeAsString(), reply);
    coordinator_->Start();
    Run(50);
  }

  void Ask(std::string_view request) {
    int answers = 0;
    service_.Handle(request, [&answers](const std::string&) { ++answers; });
    Run(100);
    Require(answers <= 1);
  }
  void Decide(std::string_view request) {
    coordinator_->Handle(std::string(request), [](const std::string&) {});
    Run(100);
  }
  // What this node asks gets `answer`.
  void Answer(std::string_view answer) {
    transport_.answer = answer;
    transfer_->Start(1, IdOf(2), 1);
    Run(kTasksMax);
  }
  void SetRoles(Role role) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      Shard& shard = engine_->ShardOf(partition);
      MutexLock lock(shard.mutex());
      shard.SetRole(partition, role);
    }
  }
  void Check() {
    for (std::uint32_t index = 0; index < engine_->shard_count(); ++index) {
      Shard& shard = engine_->shard(index);
      MutexLock lock(shard.mutex());
      Require(shard.CheckInvariants());
      Require(shard.stats().bytes_used <= shard.stats().bytes_limit);
      // Whatever came, the clock did not leave this century (one write may carry into the next ms).
      Require(!IsTooFarAhead(shard.NextVersion(kNow), kNow + 1));
    }
  }

 private:
  static std::unique_ptr<Engine> MakeEngine() {
    EngineOptions options;
    options.memory_bytes = std::size_t{8} << 20;
    options.value_bytes_max = std::size_t{1} << 20;
    options.partition_count = kPartitions;
    options.shard_count = 2;
    return std::move(*Engine::Create(options));
  }
  void Run(int tasks_max) {
    for (int i = 0; i < tasks_max && !transport_.tasks.empty(); ++i) {
      const auto task = std::move(transport_.tasks.front());
      transport_.tasks.pop_front();
      now_ += std::chrono::milliseconds(1);
      task();
    }
  }

  void Handle(std::string payload, ControlPort::Done done) override {
    coordinator_->Handle(payload, std::move(done));
  }
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
             bool writes_only) override {
    transfer_->Start(partition, source, pull, writes_only);
  }
  void Stop(PartitionId partition) override { transfer_->Stop(partition); }
  void Recover(PartitionId, const NodeId&) override {}

  TimePoint now_{std::chrono::seconds(100)};
  std::unique_ptr<Engine> engine_ = MakeEngine();
  ReplicationTable table_{TableOptionsFor(*engine_)};
  ViewPublisher views_;
  FuzzTransport transport_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Transfer> transfer_;
  PeerService service_{*engine_, table_, views_, *this, [] { return kNow; }};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Node node;
  node.SetRoles(static_cast<Role>(data[0] >> 2 & 3));
  while (!rest.empty()) {
    // A length of one byte, then so much of it.
    const auto length = static_cast<unsigned char>(rest.front());
    const std::string_view message = rest.substr(1, length);
    rest.remove_prefix(std::min(rest.size(), std::size_t{1} + length));
    switch (data[0] & 3) {
      case 0:
        node.Ask(message);
        break;
      case 1:
        node.Decide(message);
        break;
      case 2:
        node.Answer(message);
        break;
      default: {
        PullPage page;
        (void)DecodePullReply(message, page);
        (void)DecodeReplicateReply(message);
        (void)DecodeReplicateReply(message, BatchForm::kGroups);
        std::vector<GroupView> groups;
        std::vector<DecodedEffect> effects;
        (void)DecodeGroups(message, groups);
        (void)DecodeEffects(0, message, effects);
        (void)DecodeMutation(message);
        (void)DecodeFlush(message);
      }
    }
  }
  node.Check();
  return 0;
}
