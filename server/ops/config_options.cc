#include "ops/config_options.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <limits>
#include <string_view>

#include "base/log.h"
#include "command/arguments.h"
#include "proto/limits.h"

namespace gyre {

tl::unexpected<Error> Invalid(std::string message) {
  // One line, whatever a library put into it.
  std::replace(message.begin(), message.end(), '\n', ' ');
  while (!message.empty() && message.back() == ' ') message.pop_back();
  return Fail(ErrorCode::kInvalidArgument, std::move(message));
}

namespace {

template <typename T>
Status StoreNumber(const std::string& text, std::uint64_t min, std::uint64_t max, T& out) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    return Invalid("'" + text + "' is not a number from " + std::to_string(min) + " to " +
                   std::to_string(max));
  }
  out = static_cast<T>(number);
  return {};
}

Status StoreBytes(const std::string& text, std::size_t min, std::size_t max, std::size_t& out) {
  const Result<std::size_t> bytes = ParseBytes(text);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto mebibytes = [](std::size_t value) { return std::to_string(value >> 20) + "MiB"; };
  if (*bytes < min) return Invalid("'" + text + "' is too little: at least " + mebibytes(min));
  if (*bytes > max) return Invalid("'" + text + "' is too much: at most " + mebibytes(max));
  out = *bytes;
  return {};
}

Status StoreDuration(const std::string& text, Duration min, Duration& out) {
  const Result<Duration> duration = ParseDuration(text);
  if (!duration) return tl::unexpected(duration.error());
  if (*duration < min) {
    return Invalid("'" + text + "' is too short: at least " +
                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(min).count()) +
                   "s");
  }
  out = *duration;
  return {};
}

// Names stand in logs, metrics, CLUSTER NODES and host:port lists: nothing in them may need quoting
// there.
Status StoreName(const std::string& text, bool may_be_empty, std::string& out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (!plain || text.size() > kNameBytesMax || (text.empty() && !may_be_empty)) {
    return Invalid("'" + text + "' is not a name: use up to " + std::to_string(kNameBytesMax) +
                   " letters, digits, '.', '_' and '-'");
  }
  out = text;
  return {};
}

Status StoreHost(const std::string& text, std::string& out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' ||
           c == ':' || c == '%';
  });
  if (!plain || text.empty() || text.size() > 255) {
    return Invalid("'" + text + "' is not an address or host name");
  }
  out = text;
  return {};
}

// The port is that of --port if none is said.
Status StoreAdvertise(const std::string& text, HostPort& out) {
  if (Result<HostPort> both = ParseHostPort(text)) {
    out = *both;
    return {};
  }
  out.port = 0;
  if (text.starts_with('[') && text.ends_with(']')) {
    return StoreHost(text.substr(1, text.size() - 2), out.host);
  }
  // One colon only separates a port; an IPv6 address has more.
  if (std::count(text.begin(), text.end(), ':') == 1) {
    return Invalid("'" + text + "' is not HOST or HOST:PORT");
  }
  return StoreHost(text, out.host);
}

Status StoreJoin(const std::string& text, std::vector<HostPort>& out) {
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string one = text.substr(begin, comma - begin);
    begin = comma + 1;
    if (one.empty()) continue;
    const Result<HostPort> seed = ParseHostPort(one);
    if (!seed) return tl::unexpected(seed.error());
    if (std::find(out.begin(), out.end(), *seed) == out.end()) out.push_back(*seed);
  }
  return {};
}

Status StorePartitions(const std::string& text, std::uint32_t& out) {
  if (Status status = StoreNumber(text, 1, kSlotCount, out); !status) return status;
  if (!std::has_single_bit(out)) {
    return Invalid("'" + text + "' is not a power of two: use 1024 unless you know better");
  }
  return {};
}

Status StoreConsistency(const std::string& text, Consistency& out) {
  if (text != "available" && text != "majority") {
    return Invalid("'" + text + "' is neither available nor majority");
  }
  out = text == "majority" ? Consistency::kMajority : Consistency::kAvailable;
  return {};
}

Status StoreLogLevel(const std::string& text, std::string& out) {
  for (const std::string_view level : {"trace", "debug", "info", "warn", "error", "off"}) {
    if (IsWord(level, ToUpper(text))) {
      out = level;
      return {};
    }
  }
  return Invalid("'" + text + "' is no level: choose trace, debug, info, warn, error or off");
}

Status StoreLogFormat(const std::string& text, LogFormat& out) {
  if (text != "text" && text != "json") return Invalid("'" + text + "' is neither text nor json");
  out = text == "json" ? LogFormat::kJson : LogFormat::kText;
  return {};
}

Status StoreFlag(const std::string& text, bool& out) {
  if (text != "true" && text != "false") return Invalid("'" + text + "' is neither true nor false");
  out = text == "true";
  return {};
}

Status StorePath(const std::string& text, std::string& out) {
  if (text.empty()) return Invalid("the name is empty");
  out = text;
  return {};
}

constexpr std::size_t kMemoryBytesMax = std::size_t{1} << 44;  // 16 TiB
constexpr std::size_t kValueBytesMin = std::size_t{1} << 20;

constexpr std::uint64_t kPortMax = 65535;

// ---- How values are stored and shown ------------------------------------------------------------

using Text = const std::string&;

// What lies below the least that may be asked for was not asked for.
template <auto kField, std::uint64_t kMin, std::uint64_t kMax>
constexpr OptionValue Number() {
  return {
      [](Text t, Config& c) { return StoreNumber(t, kMin, kMax, c.*kField); },
      [](const Config& c) { return c.*kField < kMin ? std::string() : std::to_string(c.*kField); }};
}

template <auto kField, std::size_t kMin, std::size_t kMax>
constexpr OptionValue Bytes() {
  return {[](Text t, Config& c) { return StoreBytes(t, kMin, kMax, c.*kField); },
          Number<kField, kMin, kMax>().show};
}

template <auto kField, int kMinSeconds>
constexpr OptionValue Time() {
  return {[](Text t, Config& c) {
            return StoreDuration(t, std::chrono::seconds(kMinSeconds), c.*kField);
          },
          [](const Config& c) { return FormatDuration(c.*kField); }};
}

template <auto kField, bool kMayBeEmpty>
constexpr OptionValue Name() {
  return {[](Text t, Config& c) { return StoreName(t, kMayBeEmpty, c.*kField); },
          [](const Config& c) { return c.*kField; }};
}

template <auto kField>
constexpr OptionValue Host() {
  return {[](Text t, Config& c) { return StoreHost(t, c.*kField); },
          [](const Config& c) { return c.*kField; }};
}

// Of a file or folder; what stands in it is shown nowhere.
template <auto kField>
constexpr OptionValue Path() {
  return {[](Text t, Config& c) { return StorePath(t, c.*kField); },
          [](const Config& c) { return c.*kField; }};
}

template <auto kField>
constexpr OptionValue Flag() {
  return {[](Text t, Config& c) { return StoreFlag(t, c.*kField); },
          [](const Config& c) { return std::string(c.*kField ? "true" : "false"); }};
}

constexpr OptionValue Advertise() {
  return {[](Text t, Config& c) { return StoreAdvertise(t, c.advertise); },
          [](const Config& c) {
            return c.advertise.port == 0 ? c.advertise.host : FormatHostPort(c.advertise);
          }};
}

constexpr OptionValue Join() {
  return {[](Text t, Config& c) { return StoreJoin(t, c.join); },
          [](const Config& c) {
            std::string text;
            for (const HostPort& seed : c.join) {
              text += (text.empty() ? "" : ",") + FormatHostPort(seed);
            }
            return text;
          }};
}

constexpr OptionValue Partitions() {
  return {[](Text t, Config& c) { return StorePartitions(t, c.partitions); },
          [](const Config& c) { return std::to_string(c.partitions); }};
}

constexpr OptionValue ConsistencyMode() {
  return {[](Text t, Config& c) { return StoreConsistency(t, c.consistency); },
          [](const Config& c) {
            return std::string(c.consistency == Consistency::kMajority ? "majority" : "available");
          }};
}

constexpr OptionValue LogLevelName() {
  return {[](Text t, Config& c) { return StoreLogLevel(t, c.log_level); },
          [](const Config& c) { return c.log_level; }};
}

constexpr OptionValue LogFormatName() {
  return {[](Text t, Config& c) { return StoreLogFormat(t, c.log_format); },
          [](const Config& c) {
            return std::string(c.log_format == LogFormat::kJson ? "json" : "text");
          }};
}

// ---- What Redis words otherwise, and what changes at run time -----------------------------------

std::string WholeSeconds(const Config& config) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(config.idle_timeout).count());
}

std::string RedisLogLevel(const Config& config) {
  if (config.log_level == "trace" || config.log_level == "debug") return "debug";
  return config.log_level == "info" ? "notice" : "warning";
}

std::string LogLevelOfRedis(std::string_view word) {
  if (IsWord(word, "VERBOSE") || IsWord(word, "NOTICE")) return "info";
  return IsWord(word, "WARNING") ? "warn" : std::string(word);
}

// Redis counts in seconds.
std::string SecondsOfRedis(std::string_view word) { return std::string(word) + "s"; }

// The node does, which is told of each change (ConfigParameters::on_change).
void LeftToTheNode(const Config&) {}

void ApplyLogLevel(const Config& config) { (void)SetLogLevel(config.log_level); }  // it was read

}  // namespace

const std::vector<Option>& ConfigOptions() {
  using enum OptionKind;
  static const std::vector<Option> options = {
      {"name", "NAME", kText,
       "Name of this node in logs, metrics and `gyre status`. Default: <host name>-<port>. Only "
       "for "
       "people: identity is kept in --data-dir.",
       Name<&Config::name, false>()},
      {"host",
       "ADDRESS",
       kText,
       "Address that all ports listen on and that other nodes and clients are told, unless "
       "--advertise says another. Default: 127.0.0.1, which nobody reaches from another machine. "
       "Any that others reach needs --gossip-key; 0.0.0.0 and :: need --advertise.",
       Host<&Config::host>(),
       {.redis = {.name = "bind"}}},
      {"advertise", "HOST[:PORT]", kText,
       "Address that other nodes and clients are told, where it is not --host and --port: behind "
       "NAT, in a container, with --host 0.0.0.0. The other ports are told as they are. A node "
       "that is not found there is not let into a ring. Default: --host and --port.",
       Advertise()},
      {"port",
       "PORT",
       kNumber,
       "Native protocol for clients and peers (TCP), and gossip (UDP, same number). Default: 7700.",
       Number<&Config::port, 1, kPortMax>(),
       {.parameter = "native-port"}},
      {"resp-port",
       "PORT",
       kNumber,
       "Redis protocol; requests for other nodes' keys are forwarded. Default: 6379. 0 turns it "
       "off.",
       Number<&Config::resp_port, 0, kPortMax>(),
       {.redis = {.name = "port", .kind = RedisKind::kInteger, .most = kPortMax}}},
      {"resp-cluster-port", "PORT", kNumber,
       "Redis protocol for cluster clients; other nodes' keys get -MOVED. Default: 7379. 0 turns "
       "it "
       "off.",
       Number<&Config::resp_cluster_port, 0, kPortMax>()},
      {"memcached-port", "PORT", kNumber, "memcached protocol. Default: 11211. 0 turns it off.",
       Number<&Config::memcached_port, 0, kPortMax>()},
      {"http-port", "PORT", kNumber,
       "HTTP: /health, /ready, /metrics, /sd, /status. Default: 7780. 0 turns it off.",
       Number<&Config::http_port, 0, kPortMax>()},
      {"agent-port", "PORT", kNumber,
       "What HAProxy's agent-check asks: whether this node takes new connections, and how many for "
       "its load. Default: 0, off.",
       Number<&Config::agent_port, 0, kPortMax>()},

      {"join", "HOST:PORT,...", kList,
       "Nodes of the cluster to join; one that answers is enough, and all are tried again for "
       "ever. "
       "Default: none, which begins a cluster, or goes back to the ring that --data-dir remembers.",
       Join()},
      {"memory",
       "SIZE",
       kAmount,
       "Bytes for records and their index. Default: 256MiB, or where the control group (a "
       "container, "
       "MemoryMax=) has a limit, 60% of that. When it is full, records that are used least are "
       "evicted.",
       Bytes<&Config::memory_bytes, kMemoryBytesMin, kMemoryBytesMax>(),
       {.redis = {.name = "maxmemory", .kind = RedisKind::kBytes}}},
      {"max-value",
       "SIZE",
       kAmount,
       "Largest value, in bytes. Default: 16MiB, or half of a smaller --memory; at most 512MiB. "
       "Larger ones are refused. The same on all nodes.",
       Bytes<&Config::value_bytes_max, kValueBytesMin, kValueBytesHardMax>(),
       {.redis = {.name = "proto-max-bulk-len", .kind = RedisKind::kBytes}}},
      {"client-memory", "SIZE", kAmount,
       "Bytes, beside --memory, for all that clients make the node hold: unfinished requests, "
       "replies that they have not read. Default: 64MiB, or a quarter of --memory where that is "
       "more or is a share of a limit. When it is full, the clients that hold most are closed; a "
       "reply that would not fit "
       "is "
       "refused.",
       Bytes<&Config::client_memory_bytes, kClientMemoryBytesMin, kMemoryBytesMax>()},
      {"threads",
       "N",
       kNumber,
       "Worker loops. Default: one a core. More than the cores there are costs latency.",
       Number<&Config::threads, 1, kThreadsMax>(),
       {.redis = {.name = "io-threads", .kind = RedisKind::kImmutable}}},
      {"max-connections",
       "N",
       kNumber,
       "Clients at a time, of all protocols; one more is refused. Peers, the HTTP port and `gyre` "
       "have places of their own. Default: 65536, or as many as the limit of open files (ulimit "
       "-Hn) has room for.",
       Number<&Config::connections_max, 1, kConnectionsHardMax>(),
       {.redis = {.name = "maxclients",
                  .kind = RedisKind::kInteger,
                  .least = 1,
                  .most = std::numeric_limits<std::uint32_t>::max()}}},
      {"max-connections-per-address", "N", kNumber,
       "Clients at a time from one IP address; one more is refused. Default: 0, any number: many "
       "clients may stand behind one proxy. Peers do not count.",
       Number<&Config::connections_of_address_max, 0, kConnectionsHardMax>()},
      {"proxy-protocol", "", kFlag,
       "Clients of the RESP and memcached ports come through a proxy (HAProxy, NGINX) that begins "
       "each "
       "connection with the PROXY header, version 1 or 2: they count and are shown by the address "
       "in "
       "it. Who does not send it is refused; who reaches these ports is believed, so let only the "
       "proxy reach them. Default: off.",
       Flag<&Config::proxy_protocol>()},
      {"idle-timeout",
       "DURATION",
       kAmount,
       "A client that has sent nothing and waits for nothing for this long is closed. Default: 0, "
       "never. Peers are not closed.",
       Time<&Config::idle_timeout, 0>(),
       {.apply = LeftToTheNode,
        .redis = {.name = "timeout",
                  .kind = RedisKind::kInteger,
                  .most = std::numeric_limits<std::int32_t>::max(),
                  .show = WholeSeconds,
                  .read = SecondsOfRedis}}},
      {"replicas", "N", kNumber,
       "Copies of each record, the owner's included, 1 to 7. Default: 2. More survive more deaths "
       "and "
       "cost memory. The same on all nodes.",
       Number<&Config::replicas, 1, kReplicasMax>()},
      {"write-acks", "N", kNumber,
       "Copies that must have a write before it is acknowledged, the owner's included, 1 to "
       "--replicas. Default: 1, which loses up to a second of writes when a node dies.",
       Number<&Config::write_acks, 1, kReplicasMax>()},
      {"zone", "NAME", kText,
       "Failure domain of this node (rack, data centre). Copies of a record go to different zones. "
       "Default: none.",
       Name<&Config::zone, true>()},
      {"weight", "N", kNumber,
       "Share of the keys relative to other nodes, 1 to 1024. Default: 1. In proportion to "
       "--memory "
       "where that differs.",
       Number<&Config::weight, 1, kWeightMax>()},
      {"cluster-name", "NAME", kText,
       "Nodes of another name cannot join by accident. Default: gyre. The same on all nodes.",
       Name<&Config::cluster_name, false>()},
      {"gossip-key", "FILE", kText,
       "File with the key that all nodes of the cluster share: gossip and links between nodes are "
       "encrypted, and nodes without it cannot join. One key or two, a line each (base64 or hex of "
       "32 bytes): the first is used to send, both are accepted; SIGHUP reads it again. Default: "
       "none.",
       Path<&Config::gossip_key>()},
      {"insecure", "", kFlag,
       "Serve beyond loopback without --gossip-key: whoever reaches the ports can join the ring "
       "and take its data. Default: off, such a node does not start.",
       Flag<&Config::insecure>()},
      {"partitions", "N", kNumber,
       "Units of ownership, a power of two up to 16384. Default: 1024. Fixed for the life of a "
       "cluster, the same on all nodes.",
       Partitions()},
      {"consistency", "MODE", kText,
       "available: both sides of a network partition go on, the newest version wins afterwards. "
       "majority: an owner acts only while it hears from most of the ring, so that INCR and CAS "
       "are "
       "safe with --write-acks equal to --replicas; of two sides one goes on, after a death it "
       "waits "
       "some 1.3 s longer. Wants three nodes or more. Default: available. The same on all nodes.",
       ConsistencyMode()},
      {"evict-after",
       "DURATION",
       kAmount,
       "How long a dead node keeps its place on the ring before its keys move to others. Default: "
       "5m. "
       "Shorter: a slow restart moves data.",
       Time<&Config::evict_after, 1>(),
       {.apply = LeftToTheNode}},
      {"rebalance-limit", "SIZE", kAmount,
       "Bytes a second that this node pulls of what moves for balance or a drain. Default: 0, no "
       "limit: it takes what clients leave. What a death made necessary is never held up. `gyre "
       "rebalance limit` sets it for all nodes at once.",
       Bytes<&Config::rebalance_limit, 0, kMemoryBytesMax>()},
      {"scale-out-load", "PERCENT", kNumber,
       "More nodes are advised (`gyre advise`) where the loops of clients are busier than this, or "
       "the links fuller, on average over the ring. Default: 70. The same on all nodes, as what "
       "follows.",
       Number<&Config::scale_out_load, 1, 100>()},
      {"scale-in-load", "PERCENT", kNumber,
       "One node fewer is advised only where that would leave loops and links no busier than this. "
       "Default: 50. Near --scale-out-load: the ring swings.",
       Number<&Config::scale_in_load, 0, 100>()},
      {"scale-out-hits", "POINTS", kNumber,
       "More nodes are advised where records are evicted and one node more would gain so many "
       "points of hit ratio, divided by the number of nodes: 1 of five nodes, with 5. Default: 5.",
       Number<&Config::scale_out_hits, 1, 100>()},
      {"scale-in-hits", "POINTS", kNumber,
       "One node fewer is advised only where that would lose no more points of hit ratio than "
       "this, divided by the number of nodes. Default: 2.",
       Number<&Config::scale_in_hits, 0, 100>()},
      {"scale-out-window", "DURATION", kAmount,
       "How long more nodes must be asked for before they are advised. Default: 1m.",
       Time<&Config::scale_out_window, 0>()},
      {"scale-in-window", "DURATION", kAmount,
       "How long fewer nodes must do before they are advised. Default: 5m.",
       Time<&Config::scale_in_window, 0>()},
      {"scale-cooldown", "DURATION", kAmount,
       "After a change of the ring, how long no other is advised. Default: 5m.",
       Time<&Config::scale_cooldown, 0>()},
      {"network-limit", "SIZE", kAmount,
       "Bytes a second that this node's link carries each way, for `gyre advise`; nothing is "
       "throttled. Default: 0, the speed that the system tells of the interface of --advertise; "
       "many virtual ones tell none.",
       Bytes<&Config::network_limit, 0, kMemoryBytesMax>()},
      {"tombstone-ttl", "DURATION", kAmount,
       "How long deletions are remembered. Default: 10m. A node that was away for longer starts "
       "empty.",
       Time<&Config::tombstone_ttl, 10>()},
      {"data-dir",
       "DIR",
       kText,
       "Where the node's identity and the ring that it belongs to are kept; created if missing. "
       "Default: none, then each start is a new node to the ring, and only --join leads to it.",
       Path<&Config::data_dir>(),
       {.redis = {.name = "dir"}}},
      {"snapshot-on-exit", "", kFlag,
       "On SIGTERM, write all records into --data-dir once ownership is handed over; the next "
       "start "
       "loads them and fetches only what changed since. Default: off, a node starts empty. A "
       "second SIGTERM ends the writing, without a snapshot.",
       Flag<&Config::snapshot_on_exit>()},
      {"stop-timeout",
       "DURATION",
       kAmount,
       "How long a stop (SIGTERM) takes at most: it waits until another node has what only this "
       "one "
       "has, then hands over. Default: 25s. 0: no waiting. Shorter: keys of which the only copy is "
       "here are lost, and the log says how many. Give a supervisor 5s more before it kills.",
       Time<&Config::stop_timeout, 0>(),
       {.apply = LeftToTheNode}},
      {"log-level",
       "LEVEL",
       kText,
       "trace, debug, info, warn, error or off. Default: info.",

       LogLevelName(),
       {.apply = ApplyLogLevel,
        .redis = {.name = "loglevel",
                  .kind = RedisKind::kChoice,
                  .choices = "debug, verbose, notice, warning",
                  .show = RedisLogLevel,
                  .read = LogLevelOfRedis}}},
      {"log-format", "FORMAT", kText, "text, or json: one object a line. Default: text.",
       LogFormatName()},
  };
  return options;
}

}  // namespace gyre
