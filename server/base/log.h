// The process log (spdlog): text for people, JSON lines for collectors.
//
// A line says what happened in words that do not change, so that it can be searched for and counted,
// and carries its facts as fields:
//   LogInfo("member dead", {{"name", name}, {"unheard_ms", ms}});
// is written as one of
//   2026-03-01 12:00:00.123 info  n1 member dead name=n2 unheard_ms=812
//   {"time":"2026-03-01T12:00:00.123Z","level":"info","node":"n1","thread":7,
//    "message":"member dead","name":"n2","unheard_ms":812}
// What a warning means and what to do is in scripts/deploy/RUNBOOK.md.
// Never called on the path of a request that succeeds. Whoever logs does not wait for the output:
// log_queue.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log_event.h"
#include "proto/result.h"

namespace gyre {

enum class LogFormat : std::uint8_t { kText, kJson };

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warn, error, off
  LogFormat format = LogFormat::kText;
  std::string node;  // stands in each line
};

// Sets up the log, on standard error. Before other threads start.
Status InitLog(const LogOptions& options);

// From now on. One of the levels of LogOptions. Any thread.
Status SetLogLevel(std::string_view level);

// Any thread; does not wait and does not throw.
void Log(const LogEvent& event) noexcept;
void LogDebug(std::string_view message, const LogFields& fields = {}) noexcept;
void LogInfo(std::string_view message, const LogFields& fields = {}) noexcept;
void LogWarn(std::string_view message, const LogFields& fields = {}) noexcept;
void LogError(std::string_view message, const LogFields& fields = {}) noexcept;

// As a line of text says it, without what stands in each line.
std::string ToText(const LogEvent& event);

// Whether lines of this level are written: for what is costly to say. Any thread.
bool IsLogged(LogLevel level);

// Waits until what was logged is written, but no longer than `patience`. Any thread.
void FlushLog(Duration patience);

// Lines that nobody will read: the output took nothing while too many waited, or its disk was full.
// Any thread.
std::uint64_t DroppedLogLines();

}  // namespace gyre
