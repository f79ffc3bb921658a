// What a command costs from the dispatcher on: lookup, hash, lock, find, reply. No socket, no codec
// but RESP's writer.

#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command/dispatcher.h"
#include "protocol/codec.h"

namespace gyre {
namespace {

constexpr int kKeys = 100'000;

class NoReport final : public NodeReport {
 public:
  std::vector<Fields> Info(std::span<const std::string_view>) override { return {}; }
  std::optional<Fields> MemcachedStats(std::string_view) override { return std::nullopt; }
  void ResetStats() override {}
  std::string StatusJson() override { return {}; }
  std::string RestartCheckJson(const NodeId&) override { return {}; }
  std::string AdviceJson() override { return {}; }
  std::vector<HotKey> ReadHotKeys() override { return {}; }
};

class NoSettings final : public NodeSettings {
 public:
  Fields ConfigGet(std::string_view) override { return {}; }
  Status ConfigSet(const Changes&) override { return {}; }
  Status ConfigUnset(std::span<const std::string_view>) override { return {}; }
  Result<std::vector<SettingChange>> RingConfigSet(const Changes&) override {
    return std::vector<SettingChange>();
  }
  Result<std::vector<SettingChange>> RingConfigUnset(std::span<const std::string_view>) override {
    return std::vector<SettingChange>();
  }
  std::string RingConfigJson(std::string_view) override { return {}; }
  std::string ConfigSourcesJson(std::string_view) override { return {}; }
};

class NoRing final : public RingOperator {
 public:
  void Drain(const NodeId&, Done) override {}
  void Undrain(const NodeId&, Done) override {}
  void Remove(const NodeId&, Done) override {}
  void SetRebalance(const RebalanceChange&, Done) override {}
  void RebalanceJson(std::function<void(std::string)>) override {}
  void ChangeSettings(std::vector<SettingChange>, Done) override {}
};

class NoPeers final : public PeerHandler {
 public:
  void Handle(std::string_view, std::optional<NodeId>&,
              std::function<void(std::string)> reply) override {
    reply({});
  }
};

class NoTransport final : public Transport {
 public:
  void Call(const NodeId&, FrameType, std::string, Duration, Done) override {}
  void After(Duration, std::function<void()>) override {}
};

class NoReplicas final : public Replicator {
 public:
  Status Check(PartitionId, std::uint32_t) override { return {}; }
  Ticket Submit(PartitionId, std::span<const Effect>) override { return ++ticket_; }
  void Await(Ticket, std::uint32_t, Done done) override { done({}); }
  void AwaitAll(Ticket, std::uint32_t, Duration, std::function<void(std::uint32_t)> done) override {
    done(0);
  }
  void Flush() override {}
  ReplicatorStats stats() const override { return {}; }

 private:
  Ticket ticket_ = 0;
};

// Answers into one buffer, which is emptied when it is full, as a connection's is.
class DirectResponder final : public Responder {
 public:
  DirectResponder(Codec& codec, Buffer& out) : codec_(codec), out_(out) {}
  void Begin(const Request& request) { writer_ = codec_.WriterFor(request, out_); }
  void End() {
    codec_.Recycle(writer_);
    if (out_.size() > kOutputBytes) out_.Clear();
  }
  ReplyWriter& writer() override { return *writer_; }
  PendingReply Defer() override { std::abort(); }  // nothing here is ever late

 private:
  static constexpr std::size_t kOutputBytes = 64 * 1024;
  Codec& codec_;
  Buffer& out_;
  ReplyWriter* writer_ = nullptr;
};

class Bench {
 public:
  Bench()
      : engine_(std::move(*Engine::Create({.memory_bytes = std::size_t{256} << 20}))),
        table_(TableOptionsFor(*engine_)),
        codec_(MakeRespCodecFactory({})(session_)),
        responder_(*codec_, out_),
        dispatcher_(Services{.engine = *engine_,
                             .views = views_,
                             .sessions = sessions_,
                             .replication = table_,
                             .report = report_,
                             .settings = settings_,
                             .replicator = replicas_,
                             .transport = transport_,
                             .peers = peers_,
                             .ring = ring_}) {
    for (PartitionId p = 0; p < engine_->options().partition_count; ++p) {
      Shard& shard = engine_->ShardOf(p);
      MutexLock lock(shard.mutex());
      shard.SetRole(p, Role::kOwner);
    }
    for (int i = 0; i < kKeys; ++i) keys_.push_back("key:" + std::to_string(1'000'000 + i));
    for (const std::string& key : keys_) Run({"SET", key, value_});
  }

  void Run(std::initializer_list<std::string_view> args) {
    request_.args.assign(args);
    responder_.Begin(request_);
    dispatcher_.Handle(request_, session_, responder_);
    responder_.End();
    if (++in_batch_ == kBatch) {
      in_batch_ = 0;
      dispatcher_.EndOfBatch();
    }
  }
  // Steps through the keys with a stride, so that the next one is not in the cache.
  std::string_view NextKey() {
    at_ = (at_ + 7919) % kKeys;
    return keys_[at_];
  }
  std::string_view value() const { return value_; }

 private:
  static constexpr int kBatch = 16;
  std::unique_ptr<Engine> engine_;
  ViewPublisher views_;
  SessionRegistry sessions_;
  ReplicationTable table_;
  NoReport report_;
  NoSettings settings_;
  NoRing ring_;
  NoReplicas replicas_;
  NoTransport transport_;
  NoPeers peers_;
  Session session_;
  std::unique_ptr<Codec> codec_;
  Buffer out_;
  DirectResponder responder_;
  Dispatcher dispatcher_;
  Request request_;
  std::vector<std::string> keys_;
  const std::string value_ = std::string(64, 'v');
  std::size_t at_ = 0;
  int in_batch_ = 0;
};

void BM_Ping(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"PING"});
}
BENCHMARK(BM_Ping);

void BM_GetHit(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"GET", bench.NextKey()});
}
BENCHMARK(BM_GetHit);

void BM_GetMiss(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"GET", "absent"});
}
BENCHMARK(BM_GetMiss);

void BM_Set(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"SET", bench.NextKey(), bench.value()});
}
BENCHMARK(BM_Set);

void BM_SetWithExpiry(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"SET", bench.NextKey(), bench.value(), "EX", "100"});
}
BENCHMARK(BM_SetWithExpiry);

void BM_Incr(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) bench.Run({"INCR", "counter"});
}
BENCHMARK(BM_Incr);

void BM_MGet10(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) {
    bench.Run({"MGET", bench.NextKey(), bench.NextKey(), bench.NextKey(), bench.NextKey(),
               bench.NextKey(), bench.NextKey(), bench.NextKey(), bench.NextKey(), bench.NextKey(),
               bench.NextKey()});
  }
}
BENCHMARK(BM_MGet10);

}  // namespace
}  // namespace gyre
