// Replays traces of look-aside requests through the engine alone: a find, and a store where it
// missed.
//
//   hit_ratio [--memory MIB] [--predict] TRACE...      a trace is a file of lines "key,bytes of the value"
//
// Prints, beside the hit ratio, the bound that no policy passes: each first request misses. With
// --predict also what the engine, from its sample of the keys, says of other memories (half to twice as
// much), and what is really had there; all of it over the whole trace.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "storage/engine.h"

namespace gyre {
namespace {

constexpr UnixMillis kNow = 1'700'000'000'000;
constexpr std::size_t kValueBytesMax = std::size_t{1} << 20;

struct TraceRequest {
  std::string_view key;
  std::size_t value_bytes;
};

std::vector<TraceRequest> Parse(std::string_view text) {
  std::vector<TraceRequest> requests;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t comma = line.rfind(',');
    if (comma == std::string_view::npos) continue;
    const std::size_t bytes = std::strtoul(line.data() + comma + 1, nullptr, 10);
    requests.push_back({line.substr(0, comma), std::min(bytes, kValueBytesMax)});
  }
  return requests;
}

std::unique_ptr<Engine> MakeEngine(std::size_t memory_bytes) {
  EngineOptions options;
  options.memory_bytes = memory_bytes;
  options.threads = 1;
  auto created = Engine::Create(options);
  if (!created) {
    std::fprintf(stderr, "%s\n", created.error().message.c_str());
    std::exit(2);
  }
  return std::move(*created);
}

struct Outcome {
  std::size_t hits = 0;
  std::size_t refused = 0;
};

Outcome Play(const std::vector<TraceRequest>& requests, Engine& engine) {
  static const std::string value(kValueBytesMax, 'v');
  Outcome outcome;
  for (const TraceRequest& request : requests) {
    const Key key = engine.KeyOf(request.key);
    Shard& shard = engine.ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    if (shard.Find(key, kNow)) {
      ++outcome.hits;
      continue;
    }
    const std::string_view bytes = std::string_view(value).substr(0, request.value_bytes);
    if (!shard.Store(key, bytes, kNeverExpires, 0, shard.NextVersion(kNow))) ++outcome.refused;
  }
  return outcome;
}

// Of the memories that one node more or less makes, of rings of two to eight nodes.
void Compare(const std::vector<TraceRequest>& requests, std::size_t memory_bytes, double hit_ratio,
             const HitCurve& curve) {
  for (const double factor : {1.0 / 2, 2.0 / 3, 3.0 / 4, 7.0 / 8, 9.0 / 8, 4.0 / 3, 3.0 / 2, 2.0}) {
    const auto other =
        MakeEngine(static_cast<std::size_t>(static_cast<double>(memory_bytes) * factor));
    const auto total = static_cast<double>(requests.size());
    const double real = static_cast<double>(Play(requests, *other).hits) / total - hit_ratio;
    const double said = curve.GainedAt(factor);
    std::printf("  memory x %.3f  predicted %+.4f  real %+.4f  off by %+.4f\n", factor, said, real,
                said - real);
  }
}

void Replay(const char* path, std::size_t memory_bytes, bool predict) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::vector<TraceRequest> requests = Parse(text);
  if (requests.empty()) {
    std::fprintf(stderr, "%s: no lines of the form key,bytes\n", path);
    std::exit(2);
  }
  std::unordered_set<std::string_view> seen;
  for (const TraceRequest& request : requests) seen.insert(request.key);
  const auto made = MakeEngine(memory_bytes);
  Engine& engine = *made;
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = Play(requests, engine);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const auto total = static_cast<double>(requests.size());
  std::uint64_t value_bytes = 0;
  for (PartitionId partition = 0; partition < engine.options().partition_count; ++partition) {
    Shard& shard = engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    value_bytes += shard.info(partition).value_bytes;
  }
  const ShardStats stats = engine.stats();
  std::printf(
      "%-32s hit ratio %.4f  bound %.4f  refused %zu  evicted %llu  records %llu  values fill %.3f "
      " "
      "pages moved %llu  %.0f ns/request\n",
      path, static_cast<double>(outcome.hits) / total, 1 - static_cast<double>(seen.size()) / total,
      outcome.refused, static_cast<unsigned long long>(stats.evicted),
      static_cast<unsigned long long>(stats.records),
      static_cast<double>(value_bytes) / static_cast<double>(memory_bytes),
      static_cast<unsigned long long>(stats.pages_moved), took.count() * 1e9 / total);
  if (!predict) return;
  Compare(requests, memory_bytes, static_cast<double>(outcome.hits) / total,
          CurveOf(engine.reuse()));
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  std::size_t memory_mib = 32;
  bool predict = false;
  int at = 1;
  for (; at < argc && std::string_view(argv[at]).starts_with("--"); ++at) {
    if (std::string_view(argv[at]) == "--predict") {
      predict = true;
    } else if (std::string_view(argv[at]) == "--memory" && at + 1 < argc) {
      memory_mib = std::strtoul(argv[++at], nullptr, 10);
    } else {
      memory_mib = 0;
      break;
    }
  }
  if (at >= argc || memory_mib == 0) {
    std::fprintf(stderr, "usage: hit_ratio [--memory MIB] [--predict] TRACE...\n");
    return 2;
  }
  for (; at < argc; ++at) gyre::Replay(argv[at], memory_mib << 20, predict);
  return 0;
}
