#include "command/admin_commands.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "command/arguments.h"
#include "command/introspection.h"
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
Admin::Fields KeyspaceFields(const ShardStats& stats, UnixMillis now) {
  if (stats.records == 0) return {};
  std::int64_t ttl_ms = 0;
  if (stats.expiring > 0) {
    const auto mean_ms = static_cast<std::int64_t>(stats.expiry_seconds / stats.expiring) * 1000;
    ttl_ms = std::max<std::int64_t>(mean_ms - now, 0);
  }
  return {{"db0", "keys=" + std::to_string(stats.records) + ",expires=" +
                      std::to_string(stats.expiring) + ",avg_ttl=" + std::to_string(ttl_ms)}};
}

Admin::Fields FieldsOf(PlainCall& call, const Section& section) {
  const bool cluster = call.session.cluster_port;
  if (section.name == "cluster") return {{"cluster_enabled", cluster ? "1" : "0"}};
  if (section.name == "keyspace") {
    return KeyspaceFields(call.services().engine.stats(), call.router.now());
  }
  Admin::Fields fields = call.services().admin.Info(section.name);
  if (section.name == "server") {
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
  std::string text;
  for (const Section& section : kSections) {
    if (!IsWanted(call, section)) continue;
    if (!text.empty()) text += "\r\n";
    text += "# ";
    text += section.title;
    text += "\r\n";
    for (const auto& [name, value] : FieldsOf(call, section)) {
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
  Admin::Fields all;
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    for (auto& field : call.services().admin.ConfigGet(call.arg(i))) {
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
  Admin::Changes changes;
  for (std::size_t i = 2; i < call.argument_count(); i += 2) {
    changes.emplace_back(call.arg(i), call.arg(i + 1));
  }
  const Status set = call.services().admin.ConfigSet(changes);
  if (!set) return call.Fail(set.error());
  call.reply().Word(Outcome::kOk);
}

void ConfigResetStat(PlainCall& call) {
  call.services().admin.ResetStats();
  call.reply().Word(Outcome::kOk);
}

void ConfigRewrite(PlainCall& call) {
  call.Fail(ErrorCode::kNotAllowed,
            "The server is running without a config file that it may write: change the options of "
            "gyred");
}

void Config(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"GET", -3, ConfigGet, "<pattern>...", "The parameters whose names match, and their values."},
      {"SET", -4, ConfigSet, "<name> <value>...", "Sets parameters: all of them or none."},
      {"RESETSTAT", 2, ConfigResetStat, "", "Lets the counters of INFO begin from 0."},
      {"REWRITE", 2, ConfigRewrite, "", "Refused: gyred does not write its options file."},
  };
  RunSubcommand(call, kSubcommands);
}

// ---- The node -----------------------------------------------------------------------------------

// Seconds and microseconds.
void Time(PlainCall& call) {
  const UnixMillis now = call.router.now();
  call.reply().BeginList(ListShape::kArray, 2);
  call.reply().Bulk(std::to_string(now / 1000));
  call.reply().Bulk(std::to_string(now % 1000 * 1000));
  call.reply().EndList();
}

void StatusOfNode(PlainCall& call) { call.reply().Bulk(call.services().admin.StatusJson()); }

// By name, UUID, or the id that CLUSTER NODES prints.
std::optional<NodeId> FindNode(PlainCall& call, std::string_view wanted) {
  if (const ClusterView* view = call.router.view()) {
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

Admin::Done AnswerLater(PlainCall& call) {
  return [pending = call.responder.Defer()](const Status& status) mutable {
    if (!status) return pending.FinishWithError(status.error());
    pending.writer().Word(Outcome::kOk);
    pending.Finish();
  };
}

void Drain(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().admin.Drain(*node, AnswerLater(call));
  }
}

void Undrain(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().admin.Undrain(*node, AnswerLater(call));
  }
}

void Remove(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().admin.Remove(*node, AnswerLater(call));
  }
}

void RestartCheck(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.reply().Bulk(call.services().admin.RestartCheckJson(*node));
  }
}

void RebalanceStatus(PlainCall& call) {
  call.services().admin.RebalanceJson(
      [pending = call.responder.Defer()](const std::string& json) mutable {
        pending.FinishWith([&json](ReplyWriter& reply) { reply.Bulk(json); });
      });
}

void RebalancePause(PlainCall& call) {
  call.services().admin.SetRebalance({.paused = true, .bytes_per_second = {}}, AnswerLater(call));
}

void RebalanceResume(PlainCall& call) {
  call.services().admin.SetRebalance({.paused = false, .bytes_per_second = {}}, AnswerLater(call));
}

void RebalanceLimit(PlainCall& call) {
  if (IsWord(call.arg(2), "DEFAULT")) {
    return call.services().admin.SetRebalance(
        {.paused = {}, .bytes_per_second = {}, .own_limits = true}, AnswerLater(call));
  }
  const std::optional<std::uint64_t> bytes = ParseUnsigned(call.arg(2));
  if (!bytes) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "the limit is a number of bytes a second; 0 for none, default for each "
                     "node's own --rebalance-limit");
  }
  call.services().admin.SetRebalance({.paused = {}, .bytes_per_second = *bytes}, AnswerLater(call));
}

void Rebalance(PlainCall& call) {
  if (call.argument_count() == 1) return RebalanceStatus(call);
  static constexpr Subcommand kSubcommands[] = {
      {"STATUS", 2, RebalanceStatus, "", "How far all nodes are, in JSON."},
      {"PAUSE", 2, RebalancePause, "", "Stops moving data."},
      {"RESUME", 2, RebalanceResume, "", "Goes on moving data."},
      {"LIMIT", 3, RebalanceLimit, "<bytes a second>|DEFAULT", "How fast data moves."},
  };
  RunSubcommand(call, kSubcommands);
}

constexpr std::uint32_t kOperator = kAdministrative | kStale;
constexpr std::string_view kGroup = "server";

// clang-format off
constexpr Command kCommands[] = {
    {"info", -1, kStale, kNoKey, kGroup, "1.0.0", "Returns figures of this node.", nullptr, Info},
    {"config", -2, kOperator, kNoKey, kGroup, "2.0.0", "CONFIG GET, SET, RESETSTAT.", nullptr, Config},
    {"command", -1, kStale, kNoKey, kGroup, "2.8.13", "Describes the commands.", nullptr, DescribeCommands},
    {"time", 1, kFast | kStale, kNoKey, kGroup, "2.6.0", "Returns the node's time.", nullptr, Time},
    {"wait", 3, 0, kNoKey, "generic", "3.0.0", "Waits until other nodes have this connection's writes.", nullptr, WaitForCopies},
    {"gyre.wait", 3, kHidden | kInternal, kNoKey, "gyre", "gyre", "WAIT for what a peer forwarded.", nullptr, WaitForCopiesOfPeer},
    {"status", 1, kStale, kNoKey, "gyre", "gyre", "Returns the cluster as this node sees it, in JSON.", nullptr, StatusOfNode},
    {"drain", 2, kOperator | kNativeOnly, kNoKey, "gyre", "gyre", "Empties a node and takes it from the ring.", nullptr, Drain},
    {"undrain", 2, kOperator | kNativeOnly, kNoKey, "gyre", "gyre", "Lets a drained node take its place on the ring again.", nullptr, Undrain},
    {"remove", 2, kOperator | kNativeOnly, kNoKey, "gyre", "gyre", "Takes a dead node from the ring.", nullptr, Remove},
    {"restartcheck", 2, kOperator | kNativeOnly, kNoKey, "gyre", "gyre", "Says whether a node may be restarted now, in JSON.", nullptr, RestartCheck},
    {"rebalance", -1, kOperator | kNativeOnly, kNoKey, "gyre", "gyre", "REBALANCE [STATUS], PAUSE, RESUME, LIMIT bytes-a-second|DEFAULT.", nullptr, Rebalance},
};
// clang-format on

}  // namespace
}  // namespace admin_commands

std::span<const Command> AdminCommands() { return admin_commands::kCommands; }

}  // namespace gyre
