#include "ops/surroundings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace gyre {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// A machine made of files: /proc/self and what the control groups say.
class ControlGroupTest : public ::testing::Test {
 protected:
  ControlGroupTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = std::filesystem::temp_directory_path() /
            ("gyre-cgroup-" + std::to_string(getpid()) + '-' + test->name());
  }
  ~ControlGroupTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void Process(const std::string& groups, const std::string& mounts) {
    Write("/proc/self/cgroup", groups);
    Write("/proc/self/mountinfo", mounts);
  }
  std::size_t Limit() const { return ControlGroupMemoryLimit(root_); }

  std::string root_;
};

constexpr const char* kVersion2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
constexpr const char* kVersion1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST_F(ControlGroupTest, Version2InAContainer) {
  Process("0::/\n", kVersion2);
  Write("/sys/fs/cgroup/memory.max", "100663296\n");
  EXPECT_EQ(Limit(), 96 * kMiB);
}

TEST_F(ControlGroupTest, Version2OfAUnitHasTheLeastOnItsWay) {
  Process("0::/system.slice/gyred@n1.service\n", kVersion2);
  Write("/sys/fs/cgroup/system.slice/gyred@n1.service/memory.max", "max\n");
  EXPECT_EQ(Limit(), 0U) << "no limit yet";
  Write("/sys/fs/cgroup/system.slice/memory.max", "67108864\n");
  EXPECT_EQ(Limit(), 64 * kMiB) << "of the slice";
  Write("/sys/fs/cgroup/system.slice/gyred@n1.service/memory.max", "33554432\n");
  EXPECT_EQ(Limit(), 32 * kMiB) << "of the unit";
}

TEST_F(ControlGroupTest, Version1NamesTheController) {
  Process("5:cpu:/elsewhere\n4:memory:/a/b\n0::/\n", kVersion1);
  Write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/unified/memory.max", "1048576\n");
  EXPECT_EQ(Limit(), 0U) << "a number that no machine has";
  Write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "134217728\n");
  EXPECT_EQ(Limit(), 128 * kMiB);
}

TEST_F(ControlGroupTest, AContainerMaySeeOnlyItsPartUnderTheNameOfTheMachine) {
  const std::string mounts =
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  Process("4:memory:/docker/abc\n", mounts);
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
  EXPECT_EQ(Limit(), 128 * kMiB);
  Process("4:memory:/docker/abc/inner\n", mounts);
  Write("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "67108864\n");
  EXPECT_EQ(Limit(), 64 * kMiB);
  Process("4:memory:/../other\n", mounts);
  EXPECT_EQ(Limit(), 128 * kMiB) << "outside of what is mounted";
}

TEST_F(ControlGroupTest, WhatCannotBeReadIsNoLimit) {
  EXPECT_EQ(Limit(), 0U) << "no /proc";
  Process("nonsense\n\n::\n0::/a\n", "x\n - \n30 23 0:26 - cgroup2\n");
  EXPECT_EQ(Limit(), 0U);
  Process("0::/a\n", kVersion2);
  for (const char* text : {"", "-1", "12k", "99999999999999999999999"}) {
    Write("/sys/fs/cgroup/a/memory.max", text);
    EXPECT_EQ(Limit(), 0U) << text;
  }
}

}  // namespace
}  // namespace gyre
