// history_check: judges recorded histories.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string_view>

#include "history/judge.h"

namespace {

constexpr std::string_view kUsage =
    "history_check [--allow-late] FILE...\n"
    "\n"
    "Judges histories of clients, one JSON object a line (tests/history/event.h; - is standard "
    "input).\n"
    "Prints every violation; exits 0 if there is none, 1 if there are some, 2 if a file is no "
    "history.\n"
    "\n"
    "  --allow-late   a write of unknown outcome may take effect after newer ones were "
    "acknowledged\n";

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
