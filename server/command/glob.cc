#include "command/glob.h"

#include <string>
#include <utility>

namespace gyre {
namespace {

constexpr std::size_t kWordBits = 64;

unsigned char FoldCase(unsigned char byte, bool ignore_case) {
  return ignore_case && byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

unsigned char FoldCase(char byte, bool ignore_case) {
  return FoldCase(static_cast<unsigned char>(byte), ignore_case);
}

// A class at the front of `pattern`, as Redis reads it: one that is not closed extends to the end.
// Adds the bytes, folded, that stand in it; returns its length.
std::size_t ParseClass(std::string_view pattern, bool ignore_case, std::bitset<256>& members,
                       bool& negated) {
  std::size_t i = 1;
  negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      members.set(FoldCase(pattern[++i], ignore_case));
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      unsigned char low = FoldCase(pattern[i], ignore_case);
      unsigned char high = FoldCase(pattern[i + 2], ignore_case);
      if (low > high) std::swap(low, high);
      for (unsigned byte = low; byte <= high; ++byte) members.set(byte);
      i += 2;
    } else {
      members.set(FoldCase(pattern[i], ignore_case));
    }
  }
  return i < pattern.size() ? i + 1 : i;
}

}  // namespace

Result<Glob> Glob::Parse(std::string_view pattern, bool ignore_case) {
  if (pattern.size() > kPatternBytesMax) {
    return Fail(ErrorCode::kInvalidArgument,
                "the pattern is longer than " + std::to_string(kPatternBytesMax) + " bytes");
  }
  Glob glob;
  glob.segments_.emplace_back();
  while (!pattern.empty()) {
    std::size_t bytes = 1;
    if (pattern.front() == '*') {
      // An empty segment between two stars says nothing.
      if (glob.segments_.size() == 1 || !glob.segments_.back().elements.empty()) {
        glob.segments_.emplace_back();
      }
    } else {
      Segment& segment = glob.segments_.back();
      segment.elements.push_back(ParseElement(pattern, ignore_case, bytes));
    }
    pattern.remove_prefix(bytes);
  }
  for (std::size_t i = 1; i + 1 < glob.segments_.size(); ++i) BuildMasks(glob.segments_[i]);
  glob.is_star_ = glob.segments_.size() == 2 && glob.segments_[0].elements.empty() &&
                  glob.segments_[1].elements.empty();
  return glob;
}

Glob::Element Glob::ParseElement(std::string_view pattern, bool ignore_case, std::size_t& bytes) {
  Element folded;
  bool negated = false;
  if (pattern.front() == '?') {
    bytes = 1;
    return folded.set();
  }
  if (pattern.front() == '[') {
    bytes = ParseClass(pattern, ignore_case, folded, negated);
  } else {
    bytes = pattern.front() == '\\' && pattern.size() > 1 ? 2 : 1;
    folded.set(FoldCase(pattern[bytes - 1], ignore_case));
  }
  if (ignore_case) {
    for (unsigned byte = 'A'; byte <= 'Z'; ++byte) folded[byte] = folded[byte | 0x20];
  }
  return negated ? ~folded : folded;
}

void Glob::BuildMasks(Segment& segment) {
  segment.words = (segment.elements.size() + kWordBits - 1) / kWordBits;
  segment.masks.resize(256 * segment.words);
  for (std::size_t i = 0; i < segment.elements.size(); ++i) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if (!segment.elements[i][byte]) continue;
      segment.masks[byte * segment.words + i / kWordBits] |= std::uint64_t{1} << i % kWordBits;
    }
  }
}

bool Glob::Matches(std::string_view text, std::size_t& steps) const {
  const Segment& head = segments_.front();
  ++steps;
  if (text.size() < head.elements.size() || !MatchesAt(head, text, steps)) return false;
  text.remove_prefix(head.elements.size());
  if (segments_.size() == 1) return text.empty();
  const Segment& tail = segments_.back();
  if (text.size() < tail.elements.size()) return false;
  const std::size_t middle = text.size() - tail.elements.size();
  if (!MatchesAt(tail, text.substr(middle), steps)) return false;
  text = text.substr(0, middle);
  for (std::size_t i = 1; i + 1 < segments_.size(); ++i) {
    const std::size_t end = FindEnd(segments_[i], text, steps);
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end);
  }
  return true;
}

bool Glob::MatchesAt(const Segment& segment, std::string_view text, std::size_t& steps) {
  for (std::size_t i = 0; i < segment.elements.size(); ++i) {
    if (!segment.elements[i][static_cast<unsigned char>(text[i])]) {
      steps += i;
      return false;
    }
  }
  steps += segment.elements.size();
  return true;
}

std::size_t Glob::FindEnd(const Segment& segment, std::string_view text, std::size_t& steps) {
  const std::size_t words = segment.words;
  const std::size_t last = segment.elements.size() - 1;
  const std::uint64_t found = std::uint64_t{1} << last % kWordBits;
  // Bit i: the elements up to i match what was read last.
  std::vector<std::uint64_t> states(words);
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::uint64_t* const mask = &segment.masks[static_cast<unsigned char>(text[at]) * words];
    std::uint64_t carry = 1;
    for (std::size_t i = 0; i < words; ++i) {
      const std::uint64_t next_carry = states[i] >> (kWordBits - 1);
      states[i] = (states[i] << 1 | carry) & mask[i];
      carry = next_carry;
    }
    if ((states[last / kWordBits] & found) != 0) {
      steps += (at + 1) * words;
      return at + 1;
    }
  }
  steps += text.size() * words;
  return std::string_view::npos;
}

bool GlobMatches(std::string_view pattern, std::string_view text, bool ignore_case) {
  const Result<Glob> glob = Glob::Parse(pattern, ignore_case);
  return glob && glob->Matches(text);
}

}  // namespace gyre
