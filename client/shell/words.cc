#include "client/shell/words.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>

#include "proto/hex.h"

namespace gyre::client {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kNearMatchesMax = 4;
// A longer word is no mistyped name.
constexpr std::size_t kTypedBytesMax = 64;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

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

// Of the UTF-8 character that `bytes` begin with; 0: they begin with none.
std::size_t CharacterBytes(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes.front());
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || length > bytes.size()) return 0;
  std::uint32_t code = length == 1 ? first : first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(bytes[i]);
    if ((next & 0xc0) != 0x80) return 0;
    code = code << 6 | (next & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

// A terminal obeys control characters, those beyond ASCII (U+0080 to U+009F) too.
bool IsPrintable(std::string_view bytes, std::size_t length) {
  const auto first = static_cast<unsigned char>(bytes.front());
  if (length < 2) return length == 1 && first >= ' ' && first != 0x7f;
  return !(first == 0xc2 && static_cast<unsigned char>(bytes[1]) < 0xa0);
}

}  // namespace

Result<std::vector<Word>> SplitWords(std::string_view line) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (true) {
    while (at < line.size() && IsBlank(line[at])) ++at;
    if (at == line.size()) return words;
    Word& word = words.emplace_back();
    while (at < line.size() && !IsBlank(line[at])) {
      if (line[at] != '"' && line[at] != '\'') {
        word.text += line[at++];
        continue;
      }
      const char quote = line[at];
      word.quoted = true;
      if (!ReadQuoted(line, at, word.text)) {
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

bool HasOpenQuote(std::string_view line) {
  std::size_t at = 0;
  while (at < line.size() && IsBlank(line[at])) ++at;
  if (at < line.size() && line[at] == '#') return false;
  std::string ignored;
  while (at < line.size()) {
    if (line[at] != '"' && line[at] != '\'') {
      ++at;
    } else if (!ReadQuoted(line, at, ignored)) {
      return true;
    }
  }
  return false;
}

std::optional<PipedLine> SplitPipe(std::string_view line) {
  std::string ignored;
  for (std::size_t at = 0; at < line.size();) {
    if (line[at] == '"' || line[at] == '\'') {
      if (!ReadQuoted(line, at, ignored)) return std::nullopt;
      continue;
    }
    const bool alone = line[at] == '|' && at > 0 && IsBlank(line[at - 1]) &&
                       (at + 1 == line.size() || IsBlank(line[at + 1]));
    if (alone) {
      PipedLine cut{std::string(line.substr(0, at)), std::string(line.substr(at + 1))};
      const bool any =
          std::any_of(cut.program.begin(), cut.program.end(), [](char c) { return !IsBlank(c); });
      return any ? std::optional(std::move(cut)) : std::nullopt;
    }
    ++at;
  }
  return std::nullopt;
}

std::string AsWord(std::string_view bytes) {
  bool plain = !bytes.empty() && bytes.front() != '-' && bytes.front() != '#' && bytes != "|";
  for (std::string_view rest = bytes; plain && !rest.empty();) {
    const std::size_t length = CharacterBytes(rest);
    const char c = rest.front();
    plain = IsPrintable(rest, length) && c != ' ' && c != '"' && c != '\'';
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return plain ? std::string(bytes) : Quote(bytes);
}

std::vector<std::string> NearMatches(std::string_view typed,
                                     const std::vector<std::string>& known) {
  if (typed.size() > kTypedBytesMax) return {};
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

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = CharacterBytes(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string Quote(std::string_view bytes) {
  std::string quoted = "\"";
  while (!bytes.empty()) {
    const std::size_t length = CharacterBytes(bytes);
    if (IsPrintable(bytes, length)) {
      if (bytes.front() == '"' || bytes.front() == '\\') quoted += '\\';
      quoted += bytes.substr(0, length);
      bytes.remove_prefix(length);
      continue;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\r') {
      quoted += "\\r";
    } else if (c == '\t') {
      quoted += "\\t";
    } else {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(c));
      quoted += escape;
    }
  }
  return quoted + "\"";
}

std::string Readable(std::string_view bytes) {
  const bool plain = !bytes.empty() && bytes.front() != ' ' && bytes.back() != ' ' &&
                     bytes.front() != '"' && bytes.front() != '(';
  std::string_view rest = bytes;
  while (plain && !rest.empty()) {
    const std::size_t length = CharacterBytes(rest);
    if (!IsPrintable(rest, length)) break;
    rest.remove_prefix(length);
  }
  return plain && rest.empty() ? std::string(bytes) : Quote(bytes);
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string ToUpper(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper;
}

std::string Base64(std::string_view bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const bool padding = at + i > bytes.size();
      text += padding ? '=' : kBase64Alphabet[group >> (18 - 6 * i) & 63];
    }
  }
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::array<std::int8_t, 256> digits;
  digits.fill(-1);
  for (std::size_t i = 0; i < kBase64Alphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kBase64Alphabet[i])] = static_cast<std::int8_t>(i);
  }
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_padding = i >= text.size() - padding;
    const int digit = is_padding ? 0 : digits[static_cast<unsigned char>(text[i])];
    if (digit < 0) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(group >> shift & 255));
    group = 0;
  }
  bytes.resize(bytes.size() - padding);
  // Bits that the padding leaves over must be zero: the same bytes are always the same text.
  return Base64(bytes) == text ? std::optional(std::move(bytes)) : std::nullopt;
}

}  // namespace gyre::client
