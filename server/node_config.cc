// CONFIG: gyred's options by their names, and what clients and tools of Redis read and set. A
// parameter can be set to what it is; to something else only where that takes effect.
#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

#include "base/log.h"
#include "command/arguments.h"
#include "command/glob.h"
#include "node_admin.h"

namespace gyre {

struct NodeAdmin::Parameter {
  enum class Kind : std::uint8_t { kText, kInteger, kBytes, kYesNo, kChoice, kImmutable };

  std::string name;
  std::string value;
  Kind kind = Kind::kText;
  // kInteger.
  std::int64_t least = 0;
  std::int64_t most = 0;
  // kChoice: the words, separated by ", ".
  std::string_view choices;
};

namespace {

using Changes = Admin::Changes;

constexpr std::string_view kLogLevels = "trace, debug, info, warn, error, off";
constexpr std::string_view kRedisLogLevels = "debug, verbose, notice, warning";
constexpr std::string_view kPolicies =
    "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
    "allkeys-random, noeviction";

bool IsChoice(std::string_view value, std::string_view choices) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(", "), choices.size());
    if (IsWord(choices.substr(0, end), ToUpper(value))) return true;
    choices.remove_prefix(std::min(end + 2, choices.size()));
  }
  return false;
}

std::string RedisLogLevel() {
  switch (spdlog::get_level()) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "notice";
    default:
      return "warning";
  }
}

// By Redis's name or ours.
spdlog::level::level_enum LogLevelOf(std::string_view name) {
  if (IsWord(name, "VERBOSE") || IsWord(name, "NOTICE")) return spdlog::level::info;
  if (IsWord(name, "WARNING")) return spdlog::level::warn;
  return spdlog::level::from_str(ToLower(name));
}

// 1024 and 1kb, as Redis reads them.
std::optional<std::size_t> RedisBytes(std::string_view text) {
  const Result<std::size_t> bytes = ParseBytes(std::string(text));
  return bytes ? std::optional<std::size_t>(*bytes) : std::nullopt;
}

Error SetFailed(std::string_view name, const std::string& reason) {
  return {ErrorCode::kInvalidArgument, "CONFIG SET failed (possibly related to argument '" +
                                           std::string(name) + "') - " + reason};
}

}  // namespace

std::vector<NodeAdmin::Parameter> NodeAdmin::Parameters() const {
  using Kind = Parameter::Kind;
  constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kLongMax = std::numeric_limits<std::int64_t>::max();
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const auto idle_seconds = static_cast<std::uint64_t>(
      std::chrono::ceil<std::chrono::seconds>(config_.idle_timeout).count());
  return {// Gyre's own, named as on the command line.
          {"name", config_.name},
          {"host", config_.host},
          {"native-port", number(config_.port)},
          {"resp-port", number(config_.resp_port)},
          {"resp-cluster-port", number(config_.resp_cluster_port)},
          {"memcached-port", number(config_.memcached_port)},
          {"http-port", number(config_.http_port)},
          {"memory", number(config_.memory_bytes), Kind::kBytes},
          {"max-value", number(config_.value_bytes_max), Kind::kBytes},
          {"client-memory", number(config_.client_memory_bytes), Kind::kBytes},
          {"threads", number(config_.threads)},
          {"max-connections", number(config_.connections_max)},
          {"max-connections-per-address", number(config_.connections_of_address_max)},
          {"idle-timeout", number(idle_seconds)},
          {"replicas", number(config_.replicas)},
          {"write-acks", number(config_.write_acks)},
          {"partitions", number(config_.partitions)},
          {"zone", config_.zone},
          {"weight", number(config_.weight)},
          {"cluster-name", config_.cluster_name},
          {"data-dir", config_.data_dir},
          {"snapshot-on-exit", config_.snapshot_on_exit ? "yes" : "no", Kind::kYesNo},
          {"rebalance-limit", number(config_.rebalance_limit), Kind::kBytes},
          {"log-level", std::string(spdlog::level::to_string_view(spdlog::get_level()).data()),
           Kind::kChoice, 0, 0, kLogLevels},
          // What clients and tools of Redis ask for.
          {"port", number(config_.resp_port), Kind::kInteger, 0, 65535},
          {"tls-port", "0", Kind::kInteger, 0, 65535},
          {"bind", config_.host},
          {"unixsocket", "", Kind::kImmutable},
          {"dir", config_.data_dir},
          {"logfile", "", Kind::kImmutable},
          {"daemonize", "no", Kind::kImmutable},
          {"databases", "1", Kind::kImmutable},
          {"io-threads", number(config_.threads), Kind::kImmutable},
          {"maxmemory", number(config_.memory_bytes), Kind::kBytes},
          {"maxmemory-policy", "allkeys-lfu", Kind::kChoice, 0, 0, kPolicies},
          {"maxclients", number(config_.connections_max), Kind::kInteger, 1, 4294967295},
          {"timeout", number(idle_seconds), Kind::kInteger, 0, kIntMax},
          {"tcp-keepalive", number(kKeepaliveSeconds), Kind::kInteger, 0, kIntMax},
          {"proto-max-bulk-len", number(config_.value_bytes_max), Kind::kBytes},
          {"requirepass", ""},
          {"masterauth", ""},
          {"loglevel", RedisLogLevel(), Kind::kChoice, 0, 0, kRedisLogLevels},
          {"save", ""},
          {"appendonly", "no", Kind::kYesNo},
          // Off, as these values say.
          {"slowlog-log-slower-than", "-1", Kind::kInteger, -1, kLongMax},
          {"slowlog-max-len", "0", Kind::kInteger, 0, kLongMax},
          {"latency-monitor-threshold", "0", Kind::kInteger, 0, kLongMax},
          {"notify-keyspace-events", ""}};
}

Admin::Fields NodeAdmin::ConfigGet(std::string_view pattern) {
  Fields matching;
  const std::string wanted = ToLower(pattern);
  const Result<Glob> glob = Glob::Parse(wanted);
  if (!glob) return matching;  // longer than any name
  for (Parameter& parameter : Parameters()) {
    if (!glob->Matches(parameter.name)) continue;
    // What was asked for by its name is answered by it, in whatever case.
    if (parameter.name == wanted) parameter.name = pattern;
    matching.emplace_back(std::move(parameter.name), std::move(parameter.value));
  }
  return matching;
}

namespace {

// Whether the text is one of those that a parameter of that kind may have; else the reason.
template <typename Parameter>
std::optional<std::string> Mistake(const Parameter& parameter, std::string_view value) {
  using Kind = typename Parameter::Kind;
  switch (parameter.kind) {
    case Kind::kText:
    case Kind::kImmutable:
      return std::nullopt;
    case Kind::kInteger: {
      const std::optional<std::int64_t> number = ParseInteger(value);
      if (!number) return "argument couldn't be parsed into an integer";
      if (*number >= parameter.least && *number <= parameter.most) return std::nullopt;
      return "argument must be between " + std::to_string(parameter.least) + " and " +
             std::to_string(parameter.most) + " inclusive";
    }
    case Kind::kBytes:
      return RedisBytes(value) ? std::nullopt
                               : std::optional<std::string>("argument must be a memory value");
    case Kind::kYesNo:
      return IsChoice(value, "yes, no")
                 ? std::nullopt
                 : std::optional<std::string>("argument must be 'yes' or 'no'");
    case Kind::kChoice:
      if (IsChoice(value, parameter.choices)) return std::nullopt;
      return "argument(s) must be one of the following: " + std::string(parameter.choices);
  }
  return std::nullopt;
}

template <typename Parameter>
bool IsSame(const Parameter& parameter, std::string_view value) {
  if (parameter.kind == Parameter::Kind::kBytes) {
    return RedisBytes(parameter.value) == RedisBytes(value);
  }
  const bool word =
      parameter.kind == Parameter::Kind::kYesNo || parameter.kind == Parameter::Kind::kChoice;
  return word ? IsWord(value, ToUpper(parameter.value)) : parameter.value == value;
}

bool IsLogLevel(std::string_view name) { return name == "log-level" || name == "loglevel"; }

}  // namespace

// All is looked at before anything is set.
Status NodeAdmin::ConfigSet(const Changes& changes) {
  const std::vector<Parameter> parameters = Parameters();
  std::vector<const Parameter*> known;
  for (const auto& [name, value] : changes) {
    const auto found = std::find_if(
        parameters.begin(), parameters.end(),
        [&name](const Parameter& parameter) { return parameter.name == ToLower(name); });
    if (found == parameters.end()) {
      return Fail(
          ErrorCode::kInvalidArgument,
          "Unknown option or number of arguments for CONFIG SET - '" + std::string(name) + "'");
    }
    if (found->kind == Parameter::Kind::kImmutable) {
      return tl::unexpected(SetFailed(name, "can't set immutable config"));
    }
    if (std::find(known.begin(), known.end(), &*found) != known.end()) {
      return tl::unexpected(SetFailed(name, "duplicate parameter"));
    }
    known.push_back(&*found);
  }
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [name, value] = changes[i];
    if (const auto mistake = Mistake(*known[i], value)) {
      return tl::unexpected(SetFailed(name, *mistake));
    }
    if (!IsLogLevel(known[i]->name) && !IsSame(*known[i], value)) {
      return tl::unexpected(
          SetFailed(name, "it cannot change while the node runs: restart it with the new value"));
    }
  }
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (IsLogLevel(known[i]->name)) spdlog::set_level(LogLevelOf(changes[i].second));
  }
  return {};
}

}  // namespace gyre
