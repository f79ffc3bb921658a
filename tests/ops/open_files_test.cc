#include "ops/open_files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <limits>

namespace gyre {
namespace {

TEST(OpenFilesTest, RaisesTheSoftLimitToTheHardOne) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_GT(before.rlim_max, 64U);
  const rlimit low{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);

  const std::size_t raised = RaiseOpenFilesLimit();

  rlimit after{};
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  if (before.rlim_max != RLIM_INFINITY) {
    EXPECT_EQ(raised, before.rlim_max);
  }
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(OpenFilesTest, ClientsGetWhatTheNodeLeaves) {
  const struct {
    std::size_t open_files;
    std::uint32_t threads;
    std::size_t wanted;
    std::size_t expected;
  } cases[] = {
      {std::numeric_limits<std::size_t>::max(), 4, 65'536, 65'536},
      {20'000, 1, 10'000, 10'000},
      {20'000, 1, 65'536, 20'000 - 192},
      {20'000, 8, 65'536, 20'000 - 640},
      {256, 4, 65'536, 128},  // too few for both
      {0, 4, 65'536, 0},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ConnectionsWithin(c.open_files, c.threads, c.wanted), c.expected)
        << c.open_files << ' ' << c.threads;
  }
}

}  // namespace
}  // namespace gyre
