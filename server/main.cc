// gyred: one node of a Gyre cluster.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "node.h"
#include "ops/config.h"
#include "ops/healthcheck.h"
#include "ops/service_manager.h"
#include "ops/surroundings.h"

namespace {

// What a supervisor reads: 0 stopped as asked, 2 could not start as configured. --healthcheck: 0 the
// node is ready, 1 it is not.
constexpr int kExitNotReady = 1;
constexpr int kExitUsage = 2;

// How long --healthcheck waits for each step of an answer.
constexpr gyre::Duration kHealthcheckPatience = std::chrono::seconds(2);

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

int CheckHealth(const gyre::Config& config) {
  const gyre::Status ready = gyre::AskReady(config, kHealthcheckPatience);
  if (ready) {
    std::puts("ready");
    return 0;
  }
  std::fprintf(stderr, "gyred: %s\n", ready.error().message.c_str());
  return ready.error().code == gyre::ErrorCode::kInvalidArgument ? kExitUsage : kExitNotReady;
}

void LogMemory(const gyre::Config& config) {
  const std::size_t limit = config.memory_limit_bytes;
  if (config.memory_is_share) {
    gyre::LogInfo("memory is a share of what the control group may use (--memory says another)",
                  {{"limit_mib", limit >> 20},
                   {"memory_mib", config.memory_bytes >> 20},
                   {"client_memory_mib", config.client_memory_bytes >> 20},
                   {"max_value_kib", config.value_bytes_max >> 10}});
  }
  if (limit > 0 && config.memory_bytes + config.client_memory_bytes > limit) {
    gyre::LogWarn(
        "--memory and --client-memory are more than the control group may use: the kernel will "
        "kill this node when they fill; leave --memory out, or raise the limit",
        {{"limit_mib", limit >> 20},
         {"memory_mib", config.memory_bytes >> 20},
         {"client_memory_mib", config.client_memory_bytes >> 20}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  GiveMemoryBack();
  gyre::MemoryReserve::Install();
  const gyre::Surroundings surroundings = gyre::FindSurroundings();
  gyre::Result<gyre::ParsedCommandLine> command_line = gyre::ParseConfig(argc, argv, surroundings);
  if (!command_line) return Refuse(command_line.error());
  if (command_line->action == gyre::ParsedCommandLine::Action::kPrint) {
    std::fputs(command_line->text.c_str(), stdout);
    return 0;
  }
  const gyre::Config& config = command_line->config;
  if (command_line->action == gyre::ParsedCommandLine::Action::kHealthcheck) {
    return CheckHealth(config);
  }
  gyre::Result<std::unique_ptr<gyre::ServiceManager>> service_manager =
      gyre::ServiceManager::Create(surroundings);
  if (!service_manager) return Refuse(service_manager.error());
  const gyre::Status logging = gyre::InitLog({config.log_level, config.log_format, config.name});
  if (!logging) return Refuse(logging.error());
  LogMemory(config);

  gyre::Result<std::unique_ptr<gyre::Node>> node =
      gyre::Node::Create(config, command_line->sources, **service_manager);
  if (!node) return Refuse(node.error());
  (*node)->Run();
  node->reset();
  gyre::FlushLog(kLogPatience);
  return 0;
}
