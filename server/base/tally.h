// The numbers of a Stats while they are counted: a cell for each row, which one loop or thread
// changes and any thread reads. Which cell is known when it is compiled:
//
//   tally[&DoorStats::opened].Add(1);
//   DoorStats stats = tally.Read();
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"
#include "base/statistic.h"

namespace gyre {

// `Cell`: Counter, where one thread counts; SharedCounter, where several do.
template <Described Stats, typename Cell = Counter>
class Tally {
 public:
  // A field's row. A field without one does not compile.
  class Row {
   public:
    // NOLINTNEXTLINE(google-explicit-constructor): a field is what callers write
    consteval Row(std::uint64_t Stats::*field) {
      while (index_ < kRows && Stats::kStatistics[index_].field != field) ++index_;
      if (index_ == kRows) throw "this field has no row";
    }
    std::size_t index() const { return index_; }

   private:
    std::size_t index_ = 0;
  };

  Cell& operator[](Row row) { return cells_[row.index()]; }
  const Cell& operator[](Row row) const { return cells_[row.index()]; }

  // Any thread. Numbers that are counted meanwhile may be older than others.
  Stats Read() const {
    Stats stats{};
    for (std::size_t i = 0; i < kRows; ++i) {
      stats.*Stats::kStatistics[i].field = cells_[i].value();
    }
    return stats;
  }

 private:
  static constexpr std::size_t kRows = std::size(Stats::kStatistics);

  std::array<Cell, kRows> cells_;
};

}  // namespace gyre
