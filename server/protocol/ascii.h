// What the text protocols share: numbers and lines, written and read without allocation.
//
// Writing goes through a raw cursor: `Buffer::Prepare` once for all of an item, `Put...` moves the
// cursor on, `Buffer::Commit` by what it moved. One bounds check an item, one memcpy a value.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/buffer.h"

namespace gyre {

inline constexpr std::string_view kCrLf = "\r\n";
// "-9223372036854775808" and "18446744073709551615" both have 20 characters.
inline constexpr std::size_t kIntegerTextMax = 20;
// The shortest text that reads back as the same double has at most 24 characters
// ("-2.2250738585072014e-308").
inline constexpr std::size_t kDoubleTextMax = 32;

inline char* Put(char* at, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

// Writes at most kIntegerTextMax characters.
template <typename Integer>
char* PutInteger(char* at, Integer value) {
  return std::to_chars(at, at + kIntegerTextMax, value).ptr;
}

// Writes at most kDoubleTextMax characters: the shortest that reads back the same; "inf", "-inf",
// "nan".
inline char* PutDouble(char* at, double value) {
  if (value != value) return Put(at, "nan");  // whatever its sign
  return std::to_chars(at, at + kDoubleTextMax, value).ptr;
}

// Writes exactly text.size() characters. CR and LF become spaces: text from elsewhere (a key in a
// message) must not end the line early and pass for a reply of its own.
inline char* PutOneLine(char* at, std::string_view text) {
  for (const char c : text) *at++ = (c == '\r' || c == '\n') ? ' ' : c;
  return at;
}

// Whether `text` is `lower`, a word in lower case, in any case.
inline bool EqualsLetters(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
         });
}

// Decimal, an optional sign in front, nothing else around it; nothing if out of the type's range.
template <typename Integer>
std::optional<Integer> ParseInteger(std::string_view text) {
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  Integer value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// A piece of the input as numbers, not as pointers: input may move between two calls of Decode. 32
// bits are enough, because a request is bounded well below 4 GiB (kRequestBytesHardMax).
struct Span {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;

  std::string_view In(std::string_view input) const { return input.substr(offset, bytes); }
};

inline constexpr std::size_t kRequestBytesHardMax = 0x8000'0000;

}  // namespace gyre
