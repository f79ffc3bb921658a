// Replays traces of look-aside requests through the engine alone: a find, and a store where it
// missed.
//
//   hit_ratio [--memory MIB] TRACE...      a trace is a file of lines "key,bytes of the value"
//
// Prints, beside the hit ratio, the bound that no policy passes: each first request misses.
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

void Replay(const char* path, std::size_t memory_bytes) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::vector<TraceRequest> requests = Parse(text);
  if (requests.empty()) {
    std::fprintf(stderr, "%s: no lines of the form key,bytes\n", path);
    std::exit(2);
  }
  EngineOptions options;
  options.memory_bytes = memory_bytes;
  options.threads = 1;
  const auto created = Engine::Create(options);
  if (!created) {
    std::fprintf(stderr, "%s\n", created.error().message.c_str());
    std::exit(2);
  }
  Engine& engine = **created;
  const std::string value(kValueBytesMax, 'v');
  std::unordered_set<std::string_view> seen;
  for (const TraceRequest& request : requests) seen.insert(request.key);
  std::size_t hits = 0;
  std::size_t refused = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const TraceRequest& request : requests) {
    const Key key = engine.KeyOf(request.key);
    Shard& shard = engine.ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    if (shard.Find(key, kNow)) {
      ++hits;
      continue;
    }
    const std::string_view bytes = std::string_view(value).substr(0, request.value_bytes);
    if (!shard.Store(key, bytes, kNeverExpires, 0, shard.NextVersion(kNow))) ++refused;
  }
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
      path, static_cast<double>(hits) / total, 1 - static_cast<double>(seen.size()) / total,
      refused, static_cast<unsigned long long>(stats.evicted),
      static_cast<unsigned long long>(stats.records),
      static_cast<double>(value_bytes) / static_cast<double>(memory_bytes),
      static_cast<unsigned long long>(stats.pages_moved), took.count() * 1e9 / total);
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  std::size_t memory_mib = 32;
  int at = 1;
  if (argc > 2 && std::string_view(argv[1]) == "--memory") {
    memory_mib = std::strtoul(argv[2], nullptr, 10);
    at = 3;
  }
  if (at >= argc || memory_mib == 0) {
    std::fprintf(stderr, "usage: hit_ratio [--memory MIB] TRACE...\n");
    return 2;
  }
  for (; at < argc; ++at) gyre::Replay(argv[at], memory_mib << 20);
  return 0;
}
