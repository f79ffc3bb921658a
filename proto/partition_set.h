// A bit for each partition of a cluster: what a node holds, claims, votes for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/slot.h"

namespace gyre {

class PartitionSet {
 public:
  // Of a cluster that has no partitions: nothing was said.
  PartitionSet() = default;
  explicit PartitionSet(std::uint32_t partition_count, bool all = false);

  // Of the cluster, in the set or not.
  std::uint32_t partition_count() const { return partition_count_; }
  // Those that are no longer partitions leave the set.
  void Resize(std::uint32_t partition_count);

  // False for what is no partition.
  bool Has(PartitionId partition) const {
    return partition < partition_count_ && (words_[partition / 64] >> (partition % 64) & 1) != 0;
  }
  // `partition` is one of the cluster's.
  void Set(PartitionId partition) { words_[partition / 64] |= Bit(partition); }
  void Clear(PartitionId partition) { words_[partition / 64] &= ~Bit(partition); }
  void Assign(PartitionId partition, bool in) { in ? Set(partition) : Clear(partition); }

  // `other` is of the same cluster.
  void Add(const PartitionSet& other);
  void Remove(const PartitionSet& other);
  void Keep(const PartitionSet& other);
  // What is in one of the two only.
  void Toggle(const PartitionSet& other);

  bool Any() const;
  std::uint32_t Count() const;
  // Ascending.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
        visit(static_cast<PartitionId>(i * 64 + static_cast<std::size_t>(std::countr_zero(word))));
      }
    }
  }

  // A bit for each partition, the lowest bit of the first byte for the first one, without trailing
  // zeroes: none at all for a set that has none.
  std::string ToBytes() const;
  // Nothing if there are more bytes than partitions; bits that stand for none are ignored.
  static std::optional<PartitionSet> FromBytes(std::string_view bytes,
                                               std::uint32_t partition_count);
  // Of all partitions.
  static std::size_t BytesOf(std::uint32_t partition_count) { return (partition_count + 7) / 8; }

  friend bool operator==(const PartitionSet&, const PartitionSet&) = default;

 private:
  static std::uint64_t Bit(PartitionId partition) { return std::uint64_t{1} << (partition % 64); }
  // Bits that stand for no partition are never set.
  void ClearRest();

  std::uint32_t partition_count_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace gyre
