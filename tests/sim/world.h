// Virtual time and a network, for whole clusters in one process: one heap of events, one seeded
// generator, no thread. Everything that happens, happens in an order that the seed alone decides.
//
// A node has a life: what was scheduled or sent for an earlier life of it (before a crash) never
// happens. While it is paused (SIGSTOP), what is due waits until it goes on.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/prng.h"
#include "cluster/transport.h"
#include "proto/node_id.h"

namespace gyre::sim {

using NodeIndex = std::uint32_t;
inline constexpr NodeIndex kNobody = 0xffffffff;

using std::chrono::milliseconds;
using std::chrono::seconds;

struct NetworkOptions {
  Duration delay_min = std::chrono::microseconds(100);
  Duration delay_max = std::chrono::microseconds(900);
  double datagram_loss = 0;
  double link_break = 0;  // chance that a message breaks its link: it and its reply are lost
};

inline NodeId IdOf(NodeIndex node) {
  std::array<std::uint8_t, 16> bytes{};
  // Scattered, so that the order of ids is not the order of nodes.
  const std::uint64_t mixed = (node + 1) * 0x9e3779b97f4a7c15ULL;
  for (int i = 0; i < 8; ++i)
    bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(mixed >> (8 * i));
  bytes[15] = static_cast<std::uint8_t>(node);
  return NodeIdFromRandom(bytes);
}

class World {
 public:
  using Task = std::function<void()>;
  // Answers a request that arrived at a node.
  using Handler = std::function<void(NodeIndex from, FrameType type, std::string payload,
                                     std::function<void(std::string)> reply)>;
  using DatagramHandler = std::function<void(NodeIndex from, std::string bytes)>;
  // A connection of the node to `to` was refused or reset.
  using LinkDownHandler = std::function<void(NodeIndex to)>;

  explicit World(std::uint64_t seed, std::size_t nodes)
      : random_(seed), nodes_(nodes), wall_offset_ms_(1'800'000'000'000) {}

  Prng& random() { return random_; }
  NetworkOptions& network() { return network_; }
  TimePoint now() const { return now_; }
  UnixMillis unix_now() const {
    return wall_offset_ms_ +
           std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
  }
  std::uint64_t trace_hash() const { return trace_; }
  std::uint64_t events() const { return event_count_; }

  // ---- Time ----
  void At(NodeIndex node, Duration delay, Task task) {
    const std::uint64_t life = node == kNobody ? 0 : nodes_[node].life;
    heap_.push(Event{now_ + std::max(delay, Duration{}), next_sequence_++, node, life,
                     std::make_shared<Task>(std::move(task))});
  }
  // Runs for `span` of virtual time.
  void Run(Duration span) {
    const TimePoint end = now_ + span;
    while (!heap_.empty() && heap_.top().at <= end) Step();
    now_ = end;
  }
  // Runs until `condition` holds; false if it does not within `span`.
  bool RunUntil(const std::function<bool()>& condition, Duration span) {
    const TimePoint end = now_ + span;
    while (!condition()) {
      if (heap_.empty() || heap_.top().at > end) {
        now_ = end;
        return condition();
      }
      Step();
    }
    return true;
  }

  // ---- Nodes ----
  void Boot(NodeIndex node, Handler handler, DatagramHandler datagrams, LinkDownHandler link_down) {
    Node& each = nodes_[node];
    ++each.life;
    each.up = true;
    each.paused_until = TimePoint{};
    each.handler = std::move(handler);
    each.datagrams = std::move(datagrams);
    each.link_down = std::move(link_down);
  }
  void Crash(NodeIndex node) {
    Node& each = nodes_[node];
    each.up = false;
    ++each.life;
    each.handler = nullptr;
    each.datagrams = nullptr;
    each.link_down = nullptr;
    // Its peers' kernels see the connections reset.
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
      if (other == node || !nodes_[other].up || IsCut(node, other)) continue;
      At(other, Delay(), [this, other, node] {
        if (nodes_[other].link_down) nodes_[other].link_down(node);
      });
    }
  }
  bool up(NodeIndex node) const { return nodes_[node].up; }
  std::size_t size() const { return nodes_.size(); }
  void Pause(NodeIndex node, Duration span) { nodes_[node].paused_until = now_ + span; }

  // ---- The network ----
  // One direction.
  void Cut(NodeIndex from, NodeIndex to) { cuts_.insert({from, to}); }
  void CutBoth(NodeIndex a, NodeIndex b) {
    Cut(a, b);
    Cut(b, a);
  }
  void Isolate(NodeIndex node) {
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
      if (other != node) CutBoth(node, other);
    }
  }
  void Heal() { cuts_.clear(); }
  bool IsCut(NodeIndex from, NodeIndex to) const { return cuts_.contains({from, to}); }

  void SendDatagram(NodeIndex from, NodeIndex to, std::string bytes) {
    if (IsCut(from, to) || random_.Chance(network_.datagram_loss)) return;
    At(to, Delay(), [this, from, to, bytes = std::move(bytes)]() mutable {
      Trace(1, from, to, bytes);
      if (nodes_[to].datagrams) nodes_[to].datagrams(from, std::move(bytes));
    });
  }

  // A request over a connection: the reply, or an error, comes to `from` exactly once in its life.
  void Call(NodeIndex from, NodeIndex to, FrameType type, std::string payload, Duration deadline,
            Transport::Done done) {
    auto call = std::make_shared<Transport::Done>(std::move(done));
    const auto finish = [call](Result<std::string_view> result) {
      if (*call) std::exchange(*call, nullptr)(result);
    };
    At(from, deadline, [finish] { finish(Fail(ErrorCode::kTimeout, "no answer in time")); });
    if (IsCut(from, to)) return;
    if (!nodes_[to].up) {
      At(from, Delay(), [this, from, to, finish] {
        if (nodes_[from].link_down) nodes_[from].link_down(to);
        finish(Fail(ErrorCode::kUnavailable, "connection refused"));
      });
      return;
    }
    if (random_.Chance(network_.link_break)) {
      // Half of the time the request still arrives.
      At(from, Delay(), [finish] { finish(Fail(ErrorCode::kIo, "connection reset")); });
      if (random_.Chance(0.5)) return;
    }
    const std::uint64_t from_life = nodes_[from].life;
    AtInOrder(from, to,
              [this, from, to, from_life, type, payload = std::move(payload), finish]() mutable {
                Trace(2, from, to, payload);
                if (!nodes_[to].handler) return;
                const auto reply = [this, from, to, from_life, finish](std::string bytes) {
                  if (IsCut(to, from) || nodes_[from].life != from_life) return;
                  AtInOrder(to, from, [this, from, to, finish, bytes = std::move(bytes)] {
                    Trace(3, to, from, bytes);
                    finish(std::string_view(bytes));
                  });
                };
                nodes_[to].handler(from, type, std::move(payload), reply);
              });
  }

  Duration Delay() {
    const auto spread =
        static_cast<std::uint64_t>((network_.delay_max - network_.delay_min).count());
    return network_.delay_min + Duration(static_cast<std::int64_t>(random_.Below(spread + 1)));
  }

  void Trace(std::uint64_t kind, NodeIndex from, NodeIndex to, std::string_view bytes) {
    const std::uint64_t fields[] = {trace_,
                                    kind,
                                    from,
                                    to,
                                    static_cast<std::uint64_t>(now_.time_since_epoch().count()),
                                    XXH3_64bits(bytes.data(), bytes.size())};
    trace_ = XXH3_64bits(fields, sizeof fields);
  }

 private:
  struct Event {
    TimePoint at;
    std::uint64_t sequence;
    NodeIndex node;
    std::uint64_t life;
    std::shared_ptr<Task> task;
    bool operator<(const Event& other) const {
      return std::pair(other.at, other.sequence) < std::pair(at, sequence);
    }
  };
  struct Node {
    bool up = false;
    std::uint64_t life = 0;
    TimePoint paused_until{};
    Handler handler;
    DatagramHandler datagrams;
    LinkDownHandler link_down;
  };

  void Step() {
    Event event = heap_.top();
    heap_.pop();
    now_ = std::max(now_, event.at);
    if (event.node != kNobody) {
      const Node& node = nodes_[event.node];
      if (node.life != event.life) return;
      if (node.paused_until > now_) {
        event.at = node.paused_until;
        heap_.push(std::move(event));
        return;
      }
    }
    ++event_count_;
    (*event.task)();
  }

  // Frames of one connection arrive in order.
  void AtInOrder(NodeIndex from, NodeIndex to, Task task) {
    TimePoint& last = last_arrival_[{from, to}];
    last = std::max(last + Duration(1), now_ + Delay());
    At(to, last - now_, std::move(task));
  }

  Prng random_;
  NetworkOptions network_;
  std::vector<Node> nodes_;
  UnixMillis wall_offset_ms_;
  TimePoint now_{seconds(1)};
  std::priority_queue<Event> heap_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t event_count_ = 0;
  std::uint64_t trace_ = 0;
  std::set<std::pair<NodeIndex, NodeIndex>> cuts_;
  std::map<std::pair<NodeIndex, NodeIndex>, TimePoint> last_arrival_;
};

// One node's Transport in the world.
class SimTransport final : public Transport {
 public:
  SimTransport(World& world, NodeIndex self) : world_(world), self_(self) {}

  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override {
    for (NodeIndex node = 0; node < world_.size(); ++node) {
      if (IdOf(node) == to) {
        return world_.Call(self_, node, type, std::move(payload), deadline, std::move(done));
      }
    }
    world_.At(self_, Duration{},
              [done = std::move(done)] { done(Fail(ErrorCode::kUnavailable, "no such node")); });
  }
  void After(Duration delay, std::function<void()> done) override {
    world_.At(self_, delay, std::move(done));
  }

 private:
  World& world_;
  const NodeIndex self_;
};

}  // namespace gyre::sim
