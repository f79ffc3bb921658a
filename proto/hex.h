// Bytes as hexadecimal digits.
#pragma once

#include <string>
#include <string_view>

namespace gyre {

// As they are written; HexDigit reads capitals, too.
inline constexpr std::string_view kHexDigits = "0123456789abcdef";

// -1: it is none.
constexpr int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline void AppendHex(unsigned char byte, std::string& out) {
  out.push_back(kHexDigits[byte >> 4]);
  out.push_back(kHexDigits[byte & 0xf]);
}

}  // namespace gyre
