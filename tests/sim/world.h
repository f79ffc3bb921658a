// Virtual time and a network, for whole clusters in one process: one heap of events, one seeded
// generator, no thread. Everything that happens, happens in an order that the seed alone decides.
//
// A node has a life: what was scheduled or sent for an earlier life of it (before a crash) never
// happens. While it is paused (SIGSTOP), what is due waits until it goes on.
//
// The network is what UDP and TCP make of a bad one. Datagrams are lost, doubled, and overtake each
// other. Requests travel over connections: in order on each (a node has several to each other node,
// and between those there is no order), lost only together with the connection. A cut connection is
// not a lost one: half of what is sent into a cut arrives when it heals, long after the sender gave
// up; but clients' commands only until their connection is reset for its silence, as NetTransport
// does. (It does so to all, yet what nodes ask of each other must bear more.) Monotonic time is the same everywhere; each node's wall clock is its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
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
  double datagram_twice = 0;
  double datagram_slow = 0;               // chance of a delay of up to `slow_max` more
  Duration slow_max = milliseconds(100);  //
  double link_break = 0;  // chance that a message breaks its link: it and its reply are lost
};

NodeId IdOf(NodeIndex node);

class World {
 public:
  using Task = std::function<void()>;
  // Answers a request that arrived at a node.
  using Handler = std::function<void(NodeIndex from, FrameType type, std::string payload,
                                     std::function<void(std::string)> reply)>;
  using DatagramHandler = std::function<void(NodeIndex from, std::string bytes)>;
  // What a node hears of its connections.
  struct LinkHandlers {
    // One to `to` begins: the epoch in which the node believes it to be.
    std::function<std::uint64_t(NodeIndex to)> begin;
    // One to `to` was refused or reset; `epoch` as `begin` said.
    std::function<void(NodeIndex to, std::uint64_t epoch)> down;
  };
  // Which of a node's connections to another: one for each of its threads.
  using Link = std::uint32_t;

  World(std::uint64_t seed, std::size_t nodes);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Of all worlds that ended, for the record.
  struct Totals {
    std::uint64_t runs = 0;
    Duration time{};
  };
  static const Totals& totals();

  Prng& random() { return random_; }
  NetworkOptions& network() { return network_; }
  TimePoint now() const { return now_; }
  std::int64_t now_us() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch()).count();
  }
  std::uint64_t trace_hash() const { return trace_; }
  std::uint64_t events() const { return event_count_; }

  // ---- Time ----
  // At `node`, in its present life; kNobody: outside all nodes.
  void At(NodeIndex node, Duration delay, Task task);
  // Runs for `span` of virtual time.
  void Run(Duration span);
  // Runs until `condition` holds; false if it does not within `span`.
  bool RunUntil(const std::function<bool()>& condition, Duration span);

  // ---- Wall clocks ----
  UnixMillis unix_now() const;
  UnixMillis unix_now(NodeIndex node) const;
  void JumpClock(NodeIndex node, std::int64_t ms) { nodes_[node].clock_offset_ms += ms; }
  // Parts per million; 0 from the beginning. The clock goes on from where it is.
  void SetClockDrift(NodeIndex node, std::int64_t ppm);

  // ---- Nodes ----
  void Boot(NodeIndex node, Handler handler, DatagramHandler datagrams, LinkHandlers links);
  // Its peers' kernels see the connections reset.
  void Crash(NodeIndex node);
  bool up(NodeIndex node) const { return nodes_[node].up; }
  bool paused(NodeIndex node) const { return nodes_[node].paused_until > now_; }
  std::size_t size() const { return nodes_.size(); }
  void Pause(NodeIndex node, Duration span);
  // Whether what happens now waited in the kernel of a node that was paused for so long that it
  // knows (pause_detector.h).
  bool waited() const { return waited_; }
  // kNobody if there is none.
  NodeIndex Find(const NodeId& id) const;

  // ---- The network ----
  // One direction.
  void Cut(NodeIndex from, NodeIndex to) { cuts_.insert({from, to}); }
  void CutBoth(NodeIndex a, NodeIndex b);
  void Isolate(NodeIndex node);
  // Ends all cuts. What waited in the connections arrives.
  void Heal();
  bool IsCut(NodeIndex from, NodeIndex to) const { return cuts_.contains({from, to}); }

  void SendDatagram(NodeIndex from, NodeIndex to, std::string bytes);
  // A request over a connection: the reply, or an error, comes to `from` exactly once in its life.
  void Call(NodeIndex from, Link link, NodeIndex to, FrameType type, std::string payload,
            Duration deadline, Transport::Done done);

  Duration Delay();
  void Trace(std::uint64_t kind, NodeIndex from, NodeIndex to, std::string_view bytes);

 private:
  struct Event {
    TimePoint at;
    std::uint64_t sequence;
    NodeIndex node;
    std::uint64_t life;
    std::shared_ptr<Task> task;
    bool waited = false;
    bool operator<(const Event& other) const {
      return std::pair(other.at, other.sequence) < std::pair(at, sequence);
    }
  };
  struct Node {
    bool up = false;
    std::uint64_t life = 0;
    TimePoint paused_until{};
    bool knows_pause = false;  // it is a long one
    std::int64_t clock_offset_ms = 0;
    std::int64_t drift_ppm = 0;
    TimePoint drift_since{};
    Handler handler;
    DatagramHandler datagrams;
    LinkHandlers links;
  };
  using Connection = std::tuple<NodeIndex, NodeIndex, Link>;
  using Finish = std::function<void(Result<std::string_view>)>;
  struct Standing {
    std::uint64_t life = 0;   // of the receiver
    std::uint64_t epoch = 0;  // as LinkHandlers::begin said
    // As NetTransport has it, which resets silent connections.
    TimePoint heard{};
    bool given_up = false;                  // a call since then
    std::map<std::uint64_t, Finish> calls;  // unanswered, by the order in which they were made
  };
  struct Held {  // sent into a cut
    Connection connection;
    std::uint64_t life = 0;   // of the receiver
    bool is_command = false;  // a reset discards it
    Task task;
  };

  void Step();
  std::uint64_t BeginLink(NodeIndex from, NodeIndex to) const;
  void DeliverDatagram(NodeIndex from, NodeIndex to, std::string bytes);
  // Over a connection, which may be cut now.
  void Deliver(NodeIndex from, NodeIndex to, Link link, Task task, bool is_command = false);
  void GiveUp(const Connection& connection, std::uint64_t call);
  void BreakIfSilent(const Connection& connection);

  Prng random_;
  NetworkOptions network_;
  std::vector<Node> nodes_;
  std::unordered_map<NodeId, NodeIndex> index_;
  TimePoint now_{seconds(1)};
  std::priority_queue<Event> heap_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t event_count_ = 0;
  std::uint64_t next_call_ = 1;
  std::uint64_t trace_ = 0;
  bool waited_ = false;
  std::set<std::pair<NodeIndex, NodeIndex>> cuts_;
  std::map<Connection, Standing> standing_;  // connections
  std::vector<Held> held_;
  std::map<Connection, TimePoint> last_arrival_;
};

// The Transport of one thread of a node.
class SimTransport final : public Transport {
 public:
  SimTransport(World& world, NodeIndex self, World::Link link = 0)
      : world_(world), self_(self), link_(link) {}

  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override;
  void After(Duration delay, std::function<void()> done) override;

 private:
  World& world_;
  const NodeIndex self_;
  const World::Link link_;
};

}  // namespace gyre::sim
