// A key on its way through the engine: its bytes, its partition and its hash, computed once.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "proto/slot.h"

namespace gyre {

struct Key {
  std::string_view bytes;  // borrowed
  std::uint64_t hash = 0;  // XXH3, 64 bits
  PartitionId partition = 0;
};

inline std::uint64_t HashKey(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

inline Key MakeKey(std::string_view bytes, std::uint32_t partition_count) {
  return Key{bytes, HashKey(bytes), PartitionOf(SlotOf(bytes), partition_count)};
}

}  // namespace gyre
