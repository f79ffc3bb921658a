// Counts reuse distances (reuse_histogram.h) of a sample of the keys, in little memory and time that
// do not grow: SHARDS (Waldspurger et al., FAST 2015). A key is sampled if its hash, mixed with a
// secret, lies below a threshold: always or never, so that its uses are seen whole, and nobody can
// choose keys that are. Distances among the sampled keys are distances among all, times the rate.
//
// What is kept of a sampled key outlives its record: an evicted one is a ghost, by which a read that
// missed is told from one of a key that never was. Ghosts go back to three times the memory.
//
//   slots in the order of the last use  | - | k7 | - | k2 | k9 | ... | next |     a use moves a key to
//   index: hash -> slot                 (open addressing)                         the next slot; at the
//   bytes up to a slot                  (a Fenwick tree over the slots)           end all move together
//
// A key that was used just before stays where it is, for it would hit in any case; so distances are
// off by kYoung at most.
//
// When the places are all taken, the threshold halves and half of the keys go. Cost of a key that is
// not sampled: a multiplication and a comparison. Of one that is: O(log places), but O(1) where it
// stays.
//
// Of keys that are removed, or expire, it forgets all: more memory would not have kept them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/prefetch.h"
#include "storage/reuse_histogram.h"

namespace gyre {

class ReuseSampler {
 public:
  // As far as ghosts go back, in memories.
  static constexpr std::size_t kDepth = 3;
  // Used just before: within this part of a memory. Less than the first bin of the histogram.
  static constexpr double kYoung = 1.0 / 128;
  // Of the memory that is observed, and places at least and at most.
  static constexpr std::size_t kMemoryAPlace = 16 * 1024;
  static constexpr std::size_t kPlacesMin = 128;
  static constexpr std::size_t kPlacesMax = 4096;
  // What was counted loses half of its weight after both: so figures are of the last half minute, or of
  // as many reads as say something.
  static constexpr UnixMillis kHalfLifeMs = 15'000;
  static constexpr std::uint64_t kHalfLifeReads = 128;

  // What it takes, all included, for a memory of so many bytes.
  static std::size_t BytesFor(std::size_t memory_bytes);

  // `secret`: see above. `memory_bytes`: those whose evictions it explains.
  ReuseSampler(std::size_t memory_bytes, std::uint64_t secret);

  // Of the memory, so much is there for what is read. Distances are counted in it from now on.
  void SetMemory(double bytes) { memory_bytes_ = std::max(bytes, 1.0); }

  bool Samples(std::uint64_t hash) const { return hash * multiplier_ <= threshold_; }

  // The rest is for hashes that are sampled. `bytes`: what the record takes. `group`: that can be
  // forgotten together.
  void OnHit(std::uint64_t hash, std::size_t bytes, std::uint32_t group);
  void OnMiss(std::uint64_t hash);
  // A write, or a use that is no read.
  void OnUse(std::uint64_t hash, std::size_t bytes, std::uint32_t group);
  void Forget(std::uint64_t hash);
  // Begin to bring what one of these needs into the CPU's cache; the second reads what the first brought.
  void PrefetchIndex(std::uint64_t hash) const { PrefetchToRead(&index_[HomeOf(Mixed(hash))]); }
  void PrefetchSlot(std::uint64_t hash) const {
    PrefetchToRead(&slots_[std::max(index_[HomeOf(Mixed(hash))], 1U) - 1]);
  }

  // Begins to count anew. O(places).
  void ForgetGroup(std::uint32_t group);

  // Time passes; `reads`: of all keys, since the start.
  void Advance(UnixMillis now, std::uint64_t reads);

  // Of `reads` as above.
  ReuseHistogram Histogram(std::uint64_t reads) const;

  std::size_t keys() const { return keys_; }
  std::uint64_t sampled_reads() const { return sampled_reads_; }
  double rate() const {
    return (static_cast<double>(threshold_) + 1) / (static_cast<double>(kThresholdAll) + 1);
  }

  // Debug: whether the index, the tree and the sums agree with the slots.
  bool CheckInvariants() const;

 private:
  static constexpr std::uint64_t kThresholdAll = std::numeric_limits<std::uint64_t>::max();

  struct Slot {
    std::uint64_t mixed = 0;  // hash * multiplier_
    std::uint32_t bytes = 0;  // 0: nobody is here
    std::uint32_t group = 0;
  };

  std::uint64_t Mixed(std::uint64_t hash) const { return hash * multiplier_; }
  // The place in the index of the key, or the free one where it would go.
  std::size_t IndexOf(std::uint64_t mixed) const;
  std::size_t HomeOf(std::uint64_t mixed) const {
    // Sampled ones agree in their high bits.
    return static_cast<std::size_t>((mixed * 0x9e3779b97f4a7c15ULL) >> 32) & (index_.size() - 1);
  }
  void EraseIndex(std::size_t at);
  // Of the key whose place in the index is `at`, in memories; nothing if it is not known.
  std::optional<double> Distance(std::size_t at) const;
  void Count(std::optional<double> distance, bool hit);
  bool IsYoung(std::size_t at) const { return index_[at] > young_from_; }
  // Makes the key, whose place in the index is `at`, the one that was used last.
  void Place(std::size_t at, const Slot& key);
  void Remove(std::uint32_t slot);
  void Vacate(std::uint32_t slot);
  void EndYouth();
  void AddBytes(std::uint32_t slot, std::uint64_t bytes);
  std::uint64_t BytesUpTo(std::uint32_t slot) const;
  // Keeps those of which `stays` is true, at the beginning of the slots.
  template <typename Stays>
  void Rebuild(Stays&& stays);
  void DropOldest();
  void LowerRate();
  void RaiseRate();

  double memory_bytes_;
  const std::uint64_t multiplier_;  // odd
  const std::size_t places_;
  std::uint64_t threshold_ = kThresholdAll;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> index_;  // slot + 1; 0: free
  std::vector<std::uint64_t> tree_;   // Fenwick, of the bytes in slots
  std::uint32_t next_ = 0;            // the slot of the next use
  std::uint32_t oldest_ = 0;          // no key is before it
  std::uint32_t young_from_ = 0;      // those in this slot and behind it are young
  std::uint64_t young_bytes_ = 0;     // that were used there
  std::size_t keys_ = 0;
  std::uint64_t bytes_ = 0;  // of all keys
  std::uint64_t sampled_reads_ = 0;
  bool covers_depth_ = false;  // what is not known was used before that, if ever

  ReuseHistogram counted_;  // by sampled reads, each as one; `all_reads` as it was at reads_at_
  std::uint64_t reads_at_ = 0;
  UnixMillis halved_at_ = 0;
  std::uint64_t halved_reads_ = 0;  // sampled_reads_ then
};

}  // namespace gyre
