// Stand-ins for what a dispatcher works with: a clock that tests turn, and services that remember.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
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
  Ticket Submit(PartitionId partition, std::span<const Effect> group) override {
    ++newest;
    if (forgets) return newest;
    groups.push_back(group.size());
    for (const Effect& effect : group) {
      EXPECT_EQ(effect.key->partition, partition);
      Sent one{.partition = partition,
               .key = std::string(effect.key->bytes),
               .version = effect.version,
               .tombstone = effect.kind == Effect::Kind::kRemove,
               .flush = effect.kind == Effect::Kind::kFlush};
      if (effect.kind == Effect::Kind::kPut) {
        EXPECT_EQ(effect.record.key(), effect.key->bytes);
        EXPECT_EQ(effect.record.version(), effect.version);
        one.expiry_ms = effect.record.expiry_ms();
        one.flags = effect.record.flags();
        effect.record.ForEachChunk([&](std::string_view chunk) { one.value += chunk; });
      }
      sent.push_back(std::move(one));
    }
    return newest;
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
  std::vector<std::size_t> groups;  // effects in each
  std::vector<std::pair<Ticket, std::uint32_t>> awaited;
  std::vector<Ticket> awaited_all;
  std::vector<Done> held;
};

class FakeReport final : public NodeReport {
 public:
  std::vector<Fields> Info(std::span<const std::string_view> sections) override {
    std::vector<Fields> all;
    for (const std::string_view section : sections) {
      all.push_back(section == "server" ? Fields{{"redis_version", "7.0.15"}, {"tcp_port", "6379"}}
                                        : Fields{{"section", std::string(section)}});
    }
    return all;
  }
  std::optional<Fields> MemcachedStats(std::string_view argument) override {
    if (!argument.empty()) return std::nullopt;
    return Fields{{"pid", "42"}, {"threads", "1"}};
  }
  void ResetStats() override { ++resets; }
  std::string AdviceJson() override { return R"({"advised_nodes":3})"; }
  std::string StatusJson() override { return R"({"name":"n1"})"; }
  std::string RestartCheckJson(const NodeId& node) override {
    return R"({"node":")" + node.ToString() + R"(","safe":true,"reasons":[]})";
  }
  std::vector<HotKey> ReadHotKeys() override { return hot_keys; }

  int resets = 0;
  std::vector<HotKey> hot_keys;
};

class FakeSettings final : public NodeSettings {
 public:
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

  Status ConfigUnset(std::span<const std::string_view> names) override {
    for (const std::string_view name : names) {
      if (config.erase(std::string(name)) == 0) {
        return Fail(ErrorCode::kInvalidArgument, "Unknown option '" + std::string(name) + "'");
      }
    }
    return {};
  }
  Result<std::vector<SettingChange>> RingConfigSet(const Changes& changes) override {
    std::vector<SettingChange> all;
    for (const auto& [name, value] : changes) {
      if (config.count(std::string(name)) == 0) {
        return Fail(ErrorCode::kInvalidArgument, "Unknown option '" + std::string(name) + "'");
      }
      all.push_back({std::string(name), std::string(value)});
    }
    return all;
  }
  Result<std::vector<SettingChange>> RingConfigUnset(
      std::span<const std::string_view> names) override {
    std::vector<SettingChange> all;
    for (const std::string_view name : names) all.push_back({std::string(name), std::nullopt});
    return all;
  }
  std::string RingConfigJson(std::string_view pattern) override {
    return R"({"ring":")" + std::string(pattern) + R"("})";
  }
  std::string ConfigSourcesJson(std::string_view pattern) override {
    return R"({"sources":")" + std::string(pattern) + R"("})";
  }

  std::map<std::string, std::string> config = {{"maxmemory", "1000"}, {"log-level", "info"}};
};

class FakeRing final : public RingOperator {
 public:
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
  void SetRebalance(const RebalanceChange& change, Done done) override {
    if (change.paused) rebalance.paused = *change.paused;
    if (change.own_limits) rebalance.bytes_per_second.reset();
    if (change.bytes_per_second) rebalance.bytes_per_second = change.bytes_per_second;
    done({});
  }
  void RebalanceJson(std::function<void(std::string)> done) override {
    done(rebalance.paused ? R"({"paused":true})" : R"({"paused":false})");
  }

  void ChangeSettings(std::vector<SettingChange> changes, Done done) override {
    if (changes.size() > 2) return done(Fail(ErrorCode::kTooLarge, "too many at once"));
    for (SettingChange& change : changes) changed.push_back(std::move(change));
    done({});
  }

  std::vector<SettingChange> changed;
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
