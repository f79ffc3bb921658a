#include "proto/node_id.h"

#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

namespace gyre::testing {
namespace {

constexpr const char* kText = "8f14e45f-ceea-467f-9c5a-1d2b3c4d5e6f";

TEST(NodeIdTest, ReadsAndWritesText) {
  const auto id = NodeId::Parse(kText);
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->ToString(), kText);
  EXPECT_EQ(id->raw(), "\x8f\x14\xe4\x5f\xce\xea\x46\x7f\x9c\x5a\x1d\x2b\x3c\x4d\x5e\x6f");
  EXPECT_EQ(NodeId::Parse("8F14E45F-CEEA-467F-9C5A-1D2B3C4D5E6F"), id);
}

TEST(NodeIdTest, RefusesOtherText) {
  const std::string good = kText;
  const std::string cases[] = {
      "",
      "8f14e45f",
      good.substr(0, good.size() - 1),
      good + "0",
      good + " ",
      " " + good,
      "{" + good + "}",
      "8f14e45fceea467f9c5a1d2b3c4d5e6f",
      "8f14e45f-ceea-467f-9c5a-1d2b3c4d5e6g",
      "8f14e45fc-eea-467f-9c5a-1d2b3c4d5e6f",
      "8f14e45f_ceea_467f_9c5a_1d2b3c4d5e6f",
  };
  for (const std::string& text : cases) EXPECT_FALSE(NodeId::Parse(text).has_value()) << text;
}

TEST(NodeIdTest, TravelsAsSixteenBytes) {
  const NodeId id = *NodeId::Parse(kText);
  EXPECT_EQ(NodeId::FromBytes(id.raw()), id);
  EXPECT_FALSE(NodeId::FromBytes("").has_value());
  EXPECT_FALSE(NodeId::FromBytes(id.raw().substr(1)).has_value());
  EXPECT_FALSE(NodeId::FromBytes(std::string(id.raw()) + "x").has_value());
}

TEST(NodeIdTest, RedisFormHasFortyDigits) {
  EXPECT_EQ(NodeId::Parse(kText)->ToRedisId(), "8f14e45fceea467f9c5a1d2b3c4d5e6f00000000");
}

TEST(NodeIdTest, RandomOnesAreOfVersionFour) {
  std::array<std::uint8_t, 16> random{};
  EXPECT_EQ(NodeIdFromRandom(random).ToString(), "00000000-0000-4000-8000-000000000000");
  random.fill(0xff);
  EXPECT_EQ(NodeIdFromRandom(random).ToString(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST(NodeIdTest, OrdersByBytesAndHashes) {
  const NodeId low = *NodeId::Parse("00000000-0000-4000-8000-000000000001");
  const NodeId high = *NodeId::Parse("01000000-0000-4000-8000-000000000000");
  EXPECT_LT(low, high);
  const std::unordered_set<NodeId> ids = {low, high, low};
  EXPECT_EQ(ids.size(), 2U);
}

}  // namespace
}  // namespace gyre::testing
