// The process log (spdlog): text for people, JSON lines for collectors.
//
// Log lines name what happened and carry their facts as key=value, e.g.
//   GYRE_LOG_INFO("member dead name={} after_ms={}", name, ms);
// Never called on the path of a request that succeeds. Whoever logs does not wait for the output:
// log_queue.h.
#pragma once

#include <spdlog/spdlog.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proto/result.h"

namespace gyre {

enum class LogFormat { kText, kJson };

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warn, error
  LogFormat format = LogFormat::kText;
  std::string node;  // stands in each line
};

// Sets up the default logger, on standard error. Before other threads start.
Status InitLog(const LogOptions& options);

// Waits until what was logged is written, but no longer than `patience`. Any thread.
void FlushLog(Duration patience);

// Lines that nobody will read: the output took nothing while too many waited, or its disk was full.
// Any thread.
std::uint64_t DroppedLogLines();

// Text quoted and escaped as a JSON string, without the quotes.
std::string EscapeJson(std::string_view text);

}  // namespace gyre

#define GYRE_LOG_DEBUG(...) ::spdlog::debug(__VA_ARGS__)
#define GYRE_LOG_INFO(...) ::spdlog::info(__VA_ARGS__)
#define GYRE_LOG_WARN(...) ::spdlog::warn(__VA_ARGS__)
#define GYRE_LOG_ERROR(...) ::spdlog::error(__VA_ARGS__)
