// gyred: one node of a Gyre cluster.
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "node.h"
#include "ops/config.h"

namespace {

// What a supervisor reads: 0 stopped as asked, 2 could not start as configured.
constexpr int kExitUsage = 2;

int Refuse(const gyre::Error& error) {
  std::fprintf(stderr, "gyred: %s\n", error.message.c_str());
  return kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  gyre::Result<gyre::ParsedCommandLine> command_line = gyre::ParseConfig(argc, argv);
  if (!command_line) return Refuse(command_line.error());
  if (command_line->action == gyre::ParsedCommandLine::Action::kPrint) {
    std::fputs(command_line->text.c_str(), stdout);
    return 0;
  }
  const gyre::Config& config = command_line->config;
  const gyre::Status logging = gyre::InitLog({config.log_level, config.log_format, config.name});
  if (!logging) return Refuse(logging.error());

  gyre::Result<std::unique_ptr<gyre::Node>> node = gyre::Node::Create(config);
  if (!node) return Refuse(node.error());
  (*node)->Run();
  return 0;
}
