#include "client/shell/words.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>

namespace gyre::client {
namespace {

constexpr std::size_t kNearMatchesMax = 4;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Reads one escape behind a backslash at `at`, and moves `at` behind it.
char Unescape(std::string_view line, std::size_t& at) {
  const char c = line[at++];
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x':
      if (at + 1 < line.size() && HexDigit(line[at]) >= 0 && HexDigit(line[at + 1]) >= 0) {
        at += 2;
        return static_cast<char>(HexDigit(line[at - 2]) * 16 + HexDigit(line[at - 1]));
      }
      return c;
    default:
      return c;
  }
}

// Reads a quoted word whose opening quote stands at `at`. False: it does not end.
bool ReadQuoted(std::string_view line, std::size_t& at, std::string& word) {
  const char quote = line[at++];
  while (at < line.size()) {
    const char c = line[at++];
    if (c == quote) return true;
    if (c != '\\' || at == line.size()) {
      word += c;
    } else if (quote == '"') {
      word += Unescape(line, at);
    } else {
      if (line[at] != '\'') word += c;
      word += line[at++];
    }
  }
  return false;
}

// Insertions, deletions, changes and swaps of neighbours (optimal string alignment).
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string Human(double number, double step, const std::array<const char*, 6>& units) {
  std::size_t unit = 0;
  while (number >= step && unit + 1 < units.size()) {
    number /= step;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || number >= 100 ? "%.0f%s" : "%.1f%s", number,
                units[unit]);
  return text;
}

}  // namespace

Result<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (true) {
    while (at < line.size() && IsBlank(line[at])) ++at;
    if (at == line.size()) return words;
    std::string& word = words.emplace_back();
    while (at < line.size() && !IsBlank(line[at])) {
      if (line[at] != '"' && line[at] != '\'') {
        word += line[at++];
        continue;
      }
      const char quote = line[at];
      if (!ReadQuoted(line, at, word)) {
        return Error{ErrorCode::kInvalidArgument,
                     std::string("the quote ") + quote + " does not end"};
      }
      if (at < line.size() && !IsBlank(line[at])) {
        return Error{ErrorCode::kInvalidArgument,
                     std::string("after the closing ") + quote + " comes a blank"};
      }
    }
  }
}

std::vector<std::string> NearMatches(std::string_view typed,
                                     const std::vector<std::string>& known) {
  std::vector<std::pair<std::size_t, std::string>> matches;
  const std::size_t edits_max = std::max<std::size_t>(1, typed.size() / 3);
  for (const std::string& name : known) {
    const std::size_t edits = EditDistance(typed, name);
    if (edits <= edits_max || (!typed.empty() && name.starts_with(typed))) {
      matches.emplace_back(edits, name);
    }
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (auto& [edits, name] : matches) {
    if (names.size() < kNearMatchesMax) names.push_back(std::move(name));
  }
  return names;
}

std::string Quote(std::string_view bytes) {
  std::string quoted = "\"";
  for (const char c : bytes) {
    switch (c) {
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\t':
        quoted += "\\t";
        break;
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          quoted += c;
        } else {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(c));
          quoted += escape;
        }
    }
  }
  return quoted + "\"";
}

bool IsUtf8(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto first = static_cast<unsigned char>(bytes[at]);
    const int length = first < 0x80                    ? 1
                       : first >= 0xc2 && first < 0xe0 ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
    if (length == 0 || at + static_cast<std::size_t>(length) > bytes.size()) return false;
    std::uint32_t code = length == 1 ? first : first & (0x7f >> length);
    for (int i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    at += static_cast<std::size_t>(length);
  }
  return true;
}

std::string Base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const bool padding = at + i > bytes.size();
      text += padding ? '=' : kAlphabet[group >> (18 - 6 * i) & 63];
    }
  }
  return text;
}

std::string HumanBytes(double bytes) {
  return Human(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB"});
}

std::string HumanCount(double count) { return Human(count, 1000, {"", "k", "M", "G", "T", "P"}); }

}  // namespace gyre::client
