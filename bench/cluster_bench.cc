// What a change of the cluster costs each node: the picture that it builds from gossip's state.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/prng.h"
#include "ownership/ownership.h"
#include "ownership/view_builder.h"

namespace gyre {
namespace {

// A cluster at rest: each member holds what the placement gives it, and owns what it is first for.
ClusterState StateAtRest(std::size_t members, std::uint32_t partitions, std::uint32_t zones) {
  Prng prng(1);
  ClusterState state;
  state.partition_count = partitions;
  for (std::size_t i = 0; i < members; ++i) {
    MemberInfo info;
    for (std::uint8_t& byte : info.id.bytes) byte = static_cast<std::uint8_t>(prng.Next());
    info.name = "n" + std::to_string(i);
    info.host = "10.0.0." + std::to_string(i);
    info.port = 7700;
    info.zone = std::string(1, static_cast<char>('a' + i % zones));
    info.incarnation = 1;
    if (i == 0) state.self = info.id;
    state.ring[info.id] = {info.id, info.zone, 1, 1, false, false};
    Holdings& holdings = state.holdings[info.id];
    holdings = {1, 1, PartitionSet(partitions), PartitionSet(partitions)};
    state.members.emplace(info.id, std::move(info));
  }
  const Placement placement = ComputePlacement(RingMembersOf(state), state.replicas, partitions);
  for (PartitionId partition = 0; partition < partitions; ++partition) {
    const auto& list = placement.preference[partition];
    for (std::size_t place = 0; place < state.replicas; ++place) {
      state.holdings[placement.members[list[place]].id].complete.Set(partition);
    }
    state.holdings[placement.members[list[0]].id].owned.Set(partition);
  }
  return state;
}

void BuildViewAtRest(benchmark::State& bench) {
  const ClusterState state = StateAtRest(static_cast<std::size_t>(bench.range(0)),
                                         static_cast<std::uint32_t>(bench.range(1)),
                                         static_cast<std::uint32_t>(bench.range(2)));
  const Placement placement =
      ComputePlacement(RingMembersOf(state), state.replicas, state.partition_count);
  const std::vector<LocalKnowledge> local(state.partition_count);
  for (auto _ : bench) benchmark::DoNotOptimize(BuildView(state, placement, local));
}
BENCHMARK(BuildViewAtRest)
    ->ArgNames({"members", "partitions", "zones"})
    ->ArgsProduct({{3, 50}, {1024}, {1}})
    ->ArgsProduct({{200, 1000}, {16384}, {1, 3}})
    ->Unit(benchmark::kMillisecond);

// A whole event of the ownership machine: another member's holdings changed.
void OwnershipOnState(benchmark::State& bench) {
  ClusterState state = StateAtRest(static_cast<std::size_t>(bench.range(0)),
                                   static_cast<std::uint32_t>(bench.range(1)), 1);
  Ownership ownership({}, state.self, state.partition_count);
  TimePoint now{std::chrono::seconds(1)};
  ownership.OnState(now, state);
  Holdings& other = std::prev(state.holdings.end())->second;
  for (auto _ : bench) {
    now += std::chrono::milliseconds(1);
    other.complete.Assign(0, !other.complete.Has(0));
    ++other.revision;
    benchmark::DoNotOptimize(ownership.OnState(now, state));
  }
}
BENCHMARK(OwnershipOnState)
    ->ArgNames({"members", "partitions"})
    ->ArgsProduct({{3, 50}, {1024}})
    ->ArgsProduct({{200, 1000}, {16384}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gyre
