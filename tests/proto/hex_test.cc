#include "proto/hex.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(HexTest, EachByteIsReadAsItWasWritten) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    AppendHex(static_cast<unsigned char>(byte), text);
    ASSERT_EQ(text.size(), 2U);
    EXPECT_EQ(HexDigit(text[0]) * 16 + HexDigit(text[1]), byte) << text;
  }
}

TEST(HexTest, CapitalsAreDigitsAndTheirNeighboursAreNot) {
  EXPECT_EQ(HexDigit('A'), 10);
  EXPECT_EQ(HexDigit('F'), 15);
  for (const char c : {'/', ':', '@', 'G', '`', 'g', '\0', '\xff'}) EXPECT_EQ(HexDigit(c), -1) << c;
}

}  // namespace
}  // namespace gyre
