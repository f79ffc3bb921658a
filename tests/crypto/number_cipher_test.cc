#include "crypto/number_cipher.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace gyre {
namespace {

const std::string kCipherKey(NumberCipher::kKeyBytes, 'k');

TEST(NumberCipherTest, IsAPermutationThatKeepsZero) {
  for (const int bits : {2, 3, 9, 12}) {
    const NumberCipher cipher(kCipherKey, bits);
    std::set<std::uint64_t> seen;
    for (std::uint64_t number = 0; number < std::uint64_t{1} << bits; ++number) {
      const std::uint64_t hidden = cipher.Encipher(number, 7);
      EXPECT_LT(hidden, std::uint64_t{1} << bits);
      EXPECT_TRUE(seen.insert(hidden).second);
      EXPECT_EQ(cipher.Decipher(hidden, 7), number);
      EXPECT_EQ(hidden == 0, number == 0);
    }
  }
}

TEST(NumberCipherTest, KeyAndTweakCount) {
  const NumberCipher cipher(kCipherKey, 39);
  const NumberCipher other(std::string(NumberCipher::kKeyBytes, 'l'), 39);
  int same = 0;
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    same += cipher.Encipher(number, 1) == cipher.Encipher(number, 2) ? 1 : 0;
    same += cipher.Encipher(number, 1) == other.Encipher(number, 1) ? 1 : 0;
    EXPECT_EQ(cipher.Decipher(cipher.Encipher(number, 1), 1), number);
  }
  EXPECT_EQ(same, 0);
}

// Neighbours are as far from each other as any two numbers.
TEST(NumberCipherTest, TellsNothingOfNeighbours) {
  const NumberCipher cipher(kCipherKey, 39);
  int flipped = 0;
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    const std::uint64_t differ = cipher.Encipher(number, 0) ^ cipher.Encipher(number + 1, 0);
    for (int bit = 0; bit < 39; ++bit) flipped += static_cast<int>(differ >> bit & 1);
  }
  EXPECT_NEAR(flipped / 39'000.0, 0.5, 0.02);
}

}  // namespace
}  // namespace gyre
