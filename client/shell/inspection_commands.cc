// Commands that look at the ring and at what it holds, and change nothing (but pipe, which does what
// it is told).
#include "client/shell/big_keys.h"
#include "client/shell/command_line.h"
#include "client/shell/hot_keys.h"
#include "client/shell/latency.h"
#include "client/shell/pipe.h"
#include "client/shell/plan.h"
#include "client/shell/stat.h"
#include "client/shell/support_bundle.h"
#include "client/shell/watch.h"

namespace gyre::client {
namespace {

constexpr std::size_t kTopMax = 1000;

void DeclareStat(CLI::App& command, StatArguments& arguments) {
  command.add_option("--interval", arguments.interval, "Seconds from one line to the next")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command.add_option("--count", arguments.count, "Lines; 0: until Ctrl-C")->capture_default_str();
}

void DeclareHotKeys(CLI::App& command, HotKeysArguments& arguments) {
  command.add_option("--top", arguments.top, "So many")
      ->check(CLI::Range(std::size_t{1}, kTopMax))
      ->capture_default_str();
}

void DeclareBigKeys(CLI::App& command, BigKeysArguments& arguments) {
  command.add_option("--top", arguments.top, "So many")
      ->check(CLI::Range(std::size_t{1}, kTopMax))
      ->capture_default_str();
  command.add_option("--match", arguments.match, "Of the keys that match: * ? [abc]")
      ->capture_default_str();
}

void DeclareLatency(CLI::App& command, LatencyArguments& arguments) {
  command
      .add_option("--seconds", arguments.seconds,
                  "For so long; 0: on a terminal until q, elsewhere 5")
      ->check(CLI::Range(0.0, 7.0 * 24 * 3600))
      ->capture_default_str();
  command.add_option("--interval", arguments.interval_ms, "Milliseconds from one PING to the next")
      ->check(CLI::Range(1.0, 60000.0))
      ->capture_default_str();
}

void DeclarePlan(CLI::App& command, PlanArguments& arguments) {
  command.add_option("--zone", arguments.zone, "The zone of a new node");
  command.add_option("--weight", arguments.weight, "The weight of a new node")
      ->check(CLI::Range(1U, kWeightMax))
      ->capture_default_str();
}

void DeclareWatch(CLI::App& command, WatchArguments& arguments) {
  command.add_option("--prefix", arguments.prefix, "Of keys that begin so");
  command.add_option("--from", arguments.from, "Behind this cursor, which an earlier watch told");
  command.add_flag("--values", arguments.values, "With values");
  command.add_option("--count", arguments.count, "Events; 0: until Ctrl-C")->capture_default_str();
  command
      .add_option("--cursor-every", arguments.cursor_every,
                  "Seconds from one cursor to the next; 0: at the end alone")
      ->check(CLI::Range(0.0, 24.0 * 3600))
      ->capture_default_str();
}

}  // namespace

void AddInspectionCommands(CommandLine& line) {
  line.Add<StatArguments>({"stat", "",
                           "Prints a line of figures of the ring each second: keys, memory, "
                           "clients, commands, hits, evictions, errors",
                           kOperatorGroup},
                          DeclareStat, Stat);
  line.Add<WatchArguments>({"watch", "",
                            "Prints the changes of keys as they come, one a line, and at the end a "
                            "cursor to go on from (on standard error)",
                            kOperatorGroup},
                           DeclareWatch, Watch);
  line.Add<HotKeysArguments>({"hotkeys", "",
                              "Shows the keys that are asked for most: calls a second over the "
                              "last 10 s, from a sample of the commands",
                              kOperatorGroup},
                             DeclareHotKeys, ShowHotKeys);
  line.Add<BigKeysArguments>(
      {"bigkeys", "",
       "Walks all keys and shows the largest: by the bytes of their values, and how many there are "
       "of each type",
       kOperatorGroup},
      DeclareBigKeys, FindBigKeys);
  line.Add<LatencyArguments>(
      {"latency", "",
       "Measures how long each node takes to answer a PING from here: percentiles, a histogram",
       kOperatorGroup},
      DeclareLatency, Latency);
  line.Add<PlanArguments>({"plan", "add|remove NODE",
                           "Says what would move if a node (a new name, or one that is known) came "
                           "or went: copies, bytes, owners. Nothing is changed",
                           kOperatorGroup},
                          DeclarePlan, PlanChange, CheckPlan);
  line.Add<BundleArguments>(
      {"support-bundle", "[FILE]",
       "Writes a .tar.gz with status, INFO, parameters, metrics and the doctor's findings of each "
       "node: no keys, no values, secrets redacted",
       kOperatorGroup},
      nullptr, SupportBundle);
  line.Add<Arguments>({"pipe", "",
                       "Runs commands from standard input without waiting for each answer: lines "
                       "as the shell's, or RESP as for redis-cli --pipe",
                       kOperatorGroup},
                      nullptr, Pipe);
}

}  // namespace gyre::client
