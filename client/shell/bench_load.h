// The load generator: threads, each with a loop and its share of the connections. A connection
// sends a batch of `pipeline` requests in one write, waits for all their replies, and goes on (a
// closed loop, as redis-benchmark's). The latency of a request is the time from its batch's write
// to the read that brought its reply. It shares common/tcp_stream.h with the client, and no link: a
// table of requests would cost more than what is measured.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/shell/bench_wire.h"
#include "client/shell/histogram.h"
#include "gyre/client.h"

namespace gyre::client {

enum class KeyPattern { kUniform, kSequential, kZipf };

struct BenchOptions {
  BenchProtocol protocol = BenchProtocol::kNative;
  std::uint32_t connections = 50;  // for each target
  std::uint32_t pipeline = 1;
  std::uint32_t threads = 1;
  std::uint64_t requests = 0;  // 0: for `duration`
  Milliseconds duration{10000};
  std::uint32_t sets = 1;  // sets : gets
  std::uint32_t gets = 10;
  std::uint64_t value_bytes = 64;
  std::uint64_t keys = 100000;
  KeyPattern pattern = KeyPattern::kUniform;
  double zipf_alpha = 0.99;
  std::uint64_t seed = 1;
  // Called a few times a second while it runs, by the thread that called: how many requests have
  // begun (of the loading of keys: how many keys), and for how long it runs. Null: nobody asks.
  std::function<void(std::uint64_t begun, double seconds)> progress = nullptr;
};

// A node, and the keys that may be asked of it.
struct BenchTarget {
  std::string name;
  sockaddr_storage address{};
  // Null: all.
  std::function<bool(std::uint64_t key)> owns;
};

struct BenchReport {
  ReplyCounts counts;
  Histogram latency_ns;
  std::uint64_t connections_lost = 0;
  double seconds = 0;

  double ops_per_second() const {
    return seconds > 0 ? static_cast<double>(counts.replies) / seconds : 0;
  }
};

// Runs it. Blocks.
BenchReport RunBench(const BenchOptions& options, const std::vector<BenchTarget>& targets);

// Writes every key once (in the order of their numbers), as fast as it goes.
BenchReport LoadKeys(BenchOptions options, const std::vector<BenchTarget>& targets);

// Resolves "host:port" and tries to connect; kCannotConnect if nobody listens.
Result<BenchTarget> MakeTarget(const std::string& address);

}  // namespace gyre::client
