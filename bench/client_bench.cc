// What the client library costs an application, against nodes that run already:
//
//   scripts/demo && GYRE_SEEDS=127.0.0.1:7700 build/release/bin/client_bench
//
// Values have 100 bytes. The time of an iteration is that of a whole batch, "CPU" is that of both the
// caller's and the client's thread, "keys" are keys a second. On a busy machine CPU says more.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "gyre/client.h"

namespace gyre::client {
namespace {

constexpr std::size_t kValueBytes = 100;
constexpr std::int64_t kKeysMax = 10'000;

// Connects once; null, and the benchmark skipped, where nobody answers.
Client* Connected(benchmark::State& state) {
  static Result<Client> client = [] {
    const char* seed = std::getenv("GYRE_SEEDS");
    return Client::Connect({.seeds = {seed == nullptr ? "127.0.0.1:7700" : seed},
                            .deadline = std::chrono::seconds(10)});
  }();
  if (client) return &*client;
  state.SkipWithError(client.error().message.c_str());
  return nullptr;
}

std::vector<std::string> Keys(std::int64_t count) {
  std::vector<std::string> keys;
  for (std::int64_t i = 0; i < count; ++i) keys.push_back("client_bench:" + std::to_string(i));
  return keys;
}

std::vector<KeyValue> Entries(std::int64_t count) {
  std::vector<KeyValue> entries;
  for (std::string& key : Keys(count)) {
    entries.push_back({std::move(key), std::string(kValueBytes, 'v')});
  }
  return entries;
}

template <typename Outcomes>
void CheckAll(benchmark::State& state, const Outcomes& outcomes) {
  for (const auto& outcome : outcomes) {
    if (!outcome) return state.SkipWithError(outcome.error().message.c_str());
  }
}

void BM_Get(benchmark::State& state) {
  Client* client = Connected(state);
  if (client == nullptr) return;
  CheckAll(state, client->MSet(Entries(kKeysMax)));
  const std::vector<std::string> keys = Keys(kKeysMax);
  std::size_t next = 0;
  for (auto _ : state) {
    const auto record = client->Get(keys[next++ % keys.size()]);
    if (!record) state.SkipWithError(record.error().message.c_str());
  }
  state.counters["keys"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Get)->Unit(benchmark::kMicrosecond)->MeasureProcessCPUTime()->UseRealTime();

void BM_MGet(benchmark::State& state) {
  Client* client = Connected(state);
  if (client == nullptr) return;
  CheckAll(state, client->MSet(Entries(state.range(0))));
  const std::vector<std::string> keys = Keys(state.range(0));
  for (auto _ : state) CheckAll(state, client->MGet(keys));
  state.counters["keys"] = benchmark::Counter(
      static_cast<double>(state.iterations() * state.range(0)), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_MGet)
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(kKeysMax)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void BM_MSet(benchmark::State& state) {
  Client* client = Connected(state);
  if (client == nullptr) return;
  const std::vector<KeyValue> entries = Entries(state.range(0));
  for (auto _ : state) CheckAll(state, client->MSet(entries));
  state.counters["keys"] = benchmark::Counter(
      static_cast<double>(state.iterations() * state.range(0)), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_MSet)
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace gyre::client
