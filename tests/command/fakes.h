// Stand-ins for what a dispatcher works with: a clock that tests turn, and services that remember.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/admin.h"
#include "command/glob.h"
#include "command/peer_handler.h"
#include "replication/replicator.h"

namespace gyre::testing {

// Virtual time and what is to happen in it, in order.
class Timeline {
 public:
  UnixMillis unix_now() const {
    return kStart +
           std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }
  TimePoint steady_now() const { return now_; }

  void After(Duration delay, std::function<void()> work) {
    events_.emplace(std::pair(now_ + delay, sequence_++), std::move(work));
  }
  // Jumps to the next event and runs it. False if there is none.
  bool Step() {
    if (events_.empty()) return false;
    auto event = events_.extract(events_.begin());
    now_ = std::max(now_, event.key().first);
    event.mapped()();
    return true;
  }
  // Runs what falls due within `span`, and moves the clock by it.
  void Advance(Duration span) {
    const TimePoint end = now_ + span;
    while (!events_.empty() && events_.begin()->first.first <= end) Step();
    now_ = end;
  }
  void Clear() { events_.clear(); }

  static constexpr UnixMillis kStart = 1'700'000'000'000;

 private:
  TimePoint now_{};
  std::uint64_t sequence_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
};

// Remembers what is replicated; acknowledges at once, or when told.
class FakeReplicator final : public Replicator {
 public:
  struct Sent {
    PartitionId partition = 0;
    std::string key;
    std::string value;
    Version version = 0;
    UnixMillis expiry_ms = 0;
    std::uint32_t flags = 0;
    bool tombstone = false;
    bool flush = false;
  };

  Status Check(PartitionId, std::uint32_t) override { return check; }
  Ticket Submit(PartitionId partition, const RecordView& record) override {
    if (forgets) return ++newest;
    Sent one{.partition = partition,
             .key = std::string(record.key()),
             .version = record.version(),
             .expiry_ms = record.expiry_ms(),
             .flags = record.flags(),
             .tombstone = record.is_tombstone()};
    if (!one.tombstone) {
      record.ForEachChunk([&](std::string_view chunk) { one.value += chunk; });
    }
    sent.push_back(std::move(one));
    return ++newest;
  }
  Ticket SubmitRemoval(const Key& key, Version version) override {
    if (forgets) return ++newest;
    sent.push_back({.partition = key.partition,
                    .key = std::string(key.bytes),
                    .version = version,
                    .tombstone = true});
    return ++newest;
  }
  Ticket SubmitFlush(PartitionId partition, Version version) override {
    sent.push_back({.partition = partition, .version = version, .flush = true});
    return ++newest;
  }
  void Await(Ticket ticket, std::uint32_t acks, Done done) override {
    if (forgets) return done(outcome);
    awaited.emplace_back(ticket, acks);
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(outcome);
    }
  }
  void AwaitAll(Ticket ticket, std::uint32_t, Duration,
                std::function<void(std::uint32_t)> done) override {
    awaited_all.push_back(ticket);
    done(copies);
  }
  void Flush() override { ++flushes; }
  ReplicatorStats stats() const override { return {}; }

  // Answers what was held.
  void Release(const Status& status) {
    for (Done& done : std::exchange(held, {})) done(status);
  }

  Status check;
  Status outcome;
  bool hold = false;
  bool forgets = false;  // keeps no list of what it was told
  std::uint32_t copies = 1;
  Ticket newest = 0;
  int flushes = 0;
  std::vector<Sent> sent;
  std::vector<std::pair<Ticket, std::uint32_t>> awaited;
  std::vector<Ticket> awaited_all;
  std::vector<Done> held;
};

class FakeAdmin final : public Admin {
 public:
  Fields Info(std::string_view section) override {
    if (section == "server") return {{"redis_version", "7.0.15"}, {"tcp_port", "6379"}};
    return {{"section", std::string(section)}};
  }
  std::optional<Fields> MemcachedStats(std::string_view argument) override {
    if (!argument.empty()) return std::nullopt;
    return Fields{{"pid", "42"}, {"threads", "1"}};
  }
  Fields ConfigGet(std::string_view pattern) override {
    Fields found;
    for (const auto& [name, value] : config) {
      if (GlobMatches(pattern, name, true)) found.emplace_back(name, value);
    }
    return found;
  }
  Status ConfigSet(const Changes& changes) override {
    for (const auto& [name, value] : changes) {
      if (config.count(std::string(name)) == 0) {
        return Fail(ErrorCode::kInvalidArgument, "Unknown option '" + std::string(name) + "'");
      }
    }
    for (const auto& [name, value] : changes) config[std::string(name)] = value;
    return {};
  }
  void ResetStats() override { ++resets; }
  std::string StatusJson() override { return R"({"name":"n1"})"; }
  void Drain(const NodeId& node, Done done) override {
    drained.emplace_back(node, std::move(done));
  }
  void Undrain(const NodeId& node, Done done) override {
    undrained.push_back(node);
    done({});
  }
  void Remove(const NodeId& node, Done done) override {
    removed.push_back(node);
    done(Fail(ErrorCode::kNotAllowed, "the node is alive; use drain"));
  }
  std::string RestartCheckJson(const NodeId& node) override {
    return R"({"node":")" + node.ToString() + R"(","safe":true,"reasons":[]})";
  }
  void SetRebalance(const RebalanceChange& change, Done done) override {
    if (change.paused) rebalance.paused = *change.paused;
    if (change.own_limits) rebalance.bytes_per_second.reset();
    if (change.bytes_per_second) rebalance.bytes_per_second = change.bytes_per_second;
    done({});
  }
  void RebalanceJson(std::function<void(std::string)> done) override {
    done(rebalance.paused ? R"({"paused":true})" : R"({"paused":false})");
  }

  std::map<std::string, std::string> config = {{"maxmemory", "1000"}, {"log-level", "info"}};
  int resets = 0;
  std::vector<std::pair<NodeId, Done>> drained;
  std::vector<NodeId> undrained;
  std::vector<NodeId> removed;
  RebalanceSetting rebalance;
};

// Answers with the payload turned round.
class FakePeers final : public PeerHandler {
 public:
  void Handle(std::string_view payload, std::optional<NodeId>&,
              std::function<void(std::string)> reply) override {
    reply(std::string(payload.rbegin(), payload.rend()));
  }
};

}  // namespace gyre::testing
