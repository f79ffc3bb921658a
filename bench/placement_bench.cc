// What a placement costs and achieves: time, balance, and what a join moves.
//
//   max_first, max_second    the greatest load of first and second places, by the fair share of the
//                            member
//   moved_first, moved_held  what a join moves, by the ideal: partitions that change their first
//                            place, and copies that appear where there was none (of the first two
//                            places)
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/prng.h"
#include "proto/placement.h"

namespace gyre {
namespace {

constexpr std::uint32_t kReplicas = 2;

std::vector<RingMember> Ring(std::size_t count, bool weights, std::uint32_t zones,
                             std::uint64_t seed) {
  Prng prng(seed);
  std::vector<RingMember> ring(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::uint8_t& byte : ring[i].id.bytes) byte = static_cast<std::uint8_t>(prng.Next());
    ring[i].weight = weights ? 1U << (i % 3) : 1;
    ring[i].zone = std::string(1, static_cast<char>('a' + i % zones));
  }
  return ring;
}

double MaxLoad(const Placement& placement, std::size_t place) {
  std::vector<double> loads(placement.members.size());
  double weight = 0;
  for (const RingMember& member : placement.members) weight += member.weight;
  for (const auto& list : placement.preference) loads[list[place]] += 1;
  double most = 0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const double fair =
        static_cast<double>(placement.preference.size()) * placement.members[i].weight / weight;
    most = std::max(most, loads[i] / fair);
  }
  return most;
}

// The greatest number of copies that a member has, by the mean for each unit of weight.
double MaxHeld(const Placement& placement) {
  std::vector<double> loads(placement.members.size());
  double weight = 0;
  for (const RingMember& member : placement.members) weight += member.weight;
  for (const auto& list : placement.preference) {
    for (std::size_t place = 0; place < kReplicas; ++place) loads[list[place]] += 1;
  }
  double most = 0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const double fair = static_cast<double>(placement.preference.size()) * kReplicas *
                        placement.members[i].weight / weight;
    most = std::max(most, loads[i] / fair);
  }
  return most;
}

struct Moved {
  double first = 0;
  double held = 0;
};

Moved MovedBy(const Placement& before, const Placement& after) {
  Moved moved;
  const auto id_at = [](const Placement& in, std::size_t partition, std::size_t place) {
    return in.members[in.preference[partition][place]].id;
  };
  for (std::size_t p = 0; p < before.preference.size(); ++p) {
    if (id_at(before, p, 0) != id_at(after, p, 0)) moved.first += 1;
    for (std::size_t place = 0; place < kReplicas; ++place) {
      const NodeId id = id_at(after, p, place);
      if (id != id_at(before, p, 0) && id != id_at(before, p, 1)) moved.held += 1;
    }
  }
  return moved;
}

void Join(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto partitions = static_cast<std::uint32_t>(state.range(1));
  const bool weights = state.range(2) != 0;
  const auto zones = static_cast<std::uint32_t>(state.range(3));
  constexpr int kRings = 20;
  for (auto _ : state) {
    Moved sum;
    double first = 0;
    double second = 0;
    double held = 0;
    for (int ring = 0; ring < kRings; ++ring) {
      std::vector<RingMember> members = Ring(count + 1, weights, zones, 1000 + ring);
      double weight = 0;
      for (const RingMember& member : members) weight += member.weight;
      const double ideal = partitions * members.back().weight / weight;
      const Placement after = ComputePlacement(members, kReplicas, partitions);
      members.pop_back();
      const Placement before = ComputePlacement(members, kReplicas, partitions);
      const Moved moved = MovedBy(before, after);
      sum.first += moved.first / ideal;
      sum.held += moved.held / ideal / kReplicas;
      first = std::max(first, MaxLoad(before, 0));
      held = std::max(held, MaxHeld(before));
      second = std::max(second, MaxLoad(before, 1));
    }
    state.counters["max_first"] = first;
    state.counters["max_second"] = second;
    state.counters["max_held"] = held;
    state.counters["moved_first"] = sum.first / kRings;
    state.counters["moved_held"] = sum.held / kRings;
  }
}
BENCHMARK(Join)
    ->ArgNames({"members", "partitions", "weights", "zones"})
    ->ArgsProduct({{3, 5, 10, 20, 50}, {1024}, {0, 1}, {1, 3}})
    ->ArgsProduct({{3, 10, 50, 200}, {4096, 16384}, {0, 1}, {1}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

void Compute(benchmark::State& state) {
  const std::vector<RingMember> members = Ring(static_cast<std::size_t>(state.range(0)), false,
                                               static_cast<std::uint32_t>(state.range(2)), 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ComputePlacement(members, kReplicas, static_cast<std::uint32_t>(state.range(1))));
  }
}
BENCHMARK(Compute)
    ->ArgNames({"members", "partitions", "zones"})
    ->ArgsProduct({{3, 50}, {1024}, {1, 3}})
    ->ArgsProduct({{1000}, {16384}, {1, 3}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gyre
