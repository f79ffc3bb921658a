#include "command/slot_ranges.h"

namespace gyre {

std::vector<SlotRange> SlotRangesOf(const ClusterView& view) {
  const std::uint32_t slots_each = kSlotCount / view.partition_count;
  std::vector<SlotRange> ranges;
  MemberIndex previous = kNoMember;
  for (PartitionId partition = 0; partition < view.partition_count; ++partition) {
    const MemberIndex owner = view.owner[partition];
    const auto first = static_cast<Slot>(partition * slots_each);
    const auto last = static_cast<Slot>(first + (slots_each - 1));
    if (owner != kNoMember && owner == previous) {
      ranges.back().last = last;
    } else if (owner != kNoMember) {
      ranges.push_back({first, last, owner});
    }
    previous = owner;
  }
  return ranges;
}

}  // namespace gyre
