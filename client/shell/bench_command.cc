// gyre bench: the load generator's flags and its report.
#include <charconv>
#include <cstdio>
#include <iomanip>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "client/routing_table.h"
#include "client/shell/bench_load.h"
#include "client/shell/command_line.h"
#include "client/shell/interrupt.h"
#include "client/shell/progress_line.h"
#include "client/shell/screen.h"
#include "client/shell/words.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

struct BenchArguments : Arguments {
  BenchOptions options;
  double duration_seconds = 10;
  std::string ratio = "1:10";
  bool routed = false;
  bool load = false;
  bool clean = false;
};

constexpr std::uint64_t kBenchValueBytesMax = 16ULL << 20;

// "1:10" -> sets, gets. False: it is no ratio.
bool ParseRatio(const std::string& text, BenchOptions& options) {
  const char* end = text.data() + text.size();
  const auto sets = std::from_chars(text.data(), end, options.sets);
  if (sets.ec != std::errc() || sets.ptr == end || *sets.ptr != ':') return false;
  const auto gets = std::from_chars(sets.ptr + 1, end, options.gets);
  if (gets.ec != std::errc() || gets.ptr != end) return false;
  constexpr std::uint32_t kPartMax = 1'000'000;
  return options.sets + options.gets > 0 && options.sets <= kPartMax && options.gets <= kPartMax;
}

void Declare(CLI::App& command, BenchArguments& arguments) {
  BenchOptions& options = arguments.options;
  static const std::map<std::string, BenchProtocol> kProtocols = {
      {"native", BenchProtocol::kNative},
      {"resp", BenchProtocol::kResp},
      {"memcached", BenchProtocol::kMemcached}};
  static const std::map<std::string, KeyPattern> kPatterns = {
      {"uniform", KeyPattern::kUniform},
      {"sequential", KeyPattern::kSequential},
      {"zipf", KeyPattern::kZipf}};
  command
      .add_option("--protocol", options.protocol,
                  "native, resp or memcached: --connect names that port")
      ->transform(CLI::CheckedTransformer(kProtocols));
  command
      .add_option("--connections", options.connections, "Connections (with --routed: to each node)")
      ->check(CLI::Range(1, 20000))
      ->capture_default_str();
  command.add_option("--pipeline", options.pipeline, "Requests in one write")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command.add_option("--threads", options.threads)
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  auto* requests = command.add_option("--requests", options.requests, "Requests in all")
                       ->check(CLI::PositiveNumber);
  command
      .add_option("--duration", arguments.duration_seconds, "Seconds, if --requests is not given")
      ->check(CLI::Range(0.001, 7.0 * 24 * 3600))
      ->capture_default_str()
      ->excludes(requests);
  command.add_option("--ratio", arguments.ratio, "Sets to gets")
      ->check([](const std::string& text) {
        BenchOptions parsed;
        return ParseRatio(text, parsed) ? std::string() : "'" + text + "' is no ratio like 1:10";
      })
      ->capture_default_str();
  command.add_option("--value-size", options.value_bytes, "Bytes of a value")
      ->check(CLI::Range(std::uint64_t{0}, kBenchValueBytesMax))
      ->capture_default_str();
  command.add_option("--keys", options.keys, "Different keys (13 bytes each)")
      ->check(CLI::Range(std::uint64_t{1}, kBenchKeysMax))
      ->capture_default_str();
  command.add_option("--key-pattern", options.pattern, "uniform, sequential or zipf")
      ->transform(CLI::CheckedTransformer(kPatterns));
  command.add_option("--zipf-alpha", options.zipf_alpha, "Skew of zipf")
      ->check(CLI::Range(0.01, 10.0))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of the random choices")->capture_default_str();
  command.add_flag("--load", arguments.load, "Write every key once before measuring");
  command.add_flag("--clean", arguments.clean,
                   "Native: remove the keys afterwards, also where Ctrl-C ends it");
  command.add_flag("--routed", arguments.routed, "Native: ask each key's owner, all nodes at once");
}

// All nodes that own something, each with the keys that it owns.
Result<std::vector<BenchTarget>> RoutedTargets(const std::string& connect) {
  Options options;
  options.seeds = {connect};
  Result<Client> client = Client::Connect(options);
  if (!client) return client.error();
  const Result<Value> reply = client->Execute({"RING"});
  if (!reply) return reply.error();
  Result<RoutingTable> parsed = RoutingTable::Parse(reply->text);
  if (!parsed) return parsed.error();
  const auto table = std::make_shared<const RoutingTable>(std::move(*parsed));
  const RingInfo info = table->Describe();
  std::vector<BenchTarget> targets;
  for (std::size_t node = 0; node < info.nodes.size(); ++node) {
    if (info.nodes[node].partitions_owned == 0) continue;
    Result<BenchTarget> target = MakeTarget(info.nodes[node].address);
    if (!target) return target.error();
    target->owns = [table, node](std::uint64_t key) {
      return table->Owner(table->PartitionOfSlot(SlotOf(BenchKey(key)))) == node;
    };
    targets.push_back(std::move(*target));
  }
  if (targets.empty())
    return Error{ErrorCode::kUnavailable, "no node owns anything: see gyre ring"};
  return targets;
}

Result<std::vector<BenchTarget>> Targets(const BenchArguments& arguments,
                                         const std::string& connect) {
  if (arguments.routed) {
    if (arguments.options.protocol != BenchProtocol::kNative) {
      return Error{ErrorCode::kInvalidArgument, "--routed needs --protocol native"};
    }
    return RoutedTargets(connect);
  }
  Result<BenchTarget> target = MakeTarget(connect);
  if (!target) return target.error();
  return std::vector<BenchTarget>{std::move(*target)};
}

constexpr std::pair<const char*, double> kPercentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

void PrintJsonReport(const BenchReport& report, std::ostream& out) {
  Json latency = {{"mean", report.latency_ns.mean() / 1e3}};
  for (const auto& [name, percent] : kPercentiles) {
    latency[name] = static_cast<double>(report.latency_ns.Percentile(percent)) / 1e3;
  }
  latency["max"] = static_cast<double>(report.latency_ns.max()) / 1e3;
  Json json = {{"requests", report.counts.replies},
               {"seconds", report.seconds},
               {"ops_per_second", report.ops_per_second()},
               {"hits", report.counts.hits},
               {"misses", report.counts.misses},
               {"stored", report.counts.stored},
               {"errors", report.counts.errors},
               {"connections_lost", report.connections_lost},
               {"latency_us", latency}};
  if (!report.counts.first_error.empty()) json["first_error"] = report.counts.first_error;
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void PrintReport(const BenchReport& report, std::ostream& out) {
  const ReplyCounts& counts = report.counts;
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << counts.replies << " requests in " << report.seconds
       << " s: " << std::setprecision(0) << report.ops_per_second() << " ops/s\n"
       << "hits " << counts.hits << "  misses " << counts.misses << "  stored " << counts.stored
       << "  errors " << counts.errors;
  if (report.connections_lost > 0) text << "  connections lost " << report.connections_lost;
  text << "\nlatency ms ";
  text << std::setprecision(3);
  for (const auto& [name, percent] : kPercentiles) {
    text << " " << name << " " << static_cast<double>(report.latency_ns.Percentile(percent)) / 1e6;
  }
  text << "  max " << static_cast<double>(report.latency_ns.max()) / 1e6 << "\n";
  if (!counts.first_error.empty()) text << "first error: " << Quote(counts.first_error) << "\n";
  out << text.str();
}

// Those that `--keys` names, whoever wrote them.
Result<std::uint64_t> RemoveKeys(const BenchOptions& options, const std::string& connect,
                                 ProgressLine& progress) {
  constexpr std::uint64_t kKeysOfBatch = 1000;
  Options client_options;
  client_options.seeds = {connect};
  constexpr Milliseconds kPatience{30000};
  client_options.deadline = kPatience;
  Result<Client> client = Client::Connect(client_options);
  if (!client) return client.error();
  std::uint64_t removed = 0;
  for (std::uint64_t key = 0; key < options.keys;) {
    std::vector<std::string> batch;
    while (key < options.keys && batch.size() < kKeysOfBatch) batch.push_back(BenchKey(key++));
    for (const Result<bool>& one : client->MDel(batch)) {
      if (!one) return one.error();
      removed += *one ? 1 : 0;
    }
    if (progress.Due()) progress.Show("removing keys: " + std::to_string(removed));
  }
  return removed;
}

// "[####....] 41%  82k/s" of all that is to be done.
std::string ProgressText(const Screen& screen, const char* what, double share, std::uint64_t begun,
                         double seconds) {
  constexpr std::size_t kCells = 20;
  return std::string(what) + " [" + Bar(screen, share, kCells) + "] " +
         HumanCount(static_cast<double>(begun)) + std::string(screen.separator()) +
         HumanCount(seconds > 0 ? static_cast<double>(begun) / seconds : 0) + "/s" +
         std::string(screen.separator()) + HumanDuration(seconds);
}

int Bench(const BenchArguments& given, const std::string& connect, bool json,
          const ToolStreams& streams) {
  BenchArguments arguments = given;
  if (arguments.clean && arguments.options.protocol != BenchProtocol::kNative) {
    streams.err << ErrorPrefix(0) << "--clean needs --protocol native\n";
    return kExitUsage;
  }
  std::optional<CatchInterrupts> catch_interrupts;
  if (arguments.clean) catch_interrupts.emplace();
  const Screen screen = Screen::OfEnvironment(streams.terminal);
  ProgressLine progress(streams.err, streams.error_terminal && !json);
  BenchOptions& options = arguments.options;
  const char* what = "loading";
  double all = static_cast<double>(options.keys);
  double all_seconds = 0;
  if (streams.error_terminal && !json) {
    options.progress = [&](std::uint64_t begun, double seconds) {
      if (!progress.Due()) return;
      const double share =
          all_seconds > 0 ? seconds / all_seconds : static_cast<double>(begun) / all;
      progress.Show(ProgressText(screen, what, share, begun, seconds));
    };
  }
  const Result<std::vector<BenchTarget>> targets = Targets(arguments, connect);
  if (!targets) {
    const int status = ReportError(targets.error(), json, streams.out, streams.err);
    return targets.error().code == ErrorCode::kInvalidArgument ? static_cast<int>(kExitUsage)
                                                               : status;
  }
  if (arguments.load) {
    const BenchReport loaded = LoadKeys(options, *targets);
    progress.Clear();
    if (!json) streams.out << "loaded " << loaded.counts.stored << " keys\n";
  }
  what = "measuring";
  all = static_cast<double>(options.requests);
  all_seconds = options.requests == 0 ? std::chrono::duration<double>(options.duration).count() : 0;
  BenchReport report = RunBench(options, *targets);
  progress.Clear();
  if (report.counts.replies == 0 && report.counts.first_error.empty()) {
    report.counts.first_error = "no answer at all: does this port speak that --protocol?";
  }
  json ? PrintJsonReport(report, streams.out) : PrintReport(report, streams.out);
  if (arguments.clean) {
    const Result<std::uint64_t> removed = RemoveKeys(options, connect, progress);
    progress.Clear();
    if (!removed) return ReportError(removed.error(), json, streams.out, streams.err);
    if (!json) streams.out << "removed " << *removed << " keys\n";
  }
  return report.counts.errors == 0 && report.counts.replies > 0 ? kExitDone : kExitRefused;
}

}  // namespace

void AddBenchCommand(CommandLine& line) {
  const std::string name = "bench";
  auto given = std::make_shared<BenchArguments>();
  line.Add<BenchArguments>({name, "", "Measures throughput and latency", "Operator's commands"},
                           Declare, nullptr, [given](BenchArguments& arguments) {
                             ParseRatio(arguments.ratio, arguments.options);
                             arguments.options.duration = Milliseconds{
                                 static_cast<std::int64_t>(arguments.duration_seconds * 1000)};
                             *given = arguments;
                             return std::string();
                           });
  line.RunsAlone(name, [&line, given](const ToolStreams& streams) {
    const std::string first = line.connect().substr(0, line.connect().find(','));
    return Bench(*given, first, line.json(), streams);
  });
}

}  // namespace gyre::client
