// history_check: judges recorded histories.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string_view>

#include "history/judge.h"

namespace {

constexpr std::string_view kUsage =
    "history_check [--level records|stream] [--acks-may-be-lost] [--stale-reads] [--evicts] "
    "[--allow-late] "
    "FILE...\n"
    "\n"
    "Judges histories of clients, one JSON object a line (tests/history/event.h; - is standard "
    "input).\n"
    "Prints every violation; exits 0 if there is none, 1 if there are some, 2 if a file is no "
    "history.\n"
    "\n"
    "  --level records      each record is replicated by itself (the default)\n"
    "  --level stream       each partition is one ordered stream of groups: a cut leaves a prefix\n"
    "                       of it, groups stay whole (tests/history/streams.h). What a level does\n"
    "                       not promise is printed and no failure.\n"
    "  --acks-may-be-lost   at a cut (--write-acks 1)\n"
    "  --stale-reads        only final reads must show what was acknowledged\n"
    "  --evicts             a key may be missing at any time\n"
    "  --allow-late         a write of unknown outcome may take effect after newer ones were "
    "acknowledged; counted, and no failure\n";

}  // namespace

int main(int argc, char** argv) {
  gyre::history::CheckOptions options;
  int worst = -1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::cout << kUsage;
      return 0;
    }
    if (argument == "--allow-late") {
      options.allow_late = true;
      continue;
    }
    if (argument == "--evicts") {
      options.evicts = true;
      continue;
    }
    if (argument == "--acks-may-be-lost") {
      options.promise.durable = false;
      continue;
    }
    if (argument == "--stale-reads") {
      options.promise.fresh = false;
      continue;
    }
    if (argument == "--level") {
      const std::string_view level = ++i < argc ? argv[i] : "";
      if (level != "records" && level != "stream") {
        std::cerr << "history_check: --level is records or stream\n";
        return 2;
      }
      options.promise.level =
          level == "stream" ? gyre::history::Level::kStream : gyre::history::Level::kRecords;
      continue;
    }
    if (argument == "-") {
      worst = std::max(worst, gyre::history::Check(std::cin, "-", options, std::cout));
      continue;
    }
    std::ifstream file{std::string(argument)};
    if (!file) {
      std::cerr << "history_check: cannot read " << argument << "\n";
      return 2;
    }
    worst = std::max(worst, gyre::history::Check(file, std::string(argument), options, std::cout));
  }
  if (worst < 0) {
    std::cerr << kUsage;
    return 2;
  }
  return worst;
}
