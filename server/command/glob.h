// Glob patterns as KEYS, SCAN and CONFIG GET take them: * ? [a-c] [^a] \x
//
// What stands between two stars is looked for as early as possible in the text, because a later
// match would leave less for the rest; no choice is ever taken back. Each search goes through the
// text once, with one bit for each element of the pattern (the Shift-And algorithm of Baeza-Yates
// and Gonnet). So a match costs at most text x pattern / 64 steps, whatever the two are.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "proto/result.h"

namespace gyre {

class Glob {
 public:
  // With the longest key: 4 million steps, a few milliseconds.
  static constexpr std::size_t kPatternBytesMax = 4096;

  // kInvalidArgument for a longer one. Keeps nothing of `pattern`.
  static Result<Glob> Parse(std::string_view pattern, bool ignore_case = false);

  // Adds the steps that it took to `steps`.
  bool Matches(std::string_view text, std::size_t& steps) const;
  bool Matches(std::string_view text) const {
    std::size_t steps = 0;
    return Matches(text, steps);
  }
  bool matches_all() const { return is_star_; }

 private:
  using Element = std::bitset<256>;  // the bytes that it matches

  // What stands between two stars.
  struct Segment {
    std::vector<Element> elements;
    std::size_t words = 0;             // of one bit for each element
    std::vector<std::uint64_t> masks;  // [byte * words + i]: the elements that match the byte
  };

  static Element ParseElement(std::string_view pattern, bool ignore_case, std::size_t& bytes);
  static void BuildMasks(Segment& segment);
  // Whether `segment` matches at the front of `text`, which is long enough.
  static bool MatchesAt(const Segment& segment, std::string_view text, std::size_t& steps);
  // Where the first match ends in `text`; npos: there is none.
  static std::size_t FindEnd(const Segment& segment, std::string_view text, std::size_t& steps);

  // The first stands at the text's front, the last at its end; only one: it is all of the text.
  std::vector<Segment> segments_;
  bool is_star_ = false;
};

// Whether the pattern, parsed for this once, matches. One that is too long does not.
bool GlobMatches(std::string_view pattern, std::string_view text, bool ignore_case = false);

}  // namespace gyre
