#include "sim/world.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/pause_detector.h"

namespace gyre::sim {
namespace {

constexpr UnixMillis kWallClockStart = 1'800'000'000'000;
// What is sent into a cut arrives at its end with this chance: else the connection was given up.
constexpr double kHeldChance = 0.5;
constexpr std::size_t kHeldMax = 4096;
constexpr Duration kSilenceMax = milliseconds(1500);  // NetTransport::kSilenceMax

World::Totals all_worlds;

}  // namespace

NodeId IdOf(NodeIndex node) {
  std::array<std::uint8_t, 16> bytes{};
  // Scattered, so that the order of ids is not the order of nodes.
  const std::uint64_t mixed = (node + 1) * 0x9e3779b97f4a7c15ULL;
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(mixed >> (8 * i));
  bytes[14] = static_cast<std::uint8_t>(node >> 8);
  bytes[15] = static_cast<std::uint8_t>(node);
  return NodeIdFromRandom(bytes);
}

World::World(std::uint64_t seed, std::size_t nodes) : random_(seed), nodes_(nodes) {
  for (NodeIndex node = 0; node < nodes; ++node) index_.emplace(IdOf(node), node);
}

World::~World() {
  ++all_worlds.runs;
  all_worlds.time += now_.time_since_epoch();
}

const World::Totals& World::totals() { return all_worlds; }

// ---- Time -------------------------------------------------------------------------------------

void World::At(NodeIndex node, Duration delay, Task task) {
  const std::uint64_t life = node == kNobody ? 0 : nodes_[node].life;
  heap_.push(Event{now_ + std::max(delay, Duration{}), next_sequence_++, node, life,
                   std::make_shared<Task>(std::move(task))});
}

void World::Run(Duration span) {
  const TimePoint end = now_ + span;
  while (!heap_.empty() && heap_.top().at <= end) Step();
  now_ = end;
}

bool World::RunUntil(const std::function<bool()>& condition, Duration span) {
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

void World::Step() {
  Event event = heap_.top();
  heap_.pop();
  now_ = std::max(now_, event.at);
  if (event.node != kNobody) {
    const Node& node = nodes_[event.node];
    if (node.life != event.life) return;
    if (node.paused_until > now_) {
      event.at = node.paused_until;
      event.waited = event.waited || node.knows_pause;
      heap_.push(std::move(event));
      return;
    }
  }
  ++event_count_;
  waited_ = event.waited;
  (*event.task)();
  waited_ = false;
}

UnixMillis World::unix_now() const {
  return kWallClockStart +
         std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
}

UnixMillis World::unix_now(NodeIndex node) const {
  const Node& each = nodes_[node];
  const std::int64_t us =
      std::chrono::duration_cast<std::chrono::microseconds>(now_ - each.drift_since).count();
  return unix_now() + each.clock_offset_ms + us / 1000 * each.drift_ppm / 1'000'000;
}

void World::SetClockDrift(NodeIndex node, std::int64_t ppm) {
  Node& each = nodes_[node];
  each.clock_offset_ms = unix_now(node) - unix_now();
  each.drift_since = now_;
  each.drift_ppm = ppm;
}

// ---- Nodes ------------------------------------------------------------------------------------

void World::Boot(NodeIndex node, Handler handler, DatagramHandler datagrams, LinkHandlers links) {
  Node& each = nodes_[node];
  ++each.life;
  each.up = true;
  each.paused_until = TimePoint{};
  each.handler = std::move(handler);
  each.datagrams = std::move(datagrams);
  each.links = std::move(links);
}

void World::Crash(NodeIndex node) {
  Node& each = nodes_[node];
  each.up = false;
  ++each.life;
  each.handler = nullptr;
  each.datagrams = nullptr;
  each.links = {};
  for (auto it = standing_.begin(); it != standing_.end();) {
    const auto [from, to, link] = it->first;
    // Across a cut nobody hears of it: calls end by their deadlines.
    if (from != node && (to != node || IsCut(node, from))) {
      ++it;
      continue;
    }
    if (to == node) {
      At(from, Delay(),
         [this, from, to, epoch = it->second.epoch, calls = std::move(it->second.calls)] {
           if (nodes_[from].links.down) nodes_[from].links.down(to, epoch);
           for (const auto& [call, finish] : calls) {
             finish(Fail(ErrorCode::kIo, "connection reset"));
           }
         });
    }
    it = standing_.erase(it);
  }
}

void World::Pause(NodeIndex node, Duration span) {
  nodes_[node].paused_until = now_ + span;
  nodes_[node].knows_pause = span >= PauseDetector::kPaused;
}

NodeIndex World::Find(const NodeId& id) const {
  const auto found = index_.find(id);
  return found == index_.end() ? kNobody : found->second;
}

// ---- The network ------------------------------------------------------------------------------

void World::CutBoth(NodeIndex a, NodeIndex b) {
  Cut(a, b);
  Cut(b, a);
}

void World::Isolate(NodeIndex node) {
  for (NodeIndex other = 0; other < nodes_.size(); ++other) {
    if (other != node) CutBoth(node, other);
  }
}

void World::Heal() {
  cuts_.clear();
  for (Held& each : std::exchange(held_, {})) {
    const auto [from, to, link] = each.connection;
    if (nodes_[to].life == each.life)
      Deliver(from, to, link, std::move(each.task), each.is_command);
  }
}

Duration World::Delay() {
  const auto spread = static_cast<std::uint64_t>((network_.delay_max - network_.delay_min).count());
  return network_.delay_min + Duration(static_cast<std::int64_t>(random_.Below(spread + 1)));
}

void World::SendDatagram(NodeIndex from, NodeIndex to, std::string bytes) {
  if (IsCut(from, to) || random_.Chance(network_.datagram_loss)) return;
  if (random_.Chance(network_.datagram_twice)) DeliverDatagram(from, to, bytes);
  DeliverDatagram(from, to, std::move(bytes));
}

void World::DeliverDatagram(NodeIndex from, NodeIndex to, std::string bytes) {
  Duration delay = Delay();
  if (random_.Chance(network_.datagram_slow)) {
    delay += Duration(static_cast<std::int64_t>(
        random_.Below(static_cast<std::uint64_t>(network_.slow_max.count()))));
  }
  At(to, delay, [this, from, to, bytes = std::move(bytes)]() mutable {
    Trace(1, from, to, bytes);
    if (nodes_[to].datagrams) nodes_[to].datagrams(from, std::move(bytes));
  });
}

void World::Deliver(NodeIndex from, NodeIndex to, Link link, Task task, bool is_command) {
  const Connection connection{from, to, link};
  if (IsCut(from, to)) {
    if (held_.size() < kHeldMax && random_.Chance(kHeldChance)) {
      held_.push_back({connection, nodes_[to].life, is_command, std::move(task)});
    }
    return;
  }
  TimePoint& last = last_arrival_[connection];
  last = std::max(last + Duration(1), now_ + Delay());
  At(to, last - now_, std::move(task));
}

std::uint64_t World::BeginLink(NodeIndex from, NodeIndex to) const {
  return nodes_[from].links.begin ? nodes_[from].links.begin(to) : 0;
}

void World::GiveUp(const Connection& connection, std::uint64_t call) {
  const auto found = standing_.find(connection);
  if (found == standing_.end() || !found->second.calls.contains(call)) return;
  Standing& standing = found->second;
  const auto entry = standing.calls.extract(call);
  standing.given_up = true;
  const Duration silent = now_ - standing.heard;
  At(std::get<0>(connection), kSilenceMax - silent,
     [this, connection] { BreakIfSilent(connection); });
  entry.mapped()(Fail(ErrorCode::kTimeout, "no answer in time"));
}

void World::BreakIfSilent(const Connection& connection) {
  const auto found = standing_.find(connection);
  if (found == standing_.end()) return;
  Standing& standing = found->second;
  if (!standing.given_up || now_ - standing.heard < kSilenceMax) return;
  const auto calls = std::exchange(standing.calls, {});
  standing_.erase(found);
  std::erase_if(held_,
                [&](const Held& each) { return each.is_command && each.connection == connection; });
  for (const auto& [call, finish] : calls) {
    finish(Fail(ErrorCode::kIo, "the link to the node fell silent"));
  }
}

void World::Call(NodeIndex from, Link link, NodeIndex to, FrameType type, std::string payload,
                 Duration deadline, Transport::Done done) {
  if (!nodes_[to].up && !IsCut(from, to)) {
    return At(from, Delay(), [this, from, to, epoch = BeginLink(from, to), done = std::move(done)] {
      if (nodes_[from].links.down) nodes_[from].links.down(to, epoch);
      done(Fail(ErrorCode::kUnavailable, "connection refused"));
    });
  }
  const Connection connection{from, to, link};
  Standing& standing = standing_[connection];
  if (standing.life != nodes_[to].life) {
    // Those of the one before are answered by their deadlines.
    auto calls = std::exchange(standing.calls, {});
    standing = {.life = nodes_[to].life, .epoch = BeginLink(from, to), .heard = now_};
    standing.calls = std::move(calls);
  }
  if (standing.calls.empty() && !standing.given_up) standing.heard = now_;  // used again
  const std::uint64_t call = next_call_++;
  standing.calls.emplace(call, std::move(done));
  At(from, deadline, [this, connection, call] { GiveUp(connection, call); });
  const auto finish = [this, connection, call](const Result<std::string_view>& result) {
    const auto found = standing_.find(connection);
    if (found == standing_.end()) return;
    if (result) {
      found->second.heard = now_;
      found->second.given_up = false;
    }
    if (!found->second.calls.contains(call)) return;
    const auto entry = found->second.calls.extract(call);
    entry.mapped()(result);
  };
  if (random_.Chance(network_.link_break)) {
    // Half of the time the request still arrives.
    At(from, Delay(), [finish] { finish(Fail(ErrorCode::kIo, "connection reset")); });
    if (random_.Chance(0.5)) return;
  }
  const std::uint64_t from_life = nodes_[from].life;
  Deliver(
      from, to, link,
      [this, from, link, to, from_life, type, payload = std::move(payload), finish]() mutable {
        Trace(2, from, to, payload);
        if (!nodes_[to].handler) return;
        const auto reply = [this, from, link, to, from_life, finish](std::string bytes) {
          if (nodes_[from].life != from_life) return;
          Deliver(to, from, link, [this, from, to, finish, bytes = std::move(bytes)] {
            Trace(3, to, from, bytes);
            finish(std::string_view(bytes));
          });
        };
        nodes_[to].handler(from, type, std::move(payload), reply);
      },
      type == FrameType::kRequest);
}

void World::Trace(std::uint64_t kind, NodeIndex from, NodeIndex to, std::string_view bytes) {
  const std::uint64_t fields[] = {trace_,
                                  kind,
                                  from,
                                  to,
                                  static_cast<std::uint64_t>(now_.time_since_epoch().count()),
                                  XXH3_64bits(bytes.data(), bytes.size())};
  trace_ = XXH3_64bits(fields, sizeof fields);
}

// ---- SimTransport -----------------------------------------------------------------------------

void SimTransport::Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                        Done done) {
  const NodeIndex node = world_.Find(to);
  if (node != kNobody) {
    return world_.Call(self_, link_, node, type, std::move(payload), deadline, std::move(done));
  }
  world_.At(self_, Duration{},
            [done = std::move(done)] { done(Fail(ErrorCode::kUnavailable, "no such node")); });
}

void SimTransport::After(Duration delay, std::function<void()> done) {
  world_.At(self_, delay, std::move(done));
}

}  // namespace gyre::sim
