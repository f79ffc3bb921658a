#include "proto/human.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(HumanBytesTest, Table) {
  const struct {
    double bytes;
    const char* text;
    const char* redis;
  } table[] = {
      {0, "0 B", "0B"},
      {12, "12 B", "12B"},
      {1023, "1023 B", "1023B"},
      {1024, "1.0 KiB", "1.00K"},
      {1536, "1.5 KiB", "1.50K"},
      {102400, "100 KiB", "100.00K"},
      {268435456, "256 MiB", "256.00M"},
      {1048576 * 1023.0, "1023 MiB", "1023.00M"},
      {3221225472, "3.0 GiB", "3.00G"},
      {1e20, "88818 PiB", "88817.84P"},
  };
  for (const auto& one : table) {
    EXPECT_EQ(HumanBytes(one.bytes), one.text);
    EXPECT_EQ(RedisHumanBytes(one.bytes), one.redis);
  }
}

TEST(HumanCount, GoesByThousands) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1.0k");
  EXPECT_EQ(HumanCount(12'400), "12.4k");
  EXPECT_EQ(HumanCount(256'000'000), "256M");
}

TEST(HumanDuration, AndLatencyAreShort) {
  EXPECT_EQ(HumanDuration(0), "0s");
  EXPECT_EQ(HumanDuration(59.9), "59s");
  EXPECT_EQ(HumanDuration(192), "3m12s");
  EXPECT_EQ(HumanDuration(3600), "1h");
  EXPECT_EQ(HumanDuration(187200), "2d4h");
  EXPECT_EQ(HumanDuration(-1), "-");
  EXPECT_EQ(HumanLatency(0.00004), "40us");
  EXPECT_EQ(HumanLatency(0.0006), "0.6ms");
  EXPECT_EQ(HumanLatency(0.2), "200ms");
  EXPECT_EQ(HumanLatency(1.25), "1.2s");
}

TEST(HumanPercent, IsOfAShare) {
  EXPECT_EQ(HumanPercent(0.125), "12.5%");
  EXPECT_EQ(HumanPercent(1), "100.0%");
  EXPECT_EQ(HumanPercent(0.996, 0), "100%");
  EXPECT_EQ(HumanInterval(0.5), "0.5s");
  EXPECT_EQ(HumanInterval(2), "2s");
}

}  // namespace
}  // namespace gyre
