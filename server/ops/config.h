// The command line and the configuration file of gyred.
//
// Every option is one row of a table (config_options.cc): its name, kind, help, how it is stored and
// shown. The command line (--resp-port 6379), the environment (GYRE_RESP_PORT=6379), the file
// (resp-port = 6379, TOML) and CONFIG (config_parameters.h) go through the same rows, so all know
// the same names and report the same errors. A flag wins over the environment, and that over the
// file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "ops/surroundings.h"
#include "proto/limits.h"
#include "proto/placement.h"
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
  std::uint16_t agent_port = 0;

  std::vector<HostPort> join;

  // --memory. ParseConfig makes it a share of the control group's limit where nothing else was said.
  std::size_t memory_bytes = std::size_t{256} << 20;
  // --max-value. ParseConfig leaves no 0: unless asked otherwise it is the default, or half of a
  // smaller memory.
  std::size_t value_bytes_max = 0;
  // --client-memory. ParseConfig leaves no 0: unless asked otherwise it is the default, or a
  // quarter of a large memory.
  std::size_t client_memory_bytes = 0;
  // What the control group may use of the machine's memory; 0: no limit. Not an option.
  std::size_t memory_limit_bytes = 0;
  bool memory_is_share = false;  // memory_bytes is a share of that
  std::uint32_t threads = 1;     // --threads; default: one a core
  // --max-connections; 0: kConnectionsDefault, or as many as there may be open files
  std::size_t connections_max = 0;
  std::size_t connections_of_address_max = 0;  // --max-connections-per-address; 0: any number
  Duration idle_timeout{};                     // of clients; 0: never
  bool proxy_protocol = false;                 // --proxy-protocol: RESP and memcached ports

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

  // --scale-...: when more or fewer nodes are advised. Percentages.
  std::uint32_t scale_out_load = 70;
  std::uint32_t scale_in_load = 50;
  std::uint32_t scale_out_hits = 5;
  std::uint32_t scale_in_hits = 2;
  Duration scale_out_window = std::chrono::minutes(1);
  Duration scale_in_window = std::chrono::minutes(5);
  Duration scale_cooldown = std::chrono::minutes(5);
  std::size_t network_limit = 0;  // bytes a second, each way; 0: the speed of the link, if known

  bool insecure = false;   // --insecure: beyond loopback without --gossip-key
  std::string gossip_key;  // --gossip-key: a file; empty: gossip and peer links are in the clear
  bool snapshot_on_exit = false;
  Duration stop_timeout = std::chrono::seconds(25);
  std::string data_dir;  // empty: identity is not kept, each start is a new node
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;

  friend bool operator==(const Config&, const Config&) = default;
};

// Where the value of an option comes from; each wins over those before it. kRing and kSet come while
// the node runs (config_parameters.h).
enum class ConfigSource : std::uint8_t { kDefault, kFile, kEnvironment, kFlag, kRing, kSet };
// By option; one that is not there has its default.
using ConfigSources = std::map<std::string, ConfigSource, std::less<>>;

struct ParsedCommandLine {
  enum class Action : std::uint8_t {
    kRun,          // `config` is valid
    kPrint,        // --help or --version: print `text` to standard output, exit 0
    kHealthcheck,  // --healthcheck: ask the node that runs with `config` whether it is ready
  };
  Action action = Action::kRun;
  Config config;
  ConfigSources sources;
  std::string text;
};

// Errors are one line, without a newline, that says what to change. (main prints it and exits 2.)
Result<ParsedCommandLine> ParseConfig(int argc, const char* const* argv,
                                      const Surroundings& surroundings = {});

// "resp-port" -> "GYRE_RESP_PORT".
std::string VariableOf(const std::string& option);

// Parts of it, for tests and for CONFIG SET.
// "256MiB", "64M", "1g", "1048576", "10KB": powers of 1024 (K, M, G, T), with or without "B" or
// "iB"; any case.
Result<std::size_t> ParseBytes(const std::string& text);
// "500ms", "10s", "5m", "1h30m", "2d"; a bare number has no unit and is refused, but for 0.
Result<Duration> ParseDuration(const std::string& text);
// "500ms", "10s", "5m", "0": in one unit, that it is a whole number of.
std::string FormatDuration(Duration duration);
// Addresses that other machines cannot mean: of this machine alone, of all of its interfaces.
bool IsLoopback(const std::string& host);
bool IsUnspecified(const std::string& host);
// "127.0.0.1:7700", "[::1]:7700", "node-a:7700"
Result<HostPort> ParseHostPort(const std::string& text);
std::string FormatHostPort(const HostPort& both);

}  // namespace gyre
