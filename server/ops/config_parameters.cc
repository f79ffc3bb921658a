#include "ops/config_parameters.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "command/arguments.h"
#include "command/glob.h"
#include "net/server.h"
#include "ops/config_options.h"
#include "ops/rebalance_report.h"

namespace gyre {
namespace {

constexpr std::string_view kNeedsRestart =
    "it cannot change while the node runs: restart it with the new value";

constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLongMax = std::numeric_limits<std::int64_t>::max();

// What Redis has, and a node has but one value of.
struct Constant {
  RedisParameter parameter;
  std::string_view value;
};
constexpr Constant kConstants[] = {
    {{.name = "tls-port", .kind = RedisKind::kInteger, .most = 65535}, "0"},
    {{.name = "unixsocket", .kind = RedisKind::kImmutable}, ""},
    {{.name = "logfile", .kind = RedisKind::kImmutable}, ""},
    {{.name = "daemonize", .kind = RedisKind::kImmutable}, "no"},
    {{.name = "databases", .kind = RedisKind::kImmutable}, "1"},
    {{.name = "maxmemory-policy",
      .kind = RedisKind::kChoice,
      .choices = "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, "
                 "allkeys-lfu, allkeys-random, noeviction"},
     "allkeys-lfu"},
    {{.name = "tcp-keepalive", .kind = RedisKind::kInteger, .most = kIntMax}, "60"},
    {{.name = "requirepass"}, ""},
    {{.name = "masterauth"}, ""},
    {{.name = "save"}, ""},
    {{.name = "appendonly", .kind = RedisKind::kYesNo}, "no"},
    // Off, as these values say.
    {{.name = "slowlog-log-slower-than",
      .kind = RedisKind::kInteger,
      .least = -1,
      .most = kLongMax},
     "-1"},
    {{.name = "slowlog-max-len", .kind = RedisKind::kInteger, .most = kLongMax}, "0"},
    {{.name = "latency-monitor-threshold", .kind = RedisKind::kInteger, .most = kLongMax}, "0"},
    {{.name = "notify-keyspace-events"}, ""},
};

static_assert(kKeepaliveSeconds == 60, "as tcp-keepalive says");

// A name that CONFIG knows, and its value now.
struct Parameter {
  std::string_view name;
  std::string value;
  const Option* option = nullptr;         // null: a constant
  const RedisParameter* redis = nullptr;  // null: the option by its own name
};

// Flags are worded as Redis words its own.
std::string Shown(const Option& option, const Config& config) {
  std::string text = option.access.show(config);
  if (option.kind != OptionKind::kFlag) return text;
  return text == "true" ? "yes" : "no";
}

std::vector<Parameter> ParametersOf(const Config& config) {
  std::vector<Parameter> all;
  for (const Option& option : ConfigOptions()) {
    all.push_back({option.parameter(), Shown(option, config), &option, nullptr});
  }
  for (const Option& option : ConfigOptions()) {
    const RedisParameter& redis = option.config.redis;
    if (redis.name == nullptr) continue;
    all.push_back(
        {redis.name, redis.show ? redis.show(config) : Shown(option, config), &option, &redis});
  }
  for (const Constant& constant : kConstants) {
    all.push_back(
        {constant.parameter.name, std::string(constant.value), nullptr, &constant.parameter});
  }
  return all;
}

bool IsChoice(std::string_view value, std::string_view choices) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(", "), choices.size());
    if (IsWord(choices.substr(0, end), ToUpper(value))) return true;
    choices.remove_prefix(std::min(end + 2, choices.size()));
  }
  return false;
}

// 1024 and 1kb, as Redis reads them.
std::optional<std::size_t> RedisBytes(std::string_view text) {
  const Result<std::size_t> bytes = ParseBytes(std::string(text));
  return bytes ? std::optional<std::size_t>(*bytes) : std::nullopt;
}

// Whether the text is one of those that a parameter of Redis may have; else the reason.
std::optional<std::string> Mistake(const RedisParameter& parameter, std::string_view value) {
  switch (parameter.kind) {
    case RedisKind::kText:
    case RedisKind::kImmutable:
      return std::nullopt;
    case RedisKind::kInteger: {
      const std::optional<std::int64_t> number = ParseInteger(value);
      if (!number) return "argument couldn't be parsed into an integer";
      if (*number >= parameter.least && *number <= parameter.most) return std::nullopt;
      return "argument must be between " + std::to_string(parameter.least) + " and " +
             std::to_string(parameter.most) + " inclusive";
    }
    case RedisKind::kBytes:
      if (RedisBytes(value)) return std::nullopt;
      return "argument must be a memory value";
    case RedisKind::kYesNo:
      if (IsChoice(value, "yes, no")) return std::nullopt;
      return "argument must be 'yes' or 'no'";
    case RedisKind::kChoice:
      if (IsChoice(value, parameter.choices)) return std::nullopt;
      return "argument(s) must be one of the following: " + std::string(parameter.choices);
  }
  return std::nullopt;
}

bool IsSame(RedisKind kind, std::string_view now, std::string_view value) {
  if (kind == RedisKind::kBytes) return RedisBytes(now) == RedisBytes(value);
  const bool word = kind == RedisKind::kYesNo || kind == RedisKind::kChoice;
  return word ? IsWord(value, ToUpper(now)) : now == value;
}

// What a new value of a parameter comes to.
struct Change {
  const Option* option = nullptr;  // null: nothing changes
  std::string text;                // of the option
};

std::string YesNo(const Option& option, std::string_view value) {
  if (option.kind == OptionKind::kFlag && IsWord(value, "YES")) return "true";
  if (option.kind == OptionKind::kFlag && IsWord(value, "NO")) return "false";
  return std::string(value);
}

// An option by its own name is read as on the command line.
Result<Change> ChangeOption(const Option& option, std::string_view now, std::string_view value) {
  if (value == now) return Change{};
  std::string text = YesNo(option, value);
  Config read;
  if (Status good = option.access.store(text, read); !good) return tl::unexpected(good.error());
  if (Shown(option, read) == now) return Change{};
  return Change{&option, std::move(text)};
}

// What the option's own text is for a new value of the parameter, whatever it is now.
Result<std::string> TextFor(const Parameter& parameter, std::string_view value) {
  const RedisParameter* const redis = parameter.redis;
  if (redis != nullptr) {
    if (std::optional<std::string> mistake = Mistake(*redis, value)) {
      return Fail(ErrorCode::kInvalidArgument, std::move(*mistake));
    }
  }
  if (parameter.option == nullptr || parameter.option->config.apply == nullptr) {
    return Fail(ErrorCode::kInvalidArgument, std::string(kNeedsRestart));
  }
  const Option& option = *parameter.option;
  Config read;
  const std::string text =
      redis != nullptr && redis->read ? redis->read(value) : YesNo(option, value);
  if (Status good = option.access.store(text, read); !good) return tl::unexpected(good.error());
  return option.access.show(read);
}

Result<Change> ChangeOf(const Parameter& parameter, std::string_view value) {
  if (parameter.redis == nullptr) return ChangeOption(*parameter.option, parameter.value, value);
  if (std::optional<std::string> mistake = Mistake(*parameter.redis, value)) {
    return Fail(ErrorCode::kInvalidArgument, std::move(*mistake));
  }
  // Where Redis has fewer words than we have values, the same word may be another value.
  const bool changes = parameter.option != nullptr && parameter.option->config.apply != nullptr;
  if (!changes && IsSame(parameter.redis->kind, parameter.value, value)) return Change{};
  Result<std::string> text = TextFor(parameter, value);
  if (!text) return tl::unexpected(text.error());
  return Change{parameter.option, std::move(*text)};
}

Error SetFailed(std::string_view name, const std::string& reason) {
  return {ErrorCode::kInvalidArgument, "CONFIG SET failed (possibly related to argument '" +
                                           std::string(name) + "') - " + reason};
}

Error RingRefused(std::string_view name, const std::string& reason) {
  return {ErrorCode::kInvalidArgument,
          "'" + std::string(name) + "' cannot be set for the ring: " + reason};
}

Error UnknownOption(std::string_view command, std::string_view name) {
  return {ErrorCode::kInvalidArgument, "Unknown option or number of arguments for " +
                                           std::string(command) + " - '" + std::string(name) + "'"};
}

std::string SettingOf(const Option& option) {
  return std::string(kConfigPrefix) + std::string(option.name);
}

const Option* OptionOf(std::string_view name) {
  const auto& options = ConfigOptions();
  const auto found = std::find_if(options.begin(), options.end(),
                                  [name](const Option& option) { return name == option.name; });
  return found == options.end() ? nullptr : &*found;
}

// Why it has no effect here; empty: it may have one.
std::string TroubleOf(const Option* option, const std::string& text) {
  if (option == nullptr) return "this release has no such option";
  if (option->config.apply == nullptr) return std::string(kNeedsRestart);
  Config read;
  const Status good = option->access.store(text, read);
  return good ? "" : good.error().message;
}

std::string_view NameOf(ConfigSource source) {
  switch (source) {
    case ConfigSource::kDefault:
      return "default";
    case ConfigSource::kFile:
      return "file";
    case ConfigSource::kEnvironment:
      return "environment";
    case ConfigSource::kFlag:
      return "flag";
    case ConfigSource::kRing:
      return "ring";
    case ConfigSource::kSet:
      return "set";
  }
  return "default";
}

const Parameter* Find(const std::vector<Parameter>& parameters, std::string_view name) {
  const auto one = std::find_if(
      parameters.begin(), parameters.end(),
      [lower = ToLower(name)](const Parameter& parameter) { return parameter.name == lower; });
  return one == parameters.end() ? nullptr : &*one;
}

// The parameters that the names mean, none twice.
Result<std::vector<const Parameter*>> FindAll(const std::vector<Parameter>& parameters,
                                              const NodeSettings::Changes& changes) {
  std::vector<const Parameter*> found;
  for (const auto& [name, value] : changes) {
    const Parameter* const one = Find(parameters, name);
    if (one == nullptr) return tl::unexpected(UnknownOption("CONFIG SET", name));
    if (one->redis != nullptr && one->redis->kind == RedisKind::kImmutable) {
      return tl::unexpected(SetFailed(name, "can't set immutable config"));
    }
    if (std::find(found.begin(), found.end(), one) != found.end()) {
      return tl::unexpected(SetFailed(name, "duplicate parameter"));
    }
    found.push_back(one);
  }
  return found;
}

}  // namespace

Fields ConfigParameters::ConfigGet(std::string_view pattern) {
  Fields matching;
  const std::string wanted = ToLower(pattern);
  const Result<Glob> glob = Glob::Parse(wanted);
  if (!glob) return matching;  // longer than any name
  MutexLock lock(mutex_);
  for (Parameter& parameter : ParametersOf(config_)) {
    if (!glob->Matches(parameter.name)) continue;
    // What was asked for by its name is answered by it, in whatever case.
    const std::string_view name = parameter.name == wanted ? pattern : parameter.name;
    matching.emplace_back(name, std::move(parameter.value));
  }
  return matching;
}

// All is looked at before anything is set.
Status ConfigParameters::ConfigSet(const Changes& changes) {
  MutexLock lock(mutex_);
  const std::vector<Parameter> parameters = ParametersOf(config_);
  const Result<std::vector<const Parameter*>> found = FindAll(parameters, changes);
  if (!found) return tl::unexpected(found.error());
  std::vector<Change> wanted;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [name, value] = changes[i];
    Result<Change> change = ChangeOf(*(*found)[i], value);
    if (!change) return tl::unexpected(SetFailed(name, change.error().message));
    if (change->option == nullptr) continue;
    if (change->option->config.apply == nullptr) {
      return tl::unexpected(SetFailed(name, std::string(kNeedsRestart)));
    }
    wanted.push_back(std::move(*change));
  }
  for (Change& change : wanted) set_[change.option] = std::move(change.text);
  Settle();
  return {};
}

Status ConfigParameters::ConfigUnset(std::span<const std::string_view> names) {
  MutexLock lock(mutex_);
  const std::vector<Parameter> parameters = ParametersOf(config_);
  std::vector<const Option*> options;
  for (const std::string_view name : names) {
    const Parameter* const parameter = Find(parameters, name);
    if (parameter == nullptr) return tl::unexpected(UnknownOption("CONFIG UNSET", name));
    if (!set_.contains(parameter->option)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + std::string(name) + "' was not changed by CONFIG SET at this node");
    }
    options.push_back(parameter->option);
  }
  for (const Option* option : options) set_.erase(option);
  Settle();
  return {};
}

// ---- The ring's ---------------------------------------------------------------------------------

Result<std::vector<SettingChange>> ConfigParameters::RingConfigSet(const Changes& changes) {
  std::vector<SettingChange> all;
  const std::vector<Parameter> parameters = ParametersOf(Now());
  for (const auto& [name, value] : changes) {
    const Parameter* const parameter = Find(parameters, name);
    if (parameter == nullptr) {
      return tl::unexpected(RingRefused(name, "there is no such option: see gyre config get '*'"));
    }
    Result<std::string> text = TextFor(*parameter, value);
    if (!text) return tl::unexpected(RingRefused(name, text.error().message));
    all.push_back({SettingOf(*parameter->option), std::move(*text)});
  }
  return all;
}

// What no release here knows may be unset, too.
Result<std::vector<SettingChange>> ConfigParameters::RingConfigUnset(
    std::span<const std::string_view> names) {
  std::vector<SettingChange> all;
  MutexLock lock(mutex_);
  const std::vector<Parameter> parameters = ParametersOf(config_);
  for (const std::string_view name : names) {
    const Parameter* const parameter = Find(parameters, name);
    const bool known = parameter != nullptr && parameter->option != nullptr;
    const std::string option = known ? parameter->option->name : ToLower(name);
    if (!ring_.contains(option)) {
      return Fail(
          ErrorCode::kInvalidArgument,
          "'" + std::string(name) + "' is not set for the ring: see gyre config get --ring");
    }
    all.push_back({std::string(kConfigPrefix) + option, std::nullopt});
  }
  return all;
}

void ConfigParameters::TakeRing(const SettingsMap& settings) {
  std::map<std::string, RingValue> ring;
  for (auto it = settings.registers().lower_bound(kConfigPrefix);
       it != settings.registers().end() && it->first.starts_with(kConfigPrefix); ++it) {
    const Setting& setting = it->second;
    if (!setting.value) continue;
    const std::string name = it->first.substr(kConfigPrefix.size());
    const Option* const option = OptionOf(name);
    ring[name] = {*setting.value, setting.stamp, option, TroubleOf(option, *setting.value)};
  }
  MutexLock lock(mutex_);
  ring_digest_ = settings.digest();
  for (const auto& [name, value] : ring) {
    const auto known = ring_.find(name);
    if (value.trouble.empty() || (known != ring_.end() && known->second == value)) continue;
    LogWarn("a setting of the ring has no effect at this node",
            {{"parameter", name}, {"value", value.text}, {"error", value.trouble}});
  }
  ring_ = std::move(ring);
  Settle();
}

void ConfigParameters::Settle() {
  Config next = base_;
  for (const auto& [name, value] : ring_) {
    if (value.trouble.empty()) (void)value.option->access.store(value.text, next);  // it was read
  }
  for (const auto& [option, text] : set_) (void)option->access.store(text, next);
  const Config before = std::exchange(config_, std::move(next));
  bool changed = false;
  for (const Option& option : ConfigOptions()) {
    const std::string value = option.access.show(config_);
    if (option.config.apply == nullptr || option.access.show(before) == value) continue;
    changed = true;
    const std::string_view source = NameOf(SourceOf(option));
    const auto log = [&] {
      LogInfo("parameter changed",
              {{"parameter", option.name}, {"value", value}, {"source", source}});
    };
    // It may be the log's level.
    const bool logged = IsLogged(LogLevel::kInfo);
    if (logged) log();
    option.config.apply(config_);
    if (!logged) log();
  }
  if (changed && on_change) on_change(config_);
}

ConfigSource ConfigParameters::SourceOf(const Option& option) const {
  if (set_.contains(&option)) return ConfigSource::kSet;
  const auto ring = ring_.find(option.name);
  if (ring != ring_.end() && ring->second.trouble.empty()) return ConfigSource::kRing;
  const auto said = sources_.find(option.name);
  return said == sources_.end() ? ConfigSource::kDefault : said->second;
}

Config ConfigParameters::Now() const {
  MutexLock lock(mutex_);
  return config_;
}

RingParameterFigures ConfigParameters::ring_figures() const {
  MutexLock lock(mutex_);
  RingParameterFigures figures;
  for (const auto& [name, value] : ring_) {
    if (!value.trouble.empty()) {
      ++figures.refused;
    } else if (set_.contains(value.option)) {
      ++figures.overridden;
    }
  }
  return figures;
}

std::string ConfigParameters::RingConfigJson(std::string_view pattern) {
  using Json = nlohmann::ordered_json;
  const std::string wanted = ToLower(pattern);
  const Result<Glob> glob = Glob::Parse(wanted);
  Json list = Json::array();
  MutexLock lock(mutex_);
  for (const auto& [name, value] : ring_) {
    if (!glob || !glob->Matches(name)) continue;
    Json one = {{"name", name},
                {"value", value.text},
                {"set_by", value.stamp.by.ToString()},
                {"set_at_ms", value.stamp.ms},
                {"set_count", value.stamp.count}};
    const bool overridden = set_.contains(value.option);
    one["standing"] = !value.trouble.empty() ? "refused" : overridden ? "overridden" : "applied";
    if (!value.trouble.empty()) one["reason"] = value.trouble;
    if (overridden) one["value_here"] = value.option->access.show(config_);
    list.push_back(std::move(one));
  }
  return JsonText({{"digest", DigestText(ring_digest_)}, {"parameters", std::move(list)}});
}

std::string ConfigParameters::ConfigSourcesJson(std::string_view pattern) {
  using Json = nlohmann::ordered_json;
  const std::string wanted = ToLower(pattern);
  const Result<Glob> glob = Glob::Parse(wanted);
  Json list = Json::array();
  MutexLock lock(mutex_);
  for (const Parameter& parameter : ParametersOf(config_)) {
    if (!glob || !glob->Matches(parameter.name)) continue;
    const Option* const option = parameter.option;
    list.push_back({{"name", parameter.name},
                    {"value", parameter.value},
                    {"source", option == nullptr ? "fixed" : NameOf(SourceOf(*option))},
                    {"changes_at_run_time", option != nullptr && option->config.apply != nullptr}});
  }
  return JsonText({{"parameters", std::move(list)}});
}

}  // namespace gyre
