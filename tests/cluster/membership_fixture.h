// A cluster of Membership machines in virtual time, over a network that loses, delays and cuts as
// the test says.
//
// Datagrams are lost and delayed at random; push/pulls and confirmations stand for TCP: they
// arrive, or fail after a while when the way is cut, at once when nobody listens. Everything is
// decided by the seed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/prng.h"
#include "membership/membership.h"
#include "support/test_signer.h"

namespace gyre {

inline NodeId TestId(std::uint64_t number) {
  NodeId id;
  const std::uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15ULL;
  for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::uint8_t>(mixed >> (8 * i));
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

inline MemberInfo TestMember(std::uint64_t number, std::uint64_t incarnation = 1) {
  MemberInfo info;
  info.id = TestId(number);
  info.name = "n" + std::to_string(number);
  info.host = "10.0.0." + std::to_string(number);
  info.port = 7700;
  info.incarnation = incarnation;
  return info;
}

class VirtualCluster {
 public:
  static constexpr std::uint32_t kPartitions = 64;
  static constexpr std::uint32_t kReplicas = 2;

  explicit VirtualCluster(std::uint64_t seed) : prng_(seed), seed_(seed) {}

  // ---- Nodes ----
  void Start(std::uint64_t number, MemberInfo info, const MembershipOptions& options = {},
             std::vector<std::uint64_t> seeds = {0}, std::uint32_t partitions = kPartitions,
             std::uint32_t replicas = kReplicas) {
    MembershipOptions own = options;
    own.seed = seed_;
    auto node = std::make_unique<Node>();
    node->address = {info.host, info.port};
    node->life = ++lives_;
    node->signer = std::make_unique<TestSigner>(info.id);
    if (signs) own.signer = node->signer.get();
    node->machine = std::make_unique<Membership>(own, info, partitions, replicas);
    by_address_[node->address.host] = number;
    nodes_[number] = std::move(node);
    std::vector<Address> addresses;
    for (const std::uint64_t seed : seeds) addresses.push_back({TestMember(seed).host, 7700});
    Perform(number, at(number).SetSeeds(now_, std::move(addresses)));
    ScheduleTick(number);
  }
  void Start(std::uint64_t number) { Start(number, TestMember(number)); }
  void StartMany(std::uint64_t count, const MembershipOptions& options = {}) {
    for (std::uint64_t number = 0; number < count; ++number) {
      Start(number, TestMember(number), options);
    }
  }
  // kill -9
  void Kill(std::uint64_t number) { nodes_.erase(number); }
  // SIGSTOP: what arrives waits for nobody.
  void Pause(std::uint64_t number) { nodes_.at(number)->paused = true; }
  void Resume(std::uint64_t number) {
    nodes_.at(number)->paused = false;
    ScheduleTick(number);
  }

  Membership& at(std::uint64_t number) { return *nodes_.at(number)->machine; }
  bool running(std::uint64_t number) const { return nodes_.count(number) > 0; }
  int declared_dead(std::uint64_t number) const { return nodes_.at(number)->declared_dead; }
  const std::vector<std::string>& logs(std::uint64_t number) const {
    return nodes_.at(number)->logs;
  }
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    for (const auto& [number, node] : nodes_) all.push_back(number);
    return all;
  }

  // ---- Network ----
  void set_loss(double loss) { loss_ = loss; }
  // Nothing goes from `source` to `target`.
  void Cut(std::uint64_t source, std::uint64_t target) { cuts_.insert({source, target}); }
  void Split(const std::set<std::uint64_t>& one, const std::set<std::uint64_t>& other) {
    for (const std::uint64_t a : one) {
      for (const std::uint64_t b : other) {
        Cut(a, b);
        Cut(b, a);
      }
    }
  }
  void Heal() { cuts_.clear(); }
  // Who answers at a host; nobody: nothing listens there.
  void Route(const std::string& host, std::optional<std::uint64_t> number) {
    by_address_.erase(host);
    if (number) by_address_[host] = *number;
  }
  std::uint64_t datagrams() const { return datagrams_; }
  std::uint64_t datagram_bytes_most() const { return datagram_bytes_most_; }
  std::uint64_t push_pulls() const { return push_pulls_; }
  // Each datagram as it arrives, and the push/pulls: for tests that look at, or spoil, them.
  std::function<void(std::string&)> on_bytes;
  bool keep_logs = true;
  // Nodes prove what they say, and believe nothing else.
  bool signs = true;

  // ---- Time ----
  TimePoint now() const { return now_; }
  void Run(Duration duration) {
    const TimePoint end = now_ + duration;
    while (Step(end)) {
    }
    now_ = end;
  }
  // Runs until `done`; how long it took, or nothing after `most`.
  std::optional<Duration> RunUntil(const std::function<bool()>& done, Duration most) {
    const TimePoint start = now_;
    while (!done()) {
      if (!Step(start + most)) return std::nullopt;
    }
    return now_ - start;
  }

  // ---- Events that a shell would report ----
  void Apply(std::uint64_t number, const std::function<MembershipActions(Membership&)>& event) {
    Perform(number, event(at(number)));
    ScheduleTick(number);
  }
  // As a link that began to connect when `target` was known as it is now; or `epoch`.
  void LinkDown(std::uint64_t number, std::uint64_t target,
                std::optional<std::uint64_t> epoch = std::nullopt) {
    const std::uint64_t known = at(number).state().members.at(TestId(target)).epoch;
    Apply(number, [&](Membership& machine) {
      return machine.OnLinkDown(now_, TestId(target), epoch.value_or(known));
    });
  }

  // ---- What nodes believe ----
  MemberState StateAt(std::uint64_t viewer, std::uint64_t number) {
    return at(viewer).state().members.at(TestId(number)).state;
  }
  bool Knows(std::uint64_t viewer, std::uint64_t number) {
    return at(viewer).state().members.count(TestId(number)) > 0;
  }
  bool AllSee(std::uint64_t number, MemberState state) {
    for (const auto& [viewer, node] : nodes_) {
      if (viewer != number && (!Knows(viewer, number) || StateAt(viewer, number) != state)) {
        return false;
      }
    }
    return true;
  }
  bool Converged() {
    const ClusterState& first = nodes_.begin()->second->machine->state();
    for (const auto& [number, node] : nodes_) {
      const ClusterState& state = node->machine->state();
      if (state.members.size() != first.members.size() || state.digest != first.digest) {
        return false;
      }
      for (const auto& [viewer, other] : nodes_) {
        if (!Knows(viewer, number) || StateAt(viewer, number) != MemberState::kAlive) return false;
      }
    }
    return true;
  }
  std::uint64_t Deaths() const {
    std::uint64_t deaths = 0;
    for (const auto& [number, node] : nodes_) deaths += node->machine->stats().deaths;
    return deaths;
  }

 private:
  struct Node {
    std::unique_ptr<TestSigner> signer;
    std::unique_ptr<Membership> machine;
    Address address;
    std::uint64_t life = 0;
    std::uint64_t tick = 0;  // generation of the timer
    bool paused = false;
    int declared_dead = 0;
    std::vector<std::string> logs;
  };

  bool Step(TimePoint end) {
    if (events_.empty() || events_.begin()->first.first > end) return false;
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    event.mapped()();
    return true;
  }
  void At(Duration delay, std::function<void()> task) {
    events_.emplace(std::pair{now_ + delay, next_event_++}, std::move(task));
  }
  Duration Delay() { return std::chrono::microseconds(100 + prng_.Below(1400)); }
  bool IsCut(std::uint64_t source, std::uint64_t target) const {
    return cuts_.count({source, target}) > 0;
  }
  // The running node, if it still lives the life in which the event began.
  Node* Alive(std::uint64_t number, std::uint64_t life) {
    const auto found = nodes_.find(number);
    return found == nodes_.end() || found->second->life != life || found->second->paused
               ? nullptr
               : found->second.get();
  }
  std::optional<std::uint64_t> NumberAt(const Address& address) const {
    const auto found = by_address_.find(address.host);
    if (found == by_address_.end() || nodes_.count(found->second) == 0) return std::nullopt;
    return found->second;
  }
  std::optional<std::uint64_t> NumberOf(const NodeId& id) const {
    for (const auto& [number, node] : nodes_) {
      if (node->machine->state().self == id) return number;
    }
    return std::nullopt;
  }

  void ScheduleTick(std::uint64_t number) {
    Node& node = *nodes_.at(number);
    const std::uint64_t generation = ++node.tick;
    const TimePoint due = std::max(node.machine->next_tick(), now_);
    At(due - now_, [this, number, life = node.life, generation] {
      Node* ticking = Alive(number, life);
      if (ticking == nullptr || ticking->tick != generation) return;
      Perform(number, ticking->machine->Tick(now_));
      ScheduleTick(number);
    });
  }

  void Perform(std::uint64_t number, MembershipActions actions) {
    for (MembershipAction& action : actions) {
      std::visit([&](auto& each) { Do(number, each); }, action);
    }
  }
  void Do(std::uint64_t, StateChanged&) {}
  void Do(std::uint64_t, SettingsChanged&) {}
  void Do(std::uint64_t, LeaseHeard&) {}
  void Do(std::uint64_t number, DeclaredDead&) { ++nodes_.at(number)->declared_dead; }
  void Do(std::uint64_t number, LogEvent& event) {
    if (keep_logs) nodes_.at(number)->logs.push_back(ToText(event));
  }
  void Do(std::uint64_t number, SendDatagram& datagram) {
    ++datagrams_;
    datagram_bytes_most_ = std::max<std::uint64_t>(datagram_bytes_most_, datagram.bytes.size());
    const auto target = NumberAt(datagram.to);
    if (!target || IsCut(number, *target) || prng_.Chance(loss_)) return;
    At(Delay(), [this, target = *target, life = nodes_.at(*target)->life,
                 from = nodes_.at(number)->address, bytes = std::move(datagram.bytes)]() mutable {
      Node* node = Alive(target, life);
      if (node == nullptr) return;
      if (on_bytes) on_bytes(bytes);
      Perform(target, node->machine->OnDatagram(now_, from, bytes));
      ScheduleTick(target);
    });
  }
  void Do(std::uint64_t number, StartPushPull& sync) {
    ++push_pulls_;
    const auto target = NumberAt(sync.to);
    const std::uint64_t life = nodes_.at(number)->life;
    const auto fail = [this, number, life, to = sync.to](Error error) {
      Node* node = Alive(number, life);
      if (node == nullptr) return;
      Perform(number, node->machine->OnPushPullFailed(now_, to, error));
      ScheduleTick(number);
    };
    if (!target) {
      At(Delay(), [this, fail, number, life, to = sync.to] {
        fail({ErrorCode::kUnavailable, "connection refused"});
        if (Alive(number, life) != nullptr) Refused(number, to);
      });
      return;
    }
    if (IsCut(number, *target) || IsCut(*target, number) || nodes_.at(*target)->paused) {
      At(std::chrono::seconds(1), [fail] { fail({ErrorCode::kTimeout, "no answer"}); });
      return;
    }
    At(Delay(), [this, number, life, fail, to = sync.to, target = *target,
                 payload = std::move(sync.payload)]() mutable {
      if (on_bytes) on_bytes(payload);
      const auto found = nodes_.find(target);
      if (found == nodes_.end()) return fail({ErrorCode::kIo, "reset"});
      Result<std::string> reply;
      Perform(target, found->second->machine->OnPushPull(now_, payload, reply));
      ScheduleTick(target);
      At(Delay(), [this, number, life, fail, to, reply] {
        if (!reply) return fail(reply.error());
        Node* node = Alive(number, life);
        if (node == nullptr) return;
        Perform(number, node->machine->OnPushPullReply(now_, to, *reply));
        ScheduleTick(number);
      });
    });
  }
  // The serving member at `address`, as the node knows it, is gone.
  void Refused(std::uint64_t number, const Address& address) {
    for (const auto& [id, member] : at(number).state().members) {
      if (!member.serving() || Address{member.host, member.port} != address) continue;
      return Apply(number, [&, gone = id, epoch = member.epoch](Membership& machine) {
        return machine.OnLinkDown(now_, gone, epoch);
      });
    }
  }
  void Do(std::uint64_t number, AskConfirmDown& ask) {
    const auto via = NumberOf(ask.via);
    if (!via || IsCut(number, *via)) return;
    const std::uint64_t life = nodes_.at(number)->life;
    At(Delay(), [this, number, life, via = *via, ask] {
      if (nodes_.count(via) == 0) return;
      // The helper tries for itself: a node that is gone refuses.
      const auto suspect = NumberOf(ask.suspect);
      const bool down = !suspect || at(via).SeemsDown(now_, ask.suspect);
      At(Delay(), [this, number, life, ask, down] {
        Node* node = Alive(number, life);
        if (node == nullptr || !down) return;
        Perform(number, node->machine->OnConfirmedDown(now_, ask.suspect, ask.incarnation));
        ScheduleTick(number);
      });
    });
  }

  Prng prng_;
  std::uint64_t seed_;
  TimePoint now_{std::chrono::hours(1)};
  std::uint64_t next_event_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
  std::map<std::uint64_t, std::unique_ptr<Node>> nodes_;
  std::map<std::string, std::uint64_t> by_address_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> cuts_;
  double loss_ = 0;
  std::uint64_t lives_ = 0;
  std::uint64_t datagrams_ = 0;
  std::uint64_t datagram_bytes_most_ = 0;
  std::uint64_t push_pulls_ = 0;
};

// Tests of a cluster that has formed, with all its members on the ring.
class MembershipTest : public ::testing::Test {
 protected:
  void Form(std::uint64_t count, const MembershipOptions& options = {}) {
    cluster.StartMany(count, options);
    const auto took =
        cluster.RunUntil([this] { return cluster.Converged(); }, std::chrono::seconds(20));
    ASSERT_TRUE(took) << "the cluster did not form";
    for (const std::uint64_t number : cluster.numbers()) {
      cluster.Apply(number, [this](Membership& each) { return each.JoinRing(cluster.now()); });
    }
    ASSERT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, std::chrono::seconds(20)));
    cluster.Run(std::chrono::seconds(5));
  }
  std::size_t RingSizeAt(std::uint64_t number) {
    const auto& ring = cluster.at(number).state().ring;
    return static_cast<std::size_t>(std::count_if(
        ring.begin(), ring.end(), [](const auto& entry) { return !entry.second.removed; }));
  }
  bool AllHaveRingSize(std::size_t size) {
    const auto numbers = cluster.numbers();
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](std::uint64_t each) { return RingSizeAt(each) == size; });
  }
  bool HasLog(std::uint64_t number, const std::string& part) {
    const auto& logs = cluster.logs(number);
    return std::any_of(logs.begin(), logs.end(), [&](const std::string& line) {
      return line.find(part) != std::string::npos;
    });
  }
  static PartitionSet Some(std::initializer_list<PartitionId> partitions) {
    PartitionSet set(VirtualCluster::kPartitions);
    for (const PartitionId each : partitions) set.Set(each);
    return set;
  }
  void Hold(std::uint64_t number, const PartitionSet& complete) {
    cluster.Apply(number, [&](Membership& each) {
      return each.SetHoldings(cluster.now(), complete, PartitionSet(complete.partition_count()));
    });
  }
  bool SeesHoldings(std::uint64_t viewer, std::uint64_t number, const PartitionSet& complete) {
    const ClusterState& state = cluster.at(viewer).state();
    const auto found = state.holdings.find(TestId(number));
    return found != state.holdings.end() && found->second.complete == complete &&
           found->second.incarnation == state.members.at(TestId(number)).incarnation;
  }

  VirtualCluster cluster{7};
};

}  // namespace gyre
