// Where a group stands in the stream of its partition.
#pragma once

#include <compare>
#include <cstdint>

namespace gyre {

// A term is the time in which one node orders the writes of a partition: a version stamp that it took
// when it began to, so terms grow. Within a term the groups are numbered 1, 2, 3 and so on; number 0 is
// the opening of the term, which says after which group of an earlier term it goes on. {0, 0} is before
// everything, or not known.
struct StreamPosition {
  std::uint64_t term = 0;
  std::uint64_t number = 0;

  bool is_known() const { return term != 0; }
  StreamPosition next() const { return {term, number + 1}; }
  // No stream comes that far: a higher number, which a peer says, is none.
  static constexpr std::uint64_t kNumberMax = (std::uint64_t{1} << 47);
  friend auto operator<=>(const StreamPosition&, const StreamPosition&) = default;
};

// Whether a peer's word can be one; each is to be checked before it is believed.
inline bool IsPossible(const StreamPosition& position) {
  return position.number <= StreamPosition::kNumberMax &&
         (position.term != 0 || position.number == 0);
}

}  // namespace gyre
