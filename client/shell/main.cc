#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "client/shell/tool.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `gyre keys | head` ends quietly
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  const bool interactive = isatty(STDIN_FILENO) == 1 && terminal;
  return gyre::client::RunTool(args, {std::cin, std::cout, std::cerr, interactive, terminal});
}
