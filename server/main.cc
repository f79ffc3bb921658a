// gyred: one node of a Gyre cluster.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "node.h"
#include "ops/config.h"

namespace {

// What a supervisor reads: 0 stopped as asked, 2 could not start as configured.
constexpr int kExitUsage = 2;

// How long the end waits for an output that does not take the last lines of the log.
constexpr gyre::Duration kLogPatience = std::chrono::seconds(1);

int Refuse(const gyre::Error& error) {
  gyre::FlushLog(kLogPatience);
  std::fprintf(stderr, "gyred: %s\n", error.message.c_str());
  return kExitUsage;
}

// Blocks from this size on are the system's own, and go back to it when they are freed: what large
// requests and replies took must not stay with the process. Left alone, the allocator raises the
// bound to the largest block that was ever freed, and keeps them.
constexpr int kOwnBlockBytes = 256 * 1024;

void GiveMemoryBack() {
  mallopt(M_MMAP_THRESHOLD, kOwnBlockBytes);
  mallopt(M_TRIM_THRESHOLD, kOwnBlockBytes);
}

}  // namespace

int main(int argc, char** argv) {
  GiveMemoryBack();
  gyre::MemoryReserve::Install();
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
  node->reset();
  gyre::FlushLog(kLogPatience);
  return 0;
}
