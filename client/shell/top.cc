#include "client/shell/top.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <utility>

#include "client/shell/cluster_picture.h"
#include "client/shell/interrupt.h"
#include "client/shell/json_fields.h"
#include "client/shell/live_screen.h"
#include "client/shell/rebalance.h"
#include "client/shell/table.h"
#include "client/shell/words.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

constexpr std::size_t kCommandsShown = 8;
constexpr std::size_t kMovesBarCells = 15;
constexpr std::size_t kHotKeysShown = 3;
constexpr std::size_t kHotKeyBytesShown = 16;
// A key that is asked for less often is not worth a line.
constexpr double kHotPerSecondMin = 100;

// "calls=5,usec=10,..." -> the number behind `name`.
double Field(std::string_view line, std::string_view name) {
  const std::string wanted = std::string(name) + "=";
  std::size_t at = line.find(wanted);
  while (at != std::string_view::npos && at != 0 && line[at - 1] != ',') {
    at = line.find(wanted, at + 1);
  }
  if (at == std::string_view::npos) return 0;
  return std::strtod(std::string(line.substr(at + wanted.size())).c_str(), nullptr);
}

// What happened between two samples; a node that was started again counts from nothing.
struct Difference {
  double seconds = 1;
  double hits = 0;
  double misses = 0;
  double evicted = 0;
  double expired = 0;
  std::map<std::string, NodeCounts::Calls> commands;

  double rate(double count) const { return count / seconds; }
  double calls() const {
    double sum = 0;
    for (const auto& [name, one] : commands) sum += one.calls;
    return sum;
  }
  double failed() const {
    double sum = 0;
    for (const auto& [name, one] : commands) sum += one.failed;
    return sum;
  }
};

const NodeCounts* CountsOf(const TopSample& sample, const std::string& id) {
  for (std::size_t i = 0; i < sample.status.nodes.size() && i < sample.counts.size(); ++i) {
    if (sample.status.nodes[i].id == id && sample.counts[i].answered) return &sample.counts[i];
  }
  return nullptr;
}

void Add(const NodeCounts& before, const NodeCounts& now, Difference& sum) {
  static const NodeCounts kNone;
  const NodeCounts& base = now.uptime_seconds < before.uptime_seconds ? kNone : before;
  const auto grown = [](double later, double earlier) { return std::max(later - earlier, 0.0); };
  sum.hits += grown(now.hits, base.hits);
  sum.misses += grown(now.misses, base.misses);
  sum.evicted += grown(now.evicted, base.evicted);
  sum.expired += grown(now.expired, base.expired);
  for (const auto& [name, calls] : now.commands) {
    const auto found = base.commands.find(name);
    const NodeCounts::Calls earlier =
        found == base.commands.end() ? NodeCounts::Calls{} : found->second;
    NodeCounts::Calls& total = sum.commands[name];
    total.calls += grown(calls.calls, earlier.calls);
    total.failed += grown(calls.failed, earlier.failed);
    total.seconds += grown(calls.seconds, earlier.seconds);
  }
}

// Of one node, or of all where `id` is empty.
Difference Compare(const TopSample& before, const TopSample& now, const std::string& id) {
  Difference sum;
  sum.seconds = std::max(std::chrono::duration<double>(now.at - before.at).count(), 0.001);
  for (std::size_t i = 0; i < now.status.nodes.size() && i < now.counts.size(); ++i) {
    const NodeStatus& node = now.status.nodes[i];
    const NodeCounts* const earlier = CountsOf(before, node.id);
    if ((!id.empty() && node.id != id) || !now.counts[i].answered || earlier == nullptr) continue;
    Add(*earlier, now.counts[i], sum);
  }
  return sum;
}

std::optional<double> HitRatio(const Difference& difference) {
  const double reads = difference.hits + difference.misses;
  if (reads == 0) return std::nullopt;
  return difference.hits / reads;
}

std::string PercentOrDash(const std::optional<double>& share) {
  return share ? HumanPercent(*share) : "-";
}

// The highest of the nodes: what the slowest of them gives.
std::optional<double> WorstLatency(const ClusterStatus& status, const std::string& id) {
  std::optional<double> worst;
  for (const NodeStatus& node : status.nodes) {
    if ((!id.empty() && node.id != id) || !node.latency_p99_seconds) continue;
    worst = std::max(worst.value_or(0), *node.latency_p99_seconds);
  }
  return worst;
}

std::vector<std::pair<std::string, NodeCounts::Calls>> Busiest(const Difference& difference) {
  std::vector<std::pair<std::string, NodeCounts::Calls>> commands(difference.commands.begin(),
                                                                  difference.commands.end());
  std::erase_if(commands, [](const auto& one) { return one.second.calls == 0; });
  std::stable_sort(commands.begin(), commands.end(),
                   [](const auto& a, const auto& b) { return a.second.calls > b.second.calls; });
  return commands;
}

std::string SortName(TopView::Sort sort) {
  switch (sort) {
    case TopView::Sort::kOps:
      return "ops";
    case TopView::Sort::kMemory:
      return "memory";
    case TopView::Sort::kName:
      return "name";
  }
  return {};
}

void DrawNodes(const TopSample& before, const TopSample& now, const TopView& view,
               std::string& frame) {
  struct Row {
    const NodeStatus* node;
    Difference difference;
  };
  std::vector<Row> rows;
  for (const NodeStatus& node : now.status.nodes) {
    rows.push_back({&node, Compare(before, now, node.id)});
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    switch (view.sort) {
      case TopView::Sort::kOps:
        return a.difference.calls() > b.difference.calls();
      case TopView::Sort::kMemory:
        return a.node->memory_used.value_or(0) > b.node->memory_used.value_or(0);
      case TopView::Sort::kName:
        return a.node->name < b.node->name;
    }
    return false;
  });
  TextTable table({"NODE", "STATE", "OPS/s", "HIT", "p99", "MEM", "EVICT/s", "ERR/s", "KEYS"});
  for (const Row& row : rows) {
    const NodeStatus& node = *row.node;
    const Difference& difference = row.difference;
    if (!node.answered) {
      table.AddRow({node.name, node.state, "-", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    const double limit = node.memory_limit.value_or(0);
    table.AddRow({node.name, node.drained ? "drained" : node.state,
                  HumanCount(std::round(difference.rate(difference.calls()))),
                  PercentOrDash(HitRatio(difference)),
                  node.latency_p99_seconds ? HumanLatency(*node.latency_p99_seconds) : "-",
                  limit > 0 ? HumanPercent(node.memory_used.value_or(0) / limit, 0) : "-",
                  HumanCount(std::round(difference.rate(difference.evicted))),
                  HumanCount(std::round(difference.rate(difference.failed()))),
                  HumanCount(node.records.value_or(0))});
  }
  std::ostringstream out;
  table.Print(out);
  frame += out.str();
}

void DrawCommands(const Difference& difference, std::string& frame) {
  const auto commands = Busiest(difference);
  if (commands.empty()) return;
  TextTable table({"COMMAND", "CALLS/s", "SHARE", "CPU EACH", "ERR/s"});
  const double all = difference.calls();
  for (std::size_t i = 0; i < std::min(commands.size(), kCommandsShown); ++i) {
    const auto& [name, calls] = commands[i];
    table.AddRow({name, HumanCount(std::round(difference.rate(calls.calls))),
                  HumanPercent(calls.calls / all), HumanLatency(calls.seconds / calls.calls),
                  HumanCount(std::round(difference.rate(calls.failed)))});
  }
  std::ostringstream out;
  table.Print(out);
  frame += "\n" + out.str();
}

void DrawHotKeys(const TopSample& now, std::string& frame) {
  std::string line;
  std::size_t shown = 0;
  for (const HotKey& hot : now.hot_keys) {
    if (hot.per_second < kHotPerSecondMin || shown++ == kHotKeysShown) break;
    std::string key = Readable(hot.key);
    if (key.size() > kHotKeyBytesShown) key = Quote(hot.key.substr(0, kHotKeyBytesShown)) + "...";
    line += "  " + key + " " + HumanCount(hot.per_second) + "/s";
  }
  if (!line.empty()) frame += "hot keys" + line + "\n";
}

void NextNode(const ClusterStatus& status, TopView& view) {
  const auto at = std::find_if(status.nodes.begin(), status.nodes.end(),
                               [&](const NodeStatus& node) { return node.id == view.node; });
  if (view.node.empty()) {
    view.node = status.nodes.empty() ? "" : status.nodes.front().id;
  } else {
    view.node = at == status.nodes.end() || at + 1 == status.nodes.end() ? "" : (at + 1)->id;
  }
}

}  // namespace

NodeCounts ReadNodeCounts(const Json& own, const std::string& commandstats) {
  NodeCounts counts;
  counts.answered = own.is_object();
  counts.uptime_seconds = NumberAt(own, "uptime_seconds");
  counts.hits = NumberAt(own, "hits");
  counts.misses = NumberAt(own, "misses");
  counts.evicted = NumberAt(own, "evicted");
  counts.expired = NumberAt(own, "expired");
  constexpr std::string_view kPrefix = "cmdstat_";
  std::string_view rest = commandstats;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t colon = line.find(':');
    if (!line.starts_with(kPrefix) || colon == std::string_view::npos) continue;
    const std::string_view fields = line.substr(colon + 1);
    counts.commands[std::string(line.substr(kPrefix.size(), colon - kPrefix.size()))] = {
        .calls = Field(fields, "calls"),
        .failed = Field(fields, "failed_calls") + Field(fields, "rejected_calls"),
        .seconds = Field(fields, "usec") / 1e6};
  }
  return counts;
}

Result<TopSample> TakeTopSample(const ShellContext& shell) {
  Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return picture.error();
  TopSample sample;
  sample.status = std::move(picture->status);
  const Json rebalance = picture->asked.value("rebalance", Json());
  if (NumberAt(rebalance, "partitions_left") > 0) {
    sample.moves = RebalanceProgress(rebalance);
    sample.moved_share = NumberAt(rebalance, "progress_percent") / 100;
  }
  const auto commandstats = AskEach(shell, sample.status.nodes, {"INFO", "commandstats"});
  for (std::size_t i = 0; i < sample.status.nodes.size(); ++i) {
    sample.counts.push_back(
        ReadNodeCounts(picture->answers[i], commandstats[i] ? commandstats[i]->text : ""));
  }
  sample.hot_keys =
      MergeHotKeys(sample.status.nodes, AskEach(shell, sample.status.nodes, {"HOTKEYS"}));
  sample.at = std::chrono::steady_clock::now();
  return sample;
}

std::string DrawTop(const TopSample& before, const TopSample& now, const TopView& view,
                    const Screen& screen, double interval) {
  const std::string dot(screen.separator());
  const Verdict verdict = Judge(now.status);
  const Difference difference = Compare(before, now, view.node);
  std::string one = "all nodes";
  for (const NodeStatus& node : now.status.nodes) {
    if (node.id == view.node && !view.node.empty()) one = node.name;
  }
  std::string frame = "gyre top" + dot + now.status.cluster + " " +
                      Coloured(screen,
                               verdict.health == Health::kOk     ? Colour::kGood
                               : verdict.health == Health::kDown ? Colour::kBad
                                                                 : Colour::kWarning,
                               NameOf(verdict.health)) +
                      dot + one + dot + HumanInterval(interval) + dot + "q quit" + dot +
                      "s sort (" + SortName(view.sort) + ")" + dot + "n node\n";
  const double calls = difference.calls();
  frame += "ops " + HumanCount(std::round(difference.rate(calls))) + "/s";
  const auto commands = Busiest(difference);
  for (std::size_t i = 0; i < std::min<std::size_t>(commands.size(), 3); ++i) {
    frame += "  " + commands[i].first + " " + HumanPercent(commands[i].second.calls / calls, 0);
  }
  frame += dot + "hit " + PercentOrDash(HitRatio(difference));
  const auto latency = WorstLatency(now.status, view.node);
  frame += dot + "p99 " + (latency ? HumanLatency(*latency) : "-");
  frame += dot + "evict " + HumanCount(std::round(difference.rate(difference.evicted))) + "/s";
  frame += dot + "errors " + HumanCount(std::round(difference.rate(difference.failed()))) + "/s\n";
  if (!now.moves.empty()) {
    frame += "moving [" + Bar(screen, now.moved_share, kMovesBarCells) + "] " + now.moves + "\n";
  }
  DrawHotKeys(now, frame);
  for (const Finding& finding : verdict.findings) {
    if (finding.health == Health::kOk) continue;
    frame += " " + Coloured(screen, Colour::kWarning, "!") + " " + finding.text + "\n";
  }
  frame += "\n";
  DrawNodes(before, now, view, frame);
  DrawCommands(difference, frame);
  return frame;
}

Json TopJson(const TopSample& before, const TopSample& now) {
  const auto figures = [](const Difference& difference) {
    const auto ratio = HitRatio(difference);
    return Json{{"ops_per_second", difference.rate(difference.calls())},
                {"hit_ratio", ratio ? Json(*ratio) : Json()},
                {"evicted_per_second", difference.rate(difference.evicted)},
                {"errors_per_second", difference.rate(difference.failed())}};
  };
  const Difference all = Compare(before, now, "");
  Json document = ToJson(Judge(now.status));
  document.update(figures(all));
  Json commands = Json::object();
  for (const auto& [name, calls] : Busiest(all)) {
    commands[name] = {{"calls_per_second", all.rate(calls.calls)},
                      {"errors_per_second", all.rate(calls.failed)}};
  }
  document["commands"] = std::move(commands);
  Json hot_keys = Json::array();
  for (const HotKey& hot : now.hot_keys) hot_keys.push_back(ToJson(hot));
  document["hot_keys"] = std::move(hot_keys);
  Json nodes = Json::array();
  for (const NodeStatus& node : now.status.nodes) {
    Json one = ToJson(node);
    one.update(figures(Compare(before, now, node.id)));
    nodes.push_back(std::move(one));
  }
  document["nodes"] = std::move(nodes);
  return document;
}

int Top(const ShellContext& shell, const TopArguments& arguments) {
  Result<TopSample> before = TakeTopSample(shell);
  if (!before) return shell.Report(before.error());
  const auto interval = std::chrono::milliseconds(
      static_cast<std::int64_t>(std::clamp(arguments.interval, 0.1, 3600.0) * 1000));
  LiveScreen live(shell.out, shell.interactive && !shell.json);
  TopView view;
  auto due = std::chrono::steady_clock::now() + interval;
  std::optional<TopSample> now;
  for (std::uint64_t frames = 0; arguments.count == 0 || frames < arguments.count;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
    const char key = left.count() > 0 ? live.WaitForKey(left) : '\0';
    constexpr char kCtrlC = 3;
    constexpr char kCtrlD = 4;
    if (key == 'q' || key == kCtrlC || key == kCtrlD || Interrupted()) break;
    if (key == 's') view.sort = static_cast<TopView::Sort>((static_cast<int>(view.sort) + 1) % 3);
    if (key == 'n' && now) NextNode(now->status, view);
    const bool is_due = std::chrono::steady_clock::now() >= due;
    if (is_due) {
      Result<TopSample> sample = TakeTopSample(shell);
      if (!sample) {
        // A node that is restarted is no reason to stop watching.
        live.Show(std::string(ErrorCodeName(sample.error().code)) + ": " + sample.error().message +
                  "\n");
        due = std::chrono::steady_clock::now() + interval;
        ++frames;
        continue;
      }
      if (now) before = std::move(*now);
      now = std::move(*sample);
      due = std::max(due + interval, std::chrono::steady_clock::now());
      ++frames;
    }
    if (!now || (!is_due && key == '\0')) continue;
    if (shell.json) {
      shell.PrintJson(TopJson(*before, *now));
    } else {
      live.Show(DrawTop(*before, *now, view, shell.screen, arguments.interval));
    }
  }
  return kExitDone;
}

}  // namespace gyre::client
