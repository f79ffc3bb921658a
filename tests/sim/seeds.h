// Which seeds a test runs, and how a failure is told.
//
//   GYRE_SIM_SEED=n    that seed alone; with GYRE_SIM_TRACE=1 the nodes' log is printed
//   GYRE_SIM_SEEDS=n   so many of each test
//   GYRE_SIM_FIRST=n   the first of them; default 1
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>

namespace gyre::sim {

// Runs `scenario` for `count` seeds, from `first` on. Ends at the first failure, which says how to
// run it again.
void ForSeeds(std::uint64_t count, const std::function<void(std::uint64_t seed)>& scenario,
              std::uint64_t first = 1);

// How to run the present test again with `seed`.
std::string ReplayCommand(std::uint64_t seed);

#define EXPECT_CONVERGES(cluster) EXPECT_TRUE((cluster).Converge()) << (cluster).NotConverged()
#define EXPECT_NO_VIOLATION(cluster) \
  EXPECT_TRUE((cluster).history().violations().empty()) << (cluster).history().Report()

}  // namespace gyre::sim
