// The glob matcher against the plainest one that can be written, on small inputs: the same answer,
// whatever the pattern. The first byte says how long the pattern is.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "command/glob.h"

namespace {

// Redis's rules (src/util.c, stringmatchlen), by recursion: exponential, so only for small inputs.
bool Matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return Matches(pattern.substr(1), text) || (!text.empty() && Matches(pattern, text.substr(1)));
  }
  if (text.empty()) return false;
  const auto byte = static_cast<unsigned char>(text.front());
  bool one = true;
  std::size_t used = 1;
  if (pattern.front() == '[') {
    const bool negated = pattern.size() > 1 && pattern[1] == '^';
    used = negated ? 2 : 1;
    bool found = false;
    for (;; ++used) {
      if (used >= pattern.size()) break;  // unclosed: the class ends with the pattern
      if (pattern[used] == '\\' && used + 1 < pattern.size()) {
        ++used;
        found = found || static_cast<unsigned char>(pattern[used]) == byte;
      } else if (pattern[used] == ']') {
        ++used;
        break;
      } else if (used + 2 < pattern.size() && pattern[used + 1] == '-') {
        auto low = static_cast<unsigned char>(pattern[used]);
        auto high = static_cast<unsigned char>(pattern[used + 2]);
        if (low > high) std::swap(low, high);
        found = found || (byte >= low && byte <= high);
        used += 2;
      } else {
        found = found || static_cast<unsigned char>(pattern[used]) == byte;
      }
    }
    one = found != negated;
  } else if (pattern.front() == '\\' && pattern.size() > 1) {
    used = 2;
    one = static_cast<unsigned char>(pattern[1]) == byte;
  } else if (pattern.front() != '?') {
    one = static_cast<unsigned char>(pattern.front()) == byte;
  }
  return one && Matches(pattern.substr(std::min(used, pattern.size())), text.substr(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view pattern = bytes.substr(0, data[0]);
  const std::string_view text = bytes.substr(pattern.size());
  const bool matches = gyre::GlobMatches(pattern, text);
  (void)gyre::GlobMatches(pattern, text, /*ignore_case=*/true);
  constexpr std::size_t kSmall = 12;
  if (pattern.size() <= kSmall && text.size() <= kSmall && matches != Matches(pattern, text)) {
    std::abort();
  }
  return 0;
}
