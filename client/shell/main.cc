#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "client/shell/tool.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `gyre keys | head` ends quietly
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error of the write
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  const bool interactive = isatty(STDIN_FILENO) == 1 && terminal;
  const bool error_terminal = isatty(STDERR_FILENO) == 1;
  return gyre::client::RunTool(
      args, {std::cin, std::cout, std::cerr, interactive, terminal, error_terminal});
}
