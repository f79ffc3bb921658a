// What the owners of one shard's partitions took from other copies, by a comparison and so in no order. It
// is new to whoever follows the stream, so it becomes a group of the taker's own term, before whatever that
// orders next (Replicator::Submit). Guarded by the shard's mutex.
//
// It is kept as it was taken: the next write of such a record is another change, not this one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "peer/effect_codec.h"

namespace gyre {

class TakenEffects {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{4} << 20;

  struct Group {
    std::string effects;  // encoded
    std::uint32_t mutations = 0;
  };

  bool Has(PartitionId partition) const { return groups_.contains(partition); }
  // False: there is no room.
  bool Add(PartitionId partition, const RecordView& record) {
    Group& group = groups_[partition];
    const std::size_t before = group.effects.size();
    AppendMutation(partition, record, group.effects);
    ++group.mutations;
    bytes_ += group.effects.size() - before;
    return bytes_ <= kBytesMax;
  }
  Group Take(PartitionId partition) {
    Group group = std::move(groups_[partition]);
    groups_.erase(partition);
    bytes_ -= group.effects.size();
    return group;
  }

 private:
  std::unordered_map<PartitionId, Group> groups_;
  std::size_t bytes_ = 0;
};

}  // namespace gyre
