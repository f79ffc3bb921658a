// A load with a judge, for the nemesis (tests/e2e/nemesis.py) to steer.
//
//   e2e_history --seeds HOST:PORT,... [options]
//
// Clients of the C++ library write and read keys of their own (own_keys.h) and keys that they share
// (shared_keys.h) and sets of keys that are written together (group_keys.h), while the nemesis breaks things. It says so on standard input, one command a
// line; each is answered by one line of JSON:
//
//   resume [own]           the load runs (it stands still at first); own: without the shared keys
//   cut [divided], heal    something is about to break; all is whole again. Between the two an owner
//                          may change without a handover (tests/history/streams.h); divided: each
//                          side of a cut network may have one
//   mark NAME              a window ends, another begins: the figures of the one that ended
//   figures                those of the whole run so far
//   judge HOST:PORT,...    the load stands still; every key is read through each of these nodes;
//                          what the checker found, in the whole run so far
//   finish, or the end of the input: figures and verdict; exit 0 if there is no violation, else 1
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "e2e/history/figures.h"
#include "e2e/history/group_keys.h"
#include "e2e/history/journal.h"
#include "e2e/history/judge.h"
#include "e2e/history/own_keys.h"
#include "e2e/history/shared_keys.h"
#include "gyre/client.h"

namespace gyre::e2e {
namespace {

using nlohmann::json;

struct Flags {
  std::vector<std::string> seeds;
  std::string history;
  std::size_t clients = 2;
  std::size_t keys = 64;
  std::size_t value_bytes = 0;
  bool evicts = false;
  std::string level = "records";
  bool acks_may_be_lost = false;
  bool stale_reads = false;
  std::size_t groups = 0;
  std::size_t group_value_bytes = 0;
  std::uint32_t group_interval_ms = 20;
  std::size_t counters = 8;
  std::size_t swaps = 8;
  std::size_t contenders = 4;
  std::uint32_t interval_ms = 50;
  std::uint32_t deadline_ms = 1000;
};

std::vector<std::string> Names(const std::string& prefix, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(prefix + std::to_string(i));
  return names;
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

Instant Now() { return std::chrono::steady_clock::now(); }

class Run {
 public:
  Run(const Flags& flags, std::vector<client::Client> clients)
      : own_(Names("own:", flags.keys)),
        shared_{Names("counter:", flags.counters), Names("swap:", flags.swaps)},
        clients_(std::move(clients)),
        journal_(
            flags.history,
            {.level = flags.level == "stream" ? history::Level::kStream : history::Level::kRecords,
             .durable = !flags.acks_may_be_lost,
             .fresh = !flags.stale_reads},
            flags.evicts),
        figures_(own_, Now()),
        own_keys_(clients_, journal_, figures_, own_, flags.value_bytes, flags.evicts,
                  std::chrono::milliseconds(flags.interval_ms)),
        shared_keys_(clients_, journal_, figures_, shared_, flags.contenders,
                     std::chrono::milliseconds(flags.interval_ms)),
        group_keys_(clients_, journal_, figures_, flags.groups, flags.group_value_bytes,
                    std::chrono::milliseconds(flags.group_interval_ms)) {}

  bool good() const { return journal_.good(); }

  json Do(const std::string& command, const std::string& argument) {
    if (command == "resume") return Resume(argument != "own");
    if (command == "cut" || command == "heal") {
      if (command == "cut") group_keys_.NoteCut();
      const auto cut = argument == "divided" ? history::Cut::kDivided : history::Cut::kSuccession;
      command == "cut" ? journal_.BeginCut(cut) : journal_.EndCut();
      return json::object();
    }
    if (command == "mark") return figures_.Mark(argument, Now());
    if (command == "figures") return Totals();
    if (command == "judge") return Judge(SplitAtCommas(argument));
    return {{"error", "no such command: " + command}};
  }

  json Totals() {
    json totals = figures_.Now(Now(), true);
    std::uint64_t retries = 0;
    std::uint64_t hedges = 0;
    for (const client::Client& client : clients_) {
      retries += client.GetStats().retries;
      hedges += client.GetStats().hedges;
    }
    totals["retries"] = retries;
    totals["hedges"] = hedges;
    totals["verdict"] = Verdict();
    return totals;
  }

  bool clean() const { return journal_.verdict().violations == 0; }

 private:
  json Resume(bool shared) {
    figures_.Resume(Now());
    own_keys_.Resume();
    group_keys_.Resume();
    if (shared) shared_keys_.Resume();
    return json::object();
  }

  json Judge(const std::vector<std::string>& nodes) {
    figures_.Pause(Now());
    own_keys_.Pause();
    group_keys_.Pause();
    shared_keys_.Pause();
    std::vector<std::string> keys = own_;
    keys.insert(keys.end(), shared_.counters.begin(), shared_.counters.end());
    keys.insert(keys.end(), shared_.swaps.begin(), shared_.swaps.end());
    ReadAll(clients_.front(), nodes, keys, group_keys_.blocks(), journal_);
    return Verdict();
  }

  json Verdict() const {
    const Journal::Verdict verdict = journal_.verdict();
    return {{"violations", verdict.violations},
            {"late", verdict.late},
            {"texts", verdict.texts},
            {"beyond", verdict.beyond},
            {"beyond_texts", verdict.beyond_texts},
            {"by_fault", verdict.by_fault},
            {"checked", verdict.checked}};
  }

  const std::vector<std::string> own_;
  const SharedKeys::Names shared_;
  std::vector<client::Client> clients_;
  Journal journal_;
  Figures figures_;
  OwnKeys own_keys_;
  SharedKeys shared_keys_;
  GroupKeys group_keys_;
};

int Serve(const Flags& flags) {
  std::vector<client::Client> clients;
  for (std::size_t i = 0; i < flags.clients; ++i) {
    auto client = client::Client::Connect(
        {.seeds = flags.seeds, .deadline = std::chrono::milliseconds(flags.deadline_ms)});
    if (!client) {
      std::cerr << client.error().message << '\n';
      return 3;
    }
    clients.push_back(std::move(*client));
  }
  Run run(flags, std::move(clients));
  if (!run.good()) {
    std::cerr << "cannot write " << flags.history << '\n';
    return 2;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string command = line.substr(0, space);
    if (command == "finish") break;
    std::cout << run.Do(command, line.substr(std::min(space + 1, line.size()))) << std::endl;
  }
  std::cout << run.Totals() << std::endl;
  return run.clean() ? 0 : 1;
}

}  // namespace
}  // namespace gyre::e2e

int main(int argc, char** argv) {
  gyre::e2e::Flags flags;
  CLI::App app("A load with a judge, steered over standard input; see the head of its main.cc.");
  app.add_option("--seeds", flags.seeds, "nodes to learn the ring from")
      ->delimiter(',')
      ->required();
  app.add_option("--history", flags.history, "file for the history, one JSON object a line");
  app.add_option("--clients", flags.clients, "instances of the client library")
      ->check(CLI::PositiveNumber);
  app.add_option("--keys", flags.keys, "keys with one writer each")->check(CLI::PositiveNumber);
  app.add_option("--value-bytes", flags.value_bytes, "of those keys, at least");
  app.add_option("--evicts", flags.evicts, "the ring evicts: a missing key is no violation");
  app.add_option("--level", flags.level,
                 "records or stream: what is promised of the order of writes")
      ->check(CLI::IsMember({"records", "stream"}));
  app.add_option("--acks-may-be-lost", flags.acks_may_be_lost,
                 "at a cut (--write-acks 1): the end of what was acknowledged");
  app.add_option("--stale-reads", flags.stale_reads,
                 "a copy that stands in for its owner may lack what was acknowledged");
  app.add_option("--groups", flags.groups, "sets of keys that are written and read together");
  app.add_option("--group-value-bytes", flags.group_value_bytes, "of those keys, at least");
  app.add_option("--group-interval-ms", flags.group_interval_ms, "between two reads of a set")
      ->check(CLI::PositiveNumber);
  app.add_option("--counters", flags.counters, "keys that all contenders increment");
  app.add_option("--swaps", flags.swaps, "keys that all contenders compare and set");
  app.add_option("--contenders", flags.contenders, "clients of the shared keys");
  app.add_option("--interval-ms", flags.interval_ms, "between two reads, and writes, of a key")
      ->check(CLI::PositiveNumber);
  app.add_option("--deadline-ms", flags.deadline_ms, "of each request")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return gyre::e2e::Serve(flags);
}
