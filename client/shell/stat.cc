#include "client/shell/stat.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include "client/shell/interrupt.h"
#include "client/shell/json_fields.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

// The header comes back before it has left the screen.
constexpr std::uint64_t kLinesOfHeader = 20;

std::optional<std::uint64_t> CountKeysOfRing(const ShellContext& shell) {
  const Result<Value> size = shell.client.Execute({"DBSIZE"}, shell.call);
  if (!size) return std::nullopt;
  if (size->kind == Value::Kind::kUnsigned) return size->unsigned_integer;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(size->integer, 0));
}

std::string Row(const char* keys, const char* memory, const char* clients, const char* ops,
                const char* hits, const char* evicted, const char* errors, const char* nodes) {
  char text[160];
  std::snprintf(text, sizeof text, "%8s  %18s  %7s  %7s  %6s  %7s  %6s  %s\n", keys, memory,
                clients, ops, hits, evicted, errors, nodes);
  return text;
}

bool SleepUntil(std::chrono::steady_clock::time_point due) {
  constexpr std::chrono::milliseconds kLook{20};
  while (std::chrono::steady_clock::now() < due) {
    if (Interrupted()) return false;
    std::this_thread::sleep_until(std::min(due, std::chrono::steady_clock::now() + kLook));
  }
  return !Interrupted();
}

}  // namespace

Json StatJson(const TopSample& before, const TopSample& now, std::optional<std::uint64_t> keys) {
  const Json top = TopJson(before, now);
  double used = 0;
  double limit = 0;
  double clients = 0;
  std::uint64_t answered = 0;
  for (const NodeStatus& node : now.status.nodes) {
    used += node.memory_used.value_or(0);
    limit += node.memory_limit.value_or(0);
    clients += node.connections.value_or(0);
    answered += node.answered ? 1 : 0;
  }
  return {{"keys", keys ? Json(*keys) : Json()},
          {"memory_used_bytes", used},
          {"memory_limit_bytes", limit},
          {"clients", clients},
          {"ops_per_second", top.value("ops_per_second", 0.0)},
          {"hit_ratio", top.value("hit_ratio", Json())},
          {"evicted_per_second", top.value("evicted_per_second", 0.0)},
          {"errors_per_second", top.value("errors_per_second", 0.0)},
          {"nodes_answered", answered},
          {"nodes", now.status.nodes.size()}};
}

std::string StatHeader() {
  return Row("KEYS", "MEMORY", "CLIENTS", "OPS/s", "HIT", "EVICT/s", "ERR/s", "NODES");
}

std::string StatLine(const Json& stat) {
  const auto rate = [&stat](const char* name) {
    return HumanCount(std::round(NumberAt(stat, name)));
  };
  const auto known = [&stat](const char* name) {
    return stat.contains(name) && !stat[name].is_null();
  };
  const std::string hits = known("hit_ratio") ? HumanPercent(NumberAt(stat, "hit_ratio")) : "-";
  const std::string memory = HumanBytes(NumberAt(stat, "memory_used_bytes")) + "/" +
                             HumanBytes(NumberAt(stat, "memory_limit_bytes"));
  return Row(known("keys") ? HumanCount(NumberAt(stat, "keys")).c_str() : "-", memory.c_str(),
             rate("clients").c_str(), rate("ops_per_second").c_str(), hits.c_str(),
             rate("evicted_per_second").c_str(), rate("errors_per_second").c_str(),
             (rate("nodes_answered") + "/" + rate("nodes")).c_str());
}

int Stat(const ShellContext& shell, const StatArguments& arguments) {
  Result<TopSample> before = TakeTopSample(shell);
  if (!before) return shell.Report(before.error());
  const auto interval = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(arguments.interval));
  auto due = std::chrono::steady_clock::now();
  int status = kExitDone;
  for (std::uint64_t line = 0; arguments.count == 0 || line < arguments.count; ++line) {
    due = std::max(due + interval, std::chrono::steady_clock::now());
    if (!SleepUntil(due)) break;
    Result<TopSample> now = TakeTopSample(shell);
    if (!now) {
      // A node that is restarted is no reason to stop watching.
      status = shell.Report(now.error());
      continue;
    }
    const Json stat = StatJson(*before, *now, CountKeysOfRing(shell));
    if (shell.json) {
      shell.PrintJson(stat);
    } else {
      if (line % kLinesOfHeader == 0 && (line == 0 || shell.terminal)) shell.out << StatHeader();
      shell.out << StatLine(stat);
    }
    shell.out.flush();
    status = kExitDone;
    *before = std::move(*now);
  }
  return status;
}

}  // namespace gyre::client
