// The tombstones of one partition in the order of their versions, so that those up to one can be found
// and go: by hash and version, for the record itself may move, be overwritten or be evicted meanwhile.
// What is no longer there is found missing when its turn comes.
//
// A heap. Removals come almost in order, so adding one costs a comparison.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/version.h"

namespace gyre {

struct Removal {
  Version version = 0;
  std::uint64_t hash = 0;  // of the key
};

class Removals {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  // Requires that there is one.
  const Removal& oldest() const { return heap_.front(); }

  void Add(const Removal& removal) {
    heap_.push_back(removal);
    std::push_heap(heap_.begin(), heap_.end(), IsNewer);
  }
  // Takes the oldest one; requires that there is one.
  Removal Take() {
    std::pop_heap(heap_.begin(), heap_.end(), IsNewer);
    const Removal removal = heap_.back();
    heap_.pop_back();
    if (heap_.capacity() > kCapacityKept && heap_.size() < heap_.capacity() / 4) {
      heap_.shrink_to_fit();
    }
    return removal;
  }
  void Clear() { heap_ = {}; }

 private:
  static constexpr std::size_t kCapacityKept = 256;

  static bool IsNewer(const Removal& a, const Removal& b) { return a.version > b.version; }

  std::vector<Removal> heap_;
};

}  // namespace gyre
