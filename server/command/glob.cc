#include "command/glob.h"

#include <cstddef>
#include <utility>

namespace gyre {
namespace {

unsigned char Fold(char byte, bool ignore_case) {
  if (ignore_case && byte >= 'A' && byte <= 'Z') return static_cast<unsigned char>(byte | 0x20);
  return static_cast<unsigned char>(byte);
}

// One element of a pattern other than `*`: how many bytes of the pattern it is, and whether it
// matches `byte`.
struct Element {
  std::size_t bytes;
  bool matches;
};

// A class that is not closed extends to the end of the pattern.
Element MatchClass(std::string_view pattern, char byte, bool ignore_case) {
  const unsigned char wanted = Fold(byte, ignore_case);
  std::size_t i = 1;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  bool found = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      found = found || Fold(pattern[i], ignore_case) == wanted;
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      unsigned char low = Fold(pattern[i], ignore_case);
      unsigned char high = Fold(pattern[i + 2], ignore_case);
      if (low > high) std::swap(low, high);
      found = found || (wanted >= low && wanted <= high);
      i += 2;
    } else {
      found = found || Fold(pattern[i], ignore_case) == wanted;
    }
  }
  return {i < pattern.size() ? i + 1 : i, found != negated};
}

Element MatchElement(std::string_view pattern, char byte, bool ignore_case) {
  switch (pattern.front()) {
    case '?':
      return {1, true};
    case '[':
      return MatchClass(pattern, byte, ignore_case);
    case '\\':
      if (pattern.size() > 1) return {2, Fold(pattern[1], ignore_case) == Fold(byte, ignore_case)};
      break;
    default:
      break;
  }
  return {1, Fold(pattern.front(), ignore_case) == Fold(byte, ignore_case)};
}

}  // namespace

bool GlobMatches(std::string_view pattern, std::string_view text, bool ignore_case) {
  // Where to go on when an element fails: behind the latest `*`, which then takes one byte more.
  bool star_seen = false;
  std::string_view star_pattern;
  std::string_view star_text;
  for (;;) {
    if (!pattern.empty() && pattern.front() == '*') {
      pattern.remove_prefix(1);
      star_seen = true;
      star_pattern = pattern;
      star_text = text;
      continue;
    }
    if (text.empty() && pattern.empty()) return true;
    if (!text.empty() && !pattern.empty()) {
      const Element element = MatchElement(pattern, text.front(), ignore_case);
      if (element.matches) {
        pattern.remove_prefix(element.bytes);
        text.remove_prefix(1);
        continue;
      }
    }
    if (!star_seen || star_text.empty()) return false;
    star_text.remove_prefix(1);
    pattern = star_pattern;
    text = star_text;
  }
}

}  // namespace gyre
