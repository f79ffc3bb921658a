#include "command/arguments.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace gyre {
namespace {

// Long doubles reach 1e4932: the whole part alone may have 4,933 digits, and INCRBYFLOAT reads back
// what it wrote.
constexpr std::size_t kFloatTextMax = 5119;
constexpr std::int64_t kMemcachedRelativeMax = 60 * 60 * 24 * 30;

char Upper(char byte) {
  return byte >= 'a' && byte <= 'z' ? static_cast<char>(byte & ~0x20) : byte;
}

template <typename Number>
std::optional<Number> ParseWhole(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// from_chars takes "007" and "-0"; a number that INCR writes back must be the text that was there.
bool IsCanonical(std::string_view text) {
  if (text.empty()) return false;
  if (text.front() == '-')
    text.remove_prefix(1);
  else if (text == "0")
    return true;
  return !text.empty() && text.front() != '0';
}

}  // namespace

std::optional<std::int64_t> ParseInteger(std::string_view text) {
  if (!IsCanonical(text)) return std::nullopt;
  return ParseWhole<std::int64_t>(text);
}

std::optional<std::uint64_t> ParseUnsigned(std::string_view text) {
  if (!IsCanonical(text)) return std::nullopt;
  return ParseWhole<std::uint64_t>(text);
}

std::optional<std::uint64_t> ParseLenientUnsigned(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text = text.substr(0, text.find_first_of(kBlanks));
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::optional<std::uint64_t> number = ParseWhole<std::uint64_t>(text);
  return negative && number.value_or(1) != 0 ? std::nullopt : number;
}

std::optional<long double> ParseFloat(std::string_view text) {
  // strtold: std::from_chars does not take what INCRBYFLOAT must ("+1", "0x1p3"). It needs a
  // terminator.
  if (text.empty() || text.size() > kFloatTextMax) return std::nullopt;
  if (std::isspace(static_cast<unsigned char>(text.front())) != 0) return std::nullopt;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long double number = std::strtold(copy.c_str(), &end);
  if (end != copy.data() + text.size()) return std::nullopt;
  if (errno == ERANGE && (number == HUGE_VALL || number == -HUGE_VALL || number == 0)) {
    return std::nullopt;
  }
  if (std::isnan(number)) return std::nullopt;
  return number;
}

std::string FormatFloat(long double number) {
  std::string text(kFloatTextMax + 1, '\0');
  const int size = std::snprintf(text.data(), text.size(), "%.17Lf", number);
  text.resize(static_cast<std::size_t>(std::max(size, 0)));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), LowerCase);
  return lower;
}

std::string ToUpper(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(), Upper);
  return upper;
}

std::optional<UnixMillis> ParseMemcachedExpiry(std::string_view text, UnixMillis now) {
  const std::optional<std::int64_t> seconds = ParseWhole<std::int64_t>(text);
  if (!seconds) return std::nullopt;
  if (*seconds == 0) return kNeverExpires;
  if (*seconds < 0) return kLongExpired;
  if (*seconds <= kMemcachedRelativeMax) return now + *seconds * 1000;
  if (*seconds > std::numeric_limits<std::int64_t>::max() / 1000) return kNeverExpires;
  return *seconds * 1000;
}

}  // namespace gyre
