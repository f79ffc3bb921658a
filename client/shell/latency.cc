#include "client/shell/latency.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "client/shell/cluster_picture.h"
#include "client/shell/interrupt.h"
#include "client/shell/live_screen.h"
#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

using std::chrono::steady_clock;

constexpr double kSecondsWithoutTerminal = 5;
constexpr Milliseconds kPingPatience{1000};
constexpr std::chrono::milliseconds kFrame{500};
// The bars of the histogram: a power of two each.
constexpr std::size_t kBarCells = 40;

struct Percentile {
  const char* column;
  const char* field;
  double percent;
};
constexpr Percentile kShownPercentiles[] = {{"p50", "p50_us", 50},
                                            {"p90", "p90_us", 90},
                                            {"p99", "p99_us", 99},
                                            {"p99.9", "p999_us", 99.9}};

std::string Time(std::uint64_t ns) { return HumanLatency(static_cast<double>(ns) / 1e9); }

// One PING to each node, all at once.
class Round {
 public:
  explicit Round(std::size_t count) : took_ns_(count) {}

  static std::vector<std::optional<std::uint64_t>> Run(const ShellContext& shell,
                                                       const std::vector<NodeLatency>& nodes) {
    // The callbacks may outlive this call by nothing: each operation ends by its deadline. They
    // share what they write to all the same, so that no order of events can hurt.
    const auto round = std::make_shared<Round>(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto begin = steady_clock::now();
      shell.client.ExecuteOnAsync(nodes[i].address, {"PING"}, {.deadline = kPingPatience})
          .Then([round, begin, i](const Result<Value>& pong) {
            const auto took = steady_clock::now() - begin;
            round->End(i, pong.ok() ? std::optional<std::uint64_t>(took.count()) : std::nullopt);
          });
    }
    return round->Await();
  }

 private:
  void End(std::size_t index, std::optional<std::uint64_t> took_ns) {
    const std::lock_guard lock(mutex_);
    took_ns_[index] = took_ns;
    ++ended_;
    all_ended_.notify_one();
  }

  std::vector<std::optional<std::uint64_t>> Await() {
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return ended_ == took_ns_.size(); });
    return took_ns_;
  }

  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::size_t ended_ = 0;
  std::vector<std::optional<std::uint64_t>> took_ns_;
};

void AddRound(const std::vector<std::optional<std::uint64_t>>& took_ns,
              std::vector<NodeLatency>& nodes) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    NodeLatency& node = nodes[i];
    if (!took_ns[i]) {
      ++node.lost;
      continue;
    }
    const std::uint64_t ns = std::max<std::uint64_t>(*took_ns[i], 1);
    node.round_trip_ns.Record(ns);
    node.min_ns = node.min_ns == 0 ? ns : std::min(node.min_ns, ns);
  }
}

void DrawHistogram(const Histogram& all, const Screen& screen, std::string& frame) {
  if (all.count() == 0) return;
  // [power of two, in microseconds] -> how many.
  std::vector<std::uint64_t> counts;
  std::uint64_t seen = 0;
  for (std::size_t power = 0; seen < all.count() && power < 40; ++power) {
    const std::uint64_t below = all.CountUpTo((std::uint64_t{1} << power) * 1000);
    counts.push_back(below - seen);
    seen = below;
  }
  const std::uint64_t most = *std::max_element(counts.begin(), counts.end());
  const auto first = std::find_if(counts.begin(), counts.end(), [](auto n) { return n > 0; });
  frame += "\n";
  for (auto power = static_cast<std::size_t>(first - counts.begin()); power < counts.size();
       ++power) {
    const double share = static_cast<double>(counts[power]) / static_cast<double>(all.count());
    char label[48];
    std::snprintf(label, sizeof label, "up to %7s %5.1f%% ",
                  HumanLatency(static_cast<double>(std::uint64_t{1} << power) / 1e6).c_str(),
                  share * 100);
    const auto cells = static_cast<std::size_t>(static_cast<double>(counts[power]) * kBarCells /
                                                static_cast<double>(most));
    frame += label;
    for (std::size_t i = 0; i < cells; ++i) frame += screen.unicode ? "█" : "#";
    frame += "\n";
  }
}

}  // namespace

std::string DrawLatency(const std::vector<NodeLatency>& nodes, const Screen& screen) {
  std::vector<std::string> header = {"NODE", "PINGS", "LOST", "MIN"};
  for (const Percentile& one : kShownPercentiles) header.emplace_back(one.column);
  header.emplace_back("MAX");
  TextTable table(header);
  Histogram all;
  for (const NodeLatency& node : nodes) {
    const Histogram& times = node.round_trip_ns;
    all.Add(times);
    std::vector<std::string> row = {node.name, std::to_string(times.count()),
                                    std::to_string(node.lost)};
    const bool any = times.count() > 0;
    row.push_back(any ? Time(node.min_ns) : "-");
    for (const Percentile& one : kShownPercentiles) {
      row.push_back(any ? Time(times.Percentile(one.percent)) : "-");
    }
    row.push_back(any ? Time(times.max()) : "-");
    table.AddRow(row);
  }
  std::ostringstream out;
  table.Print(out);
  std::string frame = out.str();
  DrawHistogram(all, screen, frame);
  return frame;
}

Json LatencyJson(const std::vector<NodeLatency>& nodes, double seconds) {
  Json list = Json::array();
  for (const NodeLatency& node : nodes) {
    const Histogram& times = node.round_trip_ns;
    const bool any = times.count() > 0;
    const auto micros = [any](std::uint64_t ns) {
      return any ? Json(static_cast<double>(ns) / 1e3) : Json();
    };
    Json one = {{"name", node.name},
                {"address", node.address},
                {"pings", times.count()},
                {"lost", node.lost},
                {"min_us", micros(node.min_ns)},
                {"mean_us", any ? Json(times.mean() / 1e3) : Json()}};
    for (const Percentile& percentile : kShownPercentiles) {
      one[percentile.field] = micros(times.Percentile(percentile.percent));
    }
    one["max_us"] = micros(times.max());
    list.push_back(std::move(one));
  }
  return {{"seconds", seconds}, {"nodes", std::move(list)}};
}

int Latency(const ShellContext& shell, const LatencyArguments& arguments) {
  const Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  std::vector<NodeLatency> nodes;
  for (const NodeStatus& node : picture->status.nodes) {
    if (node.serves()) nodes.push_back({.name = node.name, .address = node.address});
  }
  const bool terminal = shell.interactive && !shell.json;
  const double seconds = arguments.seconds > 0 ? arguments.seconds
                         : terminal            ? 0
                                               : kSecondsWithoutTerminal;
  const CatchInterrupts catch_interrupts;  // what was measured until then is told
  const auto begin = steady_clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
  };
  const std::chrono::milliseconds interval(
      std::max<std::int64_t>(1, static_cast<std::int64_t>(arguments.interval_ms)));
  AddRound(Round::Run(shell, nodes), nodes);  // connects: not measured
  for (NodeLatency& node : nodes) {
    node = {.name = std::move(node.name), .address = std::move(node.address)};
  }
  {
    LiveScreen live(shell.out, terminal);
    const std::string dot(shell.screen.separator());
    auto frame_due = begin;
    auto due = begin;
    char key = 0;
    constexpr char kCtrlC = 3;
    constexpr char kCtrlD = 4;
    while ((seconds == 0 || elapsed() < seconds) && !Interrupted()) {
      AddRound(Round::Run(shell, nodes), nodes);
      if (terminal && steady_clock::now() >= frame_due) {
        live.Show("gyre latency" + dot + picture->status.cluster + dot + HumanDuration(elapsed()) +
                  dot + "q quit\n\n" + DrawLatency(nodes, shell.screen));
        frame_due = steady_clock::now() + kFrame;
      }
      due = std::max(due + interval, steady_clock::now());
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - steady_clock::now());
      key = live.WaitForKey(left);
      if (key == 'q' || key == kCtrlC || key == kCtrlD) break;
    }
  }
  if (shell.json) {
    shell.PrintJson(LatencyJson(nodes, elapsed()));
  } else {
    shell.out << DrawLatency(nodes, shell.screen);
  }
  const bool all_answer = std::all_of(nodes.begin(), nodes.end(), [](const NodeLatency& node) {
    return node.round_trip_ns.count() > 0;
  });
  return all_answer ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
