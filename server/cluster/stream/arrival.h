// What a copy does with a group that comes to it: pure.
//
// A complete copy is a past state of the owner: it applies groups one after the other. Whoever opens a
// term names the last position that it had (`base`), and goes on from there. A copy that stands there
// goes on with it. One that is behind lacks what is between. One that is ahead has what the new owner
// did not know of when it began: the copies were compared then, and what differs still is evened out
// by versions (repair.h), so the copy adopts the base, and that is counted.
//
// Several loops of an owner write a partition, so a group may come before its predecessor: that one is
// on its way. What is between a copy and the base of a newer term is not: its owner orders nothing more.
//
// A warming copy is no state of anybody yet. It applies whatever comes, whole, and by version.
#pragma once

#include <cstdint>

#include "stream/position.h"

namespace gyre {

enum class Arrival : std::uint8_t {
  kNext,       // its turn: apply it
  kDiverged,   // likewise, though the copy has something that the term's owner did not know
  kMerge,      // apply it, out of order: the copy is warming
  kDuplicate,  // it is here: acknowledge it again
  kEarly,      // its predecessors are on their way
  kBehind,     // they are not: they must be asked for
  kStale,      // of an older term: refuse it
};

inline Arrival Judge(StreamPosition last, StreamPosition position, StreamPosition base,
                     bool warming) {
  if (warming) return Arrival::kMerge;
  if (position.term < last.term) return Arrival::kStale;
  if (position.term == last.term) {
    if (position.number <= last.number) return Arrival::kDuplicate;
    return position == last.next() ? Arrival::kNext : Arrival::kEarly;
  }
  if (position.number > 1) return Arrival::kEarly;
  if (base > last) return Arrival::kBehind;
  return base == last ? Arrival::kNext : Arrival::kDiverged;
}

}  // namespace gyre
