#include "command/admin_commands.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/messages.h"
#include "command/subcommands.h"
#include "command/wait_command.h"

namespace gyre {
namespace admin_commands {
namespace {

// ---- INFO ---------------------------------------------------------------------------------------

struct Section {
  std::string_view name;
  std::string_view title;
  bool by_default;
};
constexpr Section kSections[] = {
    {"server", "Server", true},   {"clients", "Clients", true},
    {"memory", "Memory", true},   {"persistence", "Persistence", true},
    {"stats", "Stats", true},     {"replication", "Replication", true},
    {"cpu", "CPU", true},         {"commandstats", "Commandstats", false},
    {"cluster", "Cluster", true}, {"keyspace", "Keyspace", true},
};

// This node's records, replicas included.
Fields KeyspaceFields(const ShardStats& stats, UnixMillis now) {
  if (stats.records == 0) return {};
  std::int64_t ttl_ms = 0;
  if (stats.expiring > 0) {
    const auto mean_ms = static_cast<std::int64_t>(stats.expiry_seconds / stats.expiring) * 1000;
    ttl_ms = std::max<std::int64_t>(mean_ms - now, 0);
  }
  return {{"db0", "keys=" + std::to_string(stats.records) + ",expires=" +
                      std::to_string(stats.expiring) + ",avg_ttl=" + std::to_string(ttl_ms)}};
}

// What the port that asks changes in a section.
Fields SeenFrom(PlainCall& call, std::string_view section, Fields fields) {
  const bool cluster = call.session.cluster_port;
  if (section == "cluster") return {{"cluster_enabled", cluster ? "1" : "0"}};
  if (section == "keyspace") {
    return KeyspaceFields(call.services().engine.stats(), call.context().now());
  }
  if (section == "server") {
    std::erase_if(fields, [](const auto& field) { return field.first == "redis_mode"; });
    fields.emplace_back("redis_mode", cluster ? "cluster" : "standalone");
  }
  return fields;
}

bool IsWanted(const PlainCall& call, const Section& section) {
  if (call.argument_count() == 1) return section.by_default;
  for (std::size_t i = 1; i < call.argument_count(); ++i) {
    if (IsWord(call.arg(i), ToUpper(section.name))) return true;
    if (IsWord(call.arg(i), "ALL") || IsWord(call.arg(i), "EVERYTHING")) return true;
    if (IsWord(call.arg(i), "DEFAULT") && section.by_default) return true;
  }
  return false;
}

void Info(PlainCall& call) {
  std::vector<const Section*> wanted;
  std::vector<std::string_view> names;
  for (const Section& section : kSections) {
    if (!IsWanted(call, section)) continue;
    wanted.push_back(&section);
    names.push_back(section.name);
  }
  std::vector<Fields> all = call.services().report.Info(names);
  std::string text;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!text.empty()) text += "\r\n";
    text += "# ";
    text += wanted[i]->title;
    text += "\r\n";
    for (const auto& [name, value] : SeenFrom(call, names[i], std::move(all[i]))) {
      text += name;
      text += ":";
      text += value;
      text += "\r\n";
    }
  }
  call.reply().Verbatim(text);
}

// ---- CONFIG -------------------------------------------------------------------------------------

void ConfigGet(PlainCall& call) {
  Fields all;
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    for (auto& field : call.services().settings.ConfigGet(call.arg(i))) {
      const bool known = std::any_of(all.begin(), all.end(),
                                     [&](const auto& other) { return other.first == field.first; });
      if (!known) all.push_back(std::move(field));
    }
  }
  call.reply().BeginList(ListShape::kMap, all.size());
  for (const auto& [name, value] : all) {
    call.reply().Bulk(name);
    call.reply().Bulk(value);
  }
  call.reply().EndList();
}

void ConfigSet(PlainCall& call) {
  if (call.argument_count() % 2 != 0) return call.Fail(WrongArgumentCount("config|set"));
  NodeSettings::Changes changes;
  for (std::size_t i = 2; i < call.argument_count(); i += 2) {
    changes.emplace_back(call.arg(i), call.arg(i + 1));
  }
  const Status set = call.services().settings.ConfigSet(changes);
  if (!set) return call.Fail(set.error());
  call.reply().Word(Outcome::kOk);
}

// From the argument `first` on.
std::vector<std::string_view> ArgumentsFrom(const PlainCall& call, std::size_t first) {
  std::vector<std::string_view> words;
  for (std::size_t i = first; i < call.argument_count(); ++i) words.push_back(call.arg(i));
  return words;
}

void ConfigUnset(PlainCall& call) {
  const Status unset = call.services().settings.ConfigUnset(ArgumentsFrom(call, 2));
  if (!unset) return call.Fail(unset.error());
  call.reply().Word(Outcome::kOk);
}

void ConfigResetStat(PlainCall& call) {
  call.services().report.ResetStats();
  call.reply().Word(Outcome::kOk);
}

void ConfigRewrite(PlainCall& call) {
  call.Fail(ErrorCode::kNotAllowed,
            "The server is running without a config file that it may write: change the options of "
            "gyred");
}

// ---- The node -----------------------------------------------------------------------------------

// Seconds and microseconds.
void Time(PlainCall& call) {
  const UnixMillis now = call.context().now();
  call.reply().BeginList(ListShape::kArray, 2);
  call.reply().Bulk(std::to_string(now / 1000));
  call.reply().Bulk(std::to_string(now % 1000 * 1000));
  call.reply().EndList();
}

void StatusOfNode(PlainCall& call) { call.reply().Bulk(call.services().report.StatusJson()); }

// [key, calls a second, whether that is the whole key], the hottest first.
void HotKeysOfNode(PlainCall& call) {
  const std::vector<HotKey> keys = call.services().report.ReadHotKeys();
  call.reply().BeginList(ListShape::kArray, keys.size());
  for (const HotKey& one : keys) {
    call.reply().BeginList(ListShape::kArray, 3);
    call.reply().Bulk(one.key);
    call.reply().Integer(std::llround(one.per_second));
    call.reply().Integer(one.whole ? 1 : 0);
    call.reply().EndList();
  }
  call.reply().EndList();
}

// By name, UUID, or the id that CLUSTER NODES prints.
std::optional<NodeId> FindNode(PlainCall& call, std::string_view wanted) {
  if (const ClusterView* view = call.context().view()) {
    for (const MemberInfo& member : view->members) {
      if (member.name == wanted || member.id.ToString() == wanted ||
          member.id.ToRedisId() == wanted) {
        return member.id;
      }
    }
  }
  call.Fail(ErrorCode::kInvalidArgument, "no node has the name or id '" + std::string(wanted) +
                                             "'; see the nodes with: gyre status");
  return std::nullopt;
}

RingOperator::Done AnswerLater(PlainCall& call) {
  return [pending = call.responder.Defer()](const Status& status) mutable {
    if (!status) return pending.FinishWithError(status.error());
    pending.writer().Word(Outcome::kOk);
    pending.Finish();
  };
}

void Drain(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().ring.Drain(*node, AnswerLater(call));
  }
}

void Undrain(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().ring.Undrain(*node, AnswerLater(call));
  }
}

void Remove(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().ring.Remove(*node, AnswerLater(call));
  }
}

// ---- The ring's configuration -------------------------------------------------------------------

std::string_view PatternOf(const PlainCall& call) {
  return call.argument_count() > 2 ? call.arg(2) : std::string_view("*");
}

void RingConfigGet(PlainCall& call) {
  call.reply().Bulk(call.services().settings.RingConfigJson(PatternOf(call)));
}

void RingConfigSources(PlainCall& call) {
  call.reply().Bulk(call.services().settings.ConfigSourcesJson(PatternOf(call)));
}

// Answered with the names of the settings that changed.
void ChangeRing(PlainCall& call, Result<std::vector<SettingChange>> changes) {
  if (!changes) return call.Fail(changes.error());
  std::vector<std::string> names;
  for (const SettingChange& change : *changes) names.push_back(change.name);
  call.services().ring.ChangeSettings(
      std::move(*changes),
      [names = std::move(names), pending = call.responder.Defer()](const Status& status) mutable {
        if (!status) return pending.FinishWithError(status.error());
        pending.FinishWith([&names](ReplyWriter& reply) {
          reply.BeginList(ListShape::kArray, names.size());
          for (const std::string& name : names) reply.Bulk(name);
          reply.EndList();
        });
      });
}

void RingConfigSet(PlainCall& call) {
  if (call.argument_count() % 2 != 0) return call.Fail(WrongArgumentCount("ringconfig|set"));
  NodeSettings::Changes changes;
  for (std::size_t i = 2; i < call.argument_count(); i += 2) {
    changes.emplace_back(call.arg(i), call.arg(i + 1));
  }
  ChangeRing(call, call.services().settings.RingConfigSet(changes));
}

void RingConfigUnset(PlainCall& call) {
  ChangeRing(call, call.services().settings.RingConfigUnset(ArgumentsFrom(call, 2)));
}

void RestartCheck(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.reply().Bulk(call.services().report.RestartCheckJson(*node));
  }
}

void Advise(PlainCall& call) { call.reply().Bulk(call.services().report.AdviceJson()); }

void RebalanceStatus(PlainCall& call) {
  call.services().ring.RebalanceJson(
      [pending = call.responder.Defer()](const std::string& json) mutable {
        pending.FinishWith([&json](ReplyWriter& reply) { reply.Bulk(json); });
      });
}

void RebalancePause(PlainCall& call) {
  call.services().ring.SetRebalance({.paused = true, .bytes_per_second = {}}, AnswerLater(call));
}

void RebalanceResume(PlainCall& call) {
  call.services().ring.SetRebalance({.paused = false, .bytes_per_second = {}}, AnswerLater(call));
}

void RebalanceLimit(PlainCall& call) {
  if (IsWord(call.arg(2), "DEFAULT")) {
    return call.services().ring.SetRebalance(
        {.paused = {}, .bytes_per_second = {}, .own_limits = true}, AnswerLater(call));
  }
  const std::optional<std::uint64_t> bytes = ParseUnsigned(call.arg(2));
  if (!bytes) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "the limit is a number of bytes a second; 0 for none, default for each "
                     "node's own --rebalance-limit");
  }
  call.services().ring.SetRebalance({.paused = {}, .bytes_per_second = *bytes}, AnswerLater(call));
}

// Without an argument it is REBALANCE STATUS.
void Rebalance(PlainCall& call) {
  call.argument_count() == 1 ? RebalanceStatus(call) : RunSubcommand(call);
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("info", Info),
    Bind("config", RunSubcommand),
    Bind("config|get", ConfigGet),
    Bind("config|set", ConfigSet),
    Bind("config|unset", ConfigUnset),
    Bind("config|resetstat", ConfigResetStat),
    Bind("config|rewrite", ConfigRewrite),
    Bind("config|help", SayHelp),
    Bind("time", Time),
    Bind("wait", WaitForCopies),
    Bind("gyre.wait", WaitForCopiesOfPeer),
    Bind("status", StatusOfNode),
    Bind("drain", Drain),
    Bind("undrain", Undrain),
    Bind("remove", Remove),
    Bind("restartcheck", RestartCheck),
    Bind("advise", Advise),
    Bind("hotkeys", HotKeysOfNode),
    Bind("rebalance", Rebalance),
    Bind("rebalance|status", RebalanceStatus),
    Bind("rebalance|pause", RebalancePause),
    Bind("rebalance|resume", RebalanceResume),
    Bind("rebalance|limit", RebalanceLimit),
    Bind("rebalance|help", SayHelp),
    Bind("ringconfig", RunSubcommand),
    Bind("ringconfig|get", RingConfigGet),
    Bind("ringconfig|set", RingConfigSet),
    Bind("ringconfig|unset", RingConfigUnset),
    Bind("ringconfig|sources", RingConfigSources),
    Bind("ringconfig|help", SayHelp),
};
// clang-format on

}  // namespace
}  // namespace admin_commands

std::span<const Binding> AdminCommands() { return admin_commands::kBindings; }

}  // namespace gyre
