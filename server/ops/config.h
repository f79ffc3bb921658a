// The command line and the configuration file of gyred.
//
// Every option is one row of a table (config_options.cc): its name, kind, help and how it is
// stored. The command line (--resp-port 6379) and the file (resp-port = 6379, TOML) go through the
// same rows, so both know the same names and report the same errors. Flags win over the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "proto/limits.h"
#include "proto/result.h"
#include "proto/slot.h"

namespace gyre {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

enum class Consistency : std::uint8_t { kAvailable, kMajority };

inline constexpr std::size_t kMemoryBytesMin = std::size_t{8} << 20;
inline constexpr std::size_t kClientMemoryBytesMin = std::size_t{4} << 20;
inline constexpr std::size_t kClientMemoryBytesDefault = std::size_t{64} << 20;
inline constexpr std::size_t kNameBytesMax = 64;
inline constexpr std::uint32_t kWeightOptionMax = 1000;
inline constexpr std::uint32_t kThreadsMax = 256;
inline constexpr std::size_t kConnectionsDefault = 65'536;
inline constexpr std::size_t kConnectionsHardMax = 10'000'000;

struct Config {
  std::string name;  // --name; default: <host name>-<port>
  std::string host = "127.0.0.1";
  HostPort advertise;  // --advertise: what others are told. ParseConfig leaves nothing empty here
  std::uint16_t port = 7700;
  std::uint16_t resp_port = 6379;  // 0: off, as with the ports below
  std::uint16_t resp_cluster_port = 7379;
  std::uint16_t memcached_port = 11211;
  std::uint16_t http_port = 7780;
  std::vector<HostPort> join;

  std::size_t memory_bytes = std::size_t{256} << 20;
  // --max-value. ParseConfig leaves no 0: unless asked otherwise it is the default, or half of a
  // smaller memory.
  std::size_t value_bytes_max = 0;
  // --client-memory. ParseConfig leaves no 0: unless asked otherwise it is the default, or a
  // quarter of a large memory.
  std::size_t client_memory_bytes = 0;
  std::uint32_t threads = 1;  // --threads; default: one a core
  // --max-connections; 0: kConnectionsDefault, or as many as there may be open files
  std::size_t connections_max = 0;
  std::size_t connections_of_address_max = 0;  // --max-connections-per-address; 0: any number
  Duration idle_timeout{};                     // of clients; 0: never

  std::string cluster_name = "gyre";
  std::uint32_t replicas = 2;
  std::uint32_t write_acks = 1;
  std::uint32_t partitions = kPartitionCountDefault;
  Consistency consistency = Consistency::kAvailable;
  std::string zone;
  std::uint32_t weight = 1;
  Duration evict_after = std::chrono::minutes(5);
  Duration tombstone_ttl = std::chrono::minutes(10);
  std::size_t rebalance_limit = 0;  // bytes a second; 0: none

  bool insecure = false;   // --insecure: beyond loopback without --gossip-key
  std::string gossip_key;  // --gossip-key: a file; empty: gossip and peer links are in the clear
  bool snapshot_on_exit = false;
  Duration stop_timeout = std::chrono::seconds(25);
  std::string data_dir;  // empty: identity is not kept, each start is a new node
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;
};

struct ParsedCommandLine {
  enum class Action : std::uint8_t {
    kRun,    // `config` is valid
    kPrint,  // --help or --version: print `text` to standard output, exit 0
  };
  Action action = Action::kRun;
  Config config;
  std::string text;
};

// Errors are one line, without a newline, that says what to change. (main prints it and exits 2.)
Result<ParsedCommandLine> ParseConfig(int argc, const char* const* argv);

// Parts of it, for tests and for CONFIG SET.
// "256MiB", "64M", "1g", "1048576", "10KB": powers of 1024 (K, M, G, T), with or without "B" or
// "iB"; any case.
Result<std::size_t> ParseBytes(const std::string& text);
// "500ms", "10s", "5m", "1h30m", "2d"; a bare number has no unit and is refused, but for 0.
Result<Duration> ParseDuration(const std::string& text);
// Addresses that other machines cannot mean: of this machine alone, of all of its interfaces.
bool IsLoopback(const std::string& host);
bool IsUnspecified(const std::string& host);
// "127.0.0.1:7700", "[::1]:7700", "node-a:7700"
Result<HostPort> ParseHostPort(const std::string& text);

}  // namespace gyre
