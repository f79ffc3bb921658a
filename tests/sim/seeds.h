// Which seeds a test runs, how a failure is told, and how a scenario begins and ends.
//
//   GYRE_SIM_SEED=n    that seed alone; with GYRE_SIM_TRACE=1 the nodes' log is printed
//   GYRE_SIM_SEEDS=n   so many of each test
//   GYRE_SIM_FIRST=n   the first of them; default 1
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>

#include "sim/sim_cluster.h"

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

// The first `nodes` are a ring on which every copy is in its place.
void Form(SimCluster& cluster, NodeIndex nodes);
// Ends the load, reads all keys through all nodes, and expects that nothing was violated so far.
void Judge(SimCluster& cluster, const std::string& when = "at the end");

}  // namespace gyre::sim
