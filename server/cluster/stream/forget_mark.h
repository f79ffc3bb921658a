// When the owner of a partition may forget removals.
//
// A tombstone is needed as long as a holder may lack the removal. The owner notes where the stream
// stands and the newest version that it has stamped by then: a mark. Once that position is settled, all
// complete copies have everything up to that version. The owner forgets the removals up to it, says so
// in the group that it orders next, and takes the next mark; so there is one at a time, of constant size,
// and one group in each round trip says something.
//
//   owner    DEL a (t,5)    SET b (t,6)                          SET c (t,7)
//              mark: (t,5), version of a     (t,5) is settled      "forgotten up to the version of a"
//   copy                    DEL a applied, acknowledged            forgets it as it applies (t,7)
//
// Each copy forgets at the same place of the stream, so it is a past state of its owner in this, too.
//
// Only while the holders are whole (ReplicaSet::IsWhole): everybody whom the ring gives the partition
// serves, and each target has it complete, or said that it has nothing of it. While one is away or is being filled removals stay, for --tombstone-ttl and
// within their share of the memory, so that it can be told. A copy that is not among the holders and comes
// back later with what was removed is told that it is too late (PartitionInfo::newest_forgotten).
#pragma once

#include <cstdint>

#include "stream/position.h"

namespace gyre {

struct ForgetMark {
  StreamPosition position;  // unknown: there is none
  std::uint64_t version = 0;
};

}  // namespace gyre
