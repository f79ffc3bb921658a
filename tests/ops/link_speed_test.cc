#include "ops/link_speed.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(LinkSpeedTest, OfWhatTheSystemTells) {
  EXPECT_EQ(BytesOfLinkSpeed("1000"), 125'000'000U);
  EXPECT_EQ(BytesOfLinkSpeed("100000\n"), 12'500'000'000U);
  for (const char* unknown : {"-1", "", "x", "0", "4294967295"}) {
    EXPECT_EQ(BytesOfLinkSpeed(unknown), 0U) << unknown;
  }
}

TEST(LinkSpeedTest, OfAddressesThatHaveNone) {
  for (const char* host : {"127.0.0.1", "::1", "192.0.2.1", "node-a", ""}) {
    EXPECT_EQ(LinkBytesPerSecond(host), 0U) << host;
  }
}

}  // namespace
}  // namespace gyre
