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
namespace {

// ---- INFO ---------------------------------------------------------------------------------------

struct Section {
  std::string_view name;
  std::string_view title;
  bool by_default;
};
constexpr Section kSections[] = {
    {"server", "Server", true},
    {"clients", "Clients", true},
    {"memory", "Memory", true},
    {"stats", "Stats", true},
    {"replication", "Replication", true},
    {"cpu", "CPU", true},
    {"commandstats", "Commandstats", false},
    {"cluster", "Cluster", true},
    {"keyspace", "Keyspace", true},
};

Admin::Fields FieldsOf(PlainCall& call, const Section& section) {
  const bool cluster = call.session.cluster_port;
  if (section.name == "cluster") return {{"cluster_enabled", cluster ? "1" : "0"}};
  if (section.name == "keyspace") {
    // This node's records, replicas included. How many have an expiry is not counted.
    const std::uint64_t records = call.services().engine.stats().records;
    if (records == 0) return {};
    return {{"db0", "keys=" + std::to_string(records) + ",expires=0,avg_ttl=0"}};
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
  call.reply().Bulk(text);
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
  for (std::size_t i = 2; i < call.argument_count(); i += 2) {
    const Status set = call.services().admin.ConfigSet(call.arg(i), call.arg(i + 1));
    if (!set) return call.Fail(set.error());
  }
  call.reply().Word(Outcome::kOk);
}

void ConfigResetStat(PlainCall& call) {
  call.services().admin.ResetStats();
  call.reply().Word(Outcome::kOk);
}

void Config(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"GET", -3, ConfigGet}, {"SET", -4, ConfigSet}, {"RESETSTAT", 2, ConfigResetStat}};
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

void Remove(PlainCall& call) {
  if (const auto node = FindNode(call, call.arg(1))) {
    call.services().admin.Remove(*node, AnswerLater(call));
  }
}

void RebalanceStatus(PlainCall& call) {
  call.services().admin.RebalanceJson(
      [pending = call.responder.Defer()](const std::string& json) mutable {
        pending.writer().Bulk(json);
        pending.Finish();
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
  static constexpr Subcommand kSubcommands[] = {{"STATUS", 2, RebalanceStatus},
                                                {"PAUSE", 2, RebalancePause},
                                                {"RESUME", 2, RebalanceResume},
                                                {"LIMIT", 3, RebalanceLimit}};
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
    {"drain", 2, kOperator, kNoKey, "gyre", "gyre", "Empties a node and takes it from the ring.", nullptr, Drain},
    {"remove", 2, kOperator, kNoKey, "gyre", "gyre", "Takes a dead node from the ring.", nullptr, Remove},
    {"rebalance", -1, kOperator, kNoKey, "gyre", "gyre", "REBALANCE [STATUS], PAUSE, RESUME, LIMIT bytes-a-second|DEFAULT.", nullptr, Rebalance},
};
// clang-format on

}  // namespace

std::span<const Command> AdminCommands() { return kCommands; }

}  // namespace gyre
