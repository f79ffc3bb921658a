// What happened, in words that do not change, and its facts: a line of the log before it is written.
// Pure parts return it as an action; log.h writes it.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gyre {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

// A fact: a name in snake_case that says its unit (after_ms, output_bytes), and its value. Not time,
// level, node, thread or message: those stand in each line.
struct LogField {
  using Value = std::variant<bool, std::int64_t, std::uint64_t, std::string>;

  LogField(const char* its_name, std::string text) : name(its_name), value(std::move(text)) {}
  LogField(const char* its_name, std::string_view text)
      : name(its_name), value(std::string(text)) {}
  LogField(const char* its_name, const char* text) : name(its_name), value(std::string(text)) {}
  LogField(const char* its_name, bool yes) : name(its_name), value(yes) {}

  template <std::signed_integral T>
  LogField(const char* its_name, T number)
      : name(its_name), value(static_cast<std::int64_t>(number)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogField(const char* its_name, T number)
      : name(its_name), value(static_cast<std::uint64_t>(number)) {}

  std::string_view name;  // of a literal
  Value value;
};
using LogFields = std::vector<LogField>;

struct LogEvent {
  LogLevel level = LogLevel::kInfo;
  std::string message;
  LogFields fields;
};

}  // namespace gyre
