#include "proto/human.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace gyre {
namespace {

// In the largest unit of which there is one, each `step` of the one before: `digits` behind the
// point, none where they say little (what has no unit, `whole_from` and more).
std::string Human(double amount, double step, const std::array<const char*, 6>& units, int digits,
                  double whole_from) {
  std::size_t unit = 0;
  while (amount >= step && unit + 1 < units.size()) {
    amount /= step;
    ++unit;
  }
  char text[48];
  std::snprintf(text, sizeof text, "%.*f%s", unit == 0 || amount >= whole_from ? 0 : digits, amount,
                units[unit]);
  return text;
}

std::string Formatted(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

std::string TwoUnits(std::uint64_t big, char big_unit, std::uint64_t small, char small_unit) {
  std::string text = std::to_string(big) + big_unit;
  if (small > 0) text += std::to_string(small) + small_unit;
  return text;
}

}  // namespace

std::string HumanBytes(double bytes) {
  return Human(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB"}, 1, 100);
}

std::string RedisHumanBytes(double bytes) {
  return Human(bytes, 1024, {"B", "K", "M", "G", "T", "P"}, 2,
               std::numeric_limits<double>::infinity());
}

std::string HumanCount(double count) {
  return Human(count, 1000, {"", "k", "M", "G", "T", "P"}, 1, 100);
}

std::string HumanDuration(double seconds) {
  if (!(seconds >= 0)) return "-";
  const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e15));
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return TwoUnits(whole / 60, 'm', whole % 60, 's');
  if (whole < 86400) return TwoUnits(whole / 3600, 'h', whole % 3600 / 60, 'm');
  return TwoUnits(whole / 86400, 'd', whole % 86400 / 3600, 'h');
}

std::string HumanPercent(double share, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f%%", digits, share * 100);
  return text;
}

std::string HumanInterval(double seconds) { return Formatted("%gs", seconds); }

std::string HumanLatency(double seconds) {
  if (!(seconds >= 0)) return "-";
  if (seconds < 1e-4) return Formatted("%.0fus", seconds * 1e6);
  if (seconds < 1e-2) return Formatted("%.1fms", seconds * 1e3);
  if (seconds < 1) return Formatted("%.0fms", seconds * 1e3);
  return Formatted("%.1fs", seconds);
}

}  // namespace gyre
