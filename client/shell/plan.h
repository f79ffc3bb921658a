// `gyre plan`: what would move if a node came or went, before it does. Pure, but for asking the ring.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/shell/command_line.h"
#include "proto/cluster_status.h"
#include "proto/placement.h"

namespace gyre::client {

struct PlannedMember {
  std::string name;
  RingMember ring;
};

struct PlannedNode {
  std::string name;
  std::uint64_t owned_before = 0;  // partitions
  std::uint64_t owned_after = 0;
  std::uint64_t held_before = 0;  // owned ones included
  std::uint64_t held_after = 0;
  std::uint64_t fetched = 0;  // copies that it has to get
  std::uint64_t dropped = 0;  // copies that it gives up
};

struct Plan {
  std::uint64_t partitions = 0;
  std::uint64_t copies = 0;        // of all partitions, as it is wanted afterwards
  std::uint64_t copies_moved = 0;  // the sum of `fetched`
  std::uint64_t owners_moved = 0;  // partitions whose owner is another
  std::vector<PlannedNode> nodes;  // of both rings, by name
};

// Compares the placements of two rings.
Plan MakePlan(const std::vector<PlannedMember>& before, const std::vector<PlannedMember>& after,
              std::uint32_t replicas, std::uint32_t partition_count);

struct PlanArguments : Arguments {
  std::string zone;  // of a node that is not known yet
  std::uint32_t weight = 1;
};

// "add|remove NODE".
int PlanChange(const ShellContext& shell, const PlanArguments& arguments);
std::string CheckPlan(PlanArguments& arguments);

}  // namespace gyre::client
