// Words of commands and of their options: ASCII, in any case.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace gyre {

constexpr char LowerCase(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
}

// Whether the two are one word.
constexpr bool IsWord(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                    [](char a, char b) { return LowerCase(a) == LowerCase(b); });
}

// Takes the first word from a list of words with one blank between two. Empty: there is none left.
constexpr std::string_view TakeWord(std::string_view& words) {
  const std::size_t end = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

}  // namespace gyre
