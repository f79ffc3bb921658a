// key -> slot, exactly as in Redis Cluster (https://redis.io/docs/reference/cluster-spec/), because
// its clients compute it themselves: CRC16 (XMODEM) of the hash tag, modulo 16,384.
#pragma once

#include <cstdint>
#include <string_view>

namespace gyre {

inline constexpr std::uint32_t kSlotCount = 16384;

using Slot = std::uint16_t;
// A partition is a run of kSlotCount / partition_count consecutive slots: the unit of ownership.
using PartitionId = std::uint32_t;

// Default number of partitions; a cluster-wide constant, a power of two up to kSlotCount.
inline constexpr std::uint32_t kPartitionCountDefault = 1024;

// The part of the key that is hashed: what stands between the first '{' and the next '}', if that
// is not empty, else the whole key.
std::string_view HashTag(std::string_view key);

Slot SlotOf(std::string_view key);

// `partition_count` is a power of two in [1, kSlotCount].
inline PartitionId PartitionOf(Slot slot, std::uint32_t partition_count) {
  return slot / (kSlotCount / partition_count);
}

}  // namespace gyre
