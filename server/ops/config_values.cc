// The values that options are written in: sizes, durations, addresses.
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "ops/config.h"
#include "ops/config_options.h"

namespace gyre {
namespace {

// Takes a decimal number from the front of `text`.
bool TakeNumber(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::string_view TakeLetters(std::string_view& text) {
  std::size_t count = 0;
  while (count < text.size() && std::isalpha(static_cast<unsigned char>(text[count])) != 0) ++count;
  const std::string_view letters = text.substr(0, count);
  text.remove_prefix(count);
  return letters;
}

// Nothing if `unit` is none.
int ShiftOf(std::string_view unit) {
  std::string lower;
  for (const char c : unit) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  static constexpr std::array<std::string_view, 4> kPrefixes = {"k", "m", "g", "t"};
  if (lower.empty() || lower == "b") return 0;
  for (std::size_t i = 0; i < kPrefixes.size(); ++i) {
    const std::string prefix(kPrefixes[i]);
    if (lower == prefix || lower == prefix + "b" || lower == prefix + "ib") {
      return static_cast<int>(10 * (i + 1));
    }
  }
  return -1;
}

struct TimeUnit {
  std::string_view name;
  Duration length;
};
constexpr std::array<TimeUnit, 5> kTimeUnits = {{{"ms", std::chrono::milliseconds(1)},
                                                 {"s", std::chrono::seconds(1)},
                                                 {"m", std::chrono::minutes(1)},
                                                 {"h", std::chrono::hours(1)},
                                                 {"d", std::chrono::hours(24)}}};
// Long enough for any option, and the sum of a few cannot overflow.
constexpr Duration kDurationMax = std::chrono::hours(24 * 365 * 10);

}  // namespace

Result<std::size_t> ParseBytes(const std::string& text) {
  const std::string advice =
      "'" + text + "' is not a size: write a number with K, M, G or T, e.g. 256MiB";
  std::string_view rest = text;
  std::uint64_t number = 0;
  if (!TakeNumber(rest, number)) return Invalid(advice);
  const int shift = ShiftOf(rest);
  if (shift < 0) return Invalid(advice);
  if (number > std::numeric_limits<std::size_t>::max() >> shift) return Invalid(advice);
  return static_cast<std::size_t>(number) << shift;
}

Result<Duration> ParseDuration(const std::string& text) {
  const std::string advice =
      "'" + text + "' is not a duration: write a number with ms, s, m, h or d, e.g. 5m";
  if (text == "0") return Duration::zero();
  if (text.empty()) return Invalid(advice);
  std::string_view rest = text;
  Duration sum{};
  while (!rest.empty()) {
    std::uint64_t number = 0;
    if (!TakeNumber(rest, number)) return Invalid(advice);
    const std::string_view name = TakeLetters(rest);
    const TimeUnit* found = nullptr;
    for (const TimeUnit& unit : kTimeUnits) {
      if (unit.name == name) found = &unit;
    }
    if (found == nullptr) return Invalid(advice);
    if (number > static_cast<std::uint64_t>(kDurationMax / found->length)) {
      return Invalid("'" + text + "' is too long: ten years at most");
    }
    sum += static_cast<std::int64_t>(number) * found->length;
    if (sum > kDurationMax) return Invalid("'" + text + "' is too long: ten years at most");
  }
  return sum;
}

std::string FormatDuration(Duration duration) {
  if (duration == Duration::zero()) return "0";
  const TimeUnit* best = &kTimeUnits.front();
  for (const TimeUnit& unit : kTimeUnits) {
    if (duration % unit.length == Duration::zero()) best = &unit;
  }
  return std::to_string(duration / best->length) + std::string(best->name);
}

std::string FormatHostPort(const HostPort& both) {
  const bool wide = both.host.find(':') != std::string::npos;  // an IPv6 address
  return (wide ? '[' + both.host + ']' : both.host) + ':' + std::to_string(both.port);
}

Result<HostPort> ParseHostPort(const std::string& text) {
  const std::string advice = "'" + text + "' is not HOST:PORT, e.g. 127.0.0.1:7700";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return Invalid(advice);
  HostPort result;
  result.host = text.substr(0, colon);
  if (result.host.front() == '[' && result.host.back() == ']') {
    result.host = result.host.substr(1, result.host.size() - 2);
  } else if (result.host.find(':') != std::string::npos) {
    return Invalid("'" + text + "' is ambiguous: write an IPv6 address as [ADDRESS]:PORT");
  }
  std::string_view port = std::string_view(text).substr(colon + 1);
  std::uint64_t number = 0;
  if (result.host.empty() || !TakeNumber(port, number) || !port.empty() || number == 0 ||
      number > 65535) {
    return Invalid(advice);
  }
  result.port = static_cast<std::uint16_t>(number);
  return result;
}

}  // namespace gyre
