#include "proto/name_index.h"

#include <gtest/gtest.h>

#include <string>

#include "proto/upper_case.h"

namespace gyre {
namespace {

// As many names as there may be commands one day, of all lengths.
constexpr std::size_t kMany = 400;
constexpr std::size_t kLengths = 23;  // 2 to 24 bytes

constexpr auto kLetters = [] {
  std::array<std::array<char, 24>, kMany> all{};
  for (std::size_t i = 0; i < kMany; ++i) {
    for (std::size_t at = 0; at < 24; ++at) {
      all[i][at] = static_cast<char>('a' + (i * 7 + at * 3) % 26);
    }
    all[i][0] = static_cast<char>('a' + i / 26);
    all[i][1] = static_cast<char>('a' + i % 26);
    all[i][2] = i % 3 == 0 ? '.' : all[i][2];
  }
  return all;
}();

constexpr auto kNames = [] {
  std::array<NumberedName, kMany> names;
  for (std::size_t i = 0; i < kMany; ++i) {
    names[i] = {{kLetters[i].data(), 2 + i % kLengths}, static_cast<std::uint16_t>(i)};
  }
  return names;
}();

constexpr NameIndex<kMany> kManyIndex(kNames);

TEST(NameIndexTest, HoldsFourHundredNames) {
  for (const auto& [name, number] : kNames) {
    EXPECT_EQ(kManyIndex.Find(name), number) << name;
    EXPECT_EQ(kManyIndex.Find(UpperCase(name)), number) << name;
    EXPECT_EQ(kManyIndex.Find(std::string(name) + "x"), kManyIndex.kNone) << name;
    EXPECT_EQ(kManyIndex.Find(std::string(name) + '\0'), kManyIndex.kNone) << name;
  }
  EXPECT_LE(sizeof kManyIndex, 96U * 1024);
}

TEST(NameIndexTest, IsTheSameWhenItIsCompiled) {
  static_assert(kManyIndex.Find(kNames[7].name) == 7);
  static_assert(kManyIndex.Find("") == kManyIndex.kNone);
}

TEST(NameIndexTest, ComparesWholeNames) {
  static constexpr NameIndex<5> kIndex({{{"a", 1},
                                         {"mc.get", 2},
                                         {"geohash_of_two_things", 3},
                                         {"geohash_of_six_things", 4},
                                         {"twenty-four-bytes-are-it", 5}}});
  EXPECT_EQ(kIndex.Find("A"), 1);
  EXPECT_EQ(kIndex.Find("Mc.Get"), 2);
  EXPECT_EQ(kIndex.Find("GEOHASH_OF_TWO_THINGS"), 3);
  EXPECT_EQ(kIndex.Find("geohash_of_six_things"), 4);
  EXPECT_EQ(kIndex.Find("twenty-four-bytes-ARE-it"), 5);
  // The last three differ from a name in bit 5 only, where it has no letter.
  for (const char* name :
       {"", "b", "aa", "mc.", "mc.gett", "geohash_of_ten_things", "twenty-four-bytes-are-itt",
        "mc\x0eget", "geohash\x7fof_two_things", "twenty\rfour-bytes-are-it"}) {
    EXPECT_EQ(kIndex.Find(name), kIndex.kNone) << name;
  }
}

}  // namespace
}  // namespace gyre
