#include "storage/reuse_sampler.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace gyre {
namespace {

// Slots for each place: after so many uses all keys move together.
constexpr std::size_t kSlotsAPlace = 2;
// The rate rises, and all begins anew, when so small a part of the places covers the depth.
constexpr std::size_t kSparse = 8;

std::size_t PlacesFor(std::size_t memory_bytes) {
  return std::clamp(std::bit_floor(memory_bytes / ReuseSampler::kMemoryAPlace + 1),
                    ReuseSampler::kPlacesMin, ReuseSampler::kPlacesMax);
}

std::uint32_t Clamped(std::size_t bytes) {
  return static_cast<std::uint32_t>(
      std::clamp<std::size_t>(bytes, 1, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

std::size_t ReuseSampler::BytesFor(std::size_t memory_bytes) {
  const std::size_t slots = PlacesFor(memory_bytes) * kSlotsAPlace;
  // As many places in the index as slots: it is half full at most.
  return slots * (sizeof(Slot) + sizeof(std::uint32_t) + sizeof(std::uint64_t)) +
         sizeof(std::uint64_t);
}

ReuseSampler::ReuseSampler(std::size_t memory_bytes, std::uint64_t secret)
    : memory_bytes_(static_cast<double>(std::max<std::size_t>(memory_bytes, 1))),
      multiplier_(secret | 1),
      places_(PlacesFor(memory_bytes)),
      slots_(places_ * kSlotsAPlace),
      index_(slots_.size()),
      tree_(slots_.size() + 1) {}

// ---- What is used ------------------------------------------------------------------------------

void ReuseSampler::OnHit(std::uint64_t hash, std::size_t bytes, std::uint32_t group) {
  const std::uint64_t mixed = Mixed(hash);
  const std::size_t at = IndexOf(mixed);
  Count(Distance(at), /*hit=*/true);
  Place(at, {mixed, Clamped(bytes), group});
}

// It stays where it is: nothing was stored yet.
void ReuseSampler::OnMiss(std::uint64_t hash) {
  Count(Distance(IndexOf(Mixed(hash))), /*hit=*/false);
}

void ReuseSampler::OnUse(std::uint64_t hash, std::size_t bytes, std::uint32_t group) {
  const std::uint64_t mixed = Mixed(hash);
  Place(IndexOf(mixed), {mixed, Clamped(bytes), group});
}

void ReuseSampler::Forget(std::uint64_t hash) {
  if (const std::uint32_t entry = index_[IndexOf(Mixed(hash))]; entry != 0) Remove(entry - 1);
}

void ReuseSampler::ForgetGroup(std::uint32_t group) {
  Rebuild([group](const Slot& slot) { return slot.group != group; });
  // What was read of the others will come at other distances.
  counted_ = {};
}

std::optional<double> ReuseSampler::Distance(std::size_t at) const {
  const std::uint32_t entry = index_[at];
  if (entry == 0) return std::nullopt;
  if (IsYoung(at)) return 0.0;
  const std::uint64_t newer = bytes_ - BytesUpTo(entry - 1);
  const double own = slots_[entry - 1].bytes;
  return (static_cast<double>(newer) / rate() + own) / memory_bytes_;
}

void ReuseSampler::Count(std::optional<double> distance, bool hit) {
  ++sampled_reads_;
  if (distance) {
    const std::size_t bin = ReuseHistogram::BinOf(*distance);
    counted_.reads[bin] += 1;
    if (hit) counted_.hits += 1;
  } else if (hit) {
    (covers_depth_ ? counted_.deep_hits : counted_.unplaced_hits) += 1;
  } else {
    return;  // no memory would have it
  }
  counted_.sampled += 1;
}

// ---- Time --------------------------------------------------------------------------------------

void ReuseSampler::Advance(UnixMillis now, std::uint64_t reads) {
  counted_.all_reads += static_cast<double>(reads - reads_at_);
  reads_at_ = reads;
  if (halved_at_ == 0 || now < halved_at_) halved_at_ = now;
  if (now - halved_at_ < kHalfLifeMs || sampled_reads_ - halved_reads_ < kHalfLifeReads) return;
  counted_.Scale(0.5);
  halved_at_ = now;
  halved_reads_ = sampled_reads_;
}

ReuseHistogram ReuseSampler::Histogram(std::uint64_t reads) const {
  ReuseHistogram histogram = counted_;
  const double sampled = counted_.sampled;
  const double all = counted_.all_reads + static_cast<double>(reads - reads_at_);
  histogram.Scale(1 / rate());
  histogram.sampled = sampled;
  histogram.all_reads = all;
  return histogram;
}

// ---- Slots -------------------------------------------------------------------------------------

void ReuseSampler::Place(std::size_t at, const Slot& key) {
  if (IsYoung(at) && slots_[index_[at] - 1].bytes == key.bytes) return;
  if (index_[at] == 0 && keys_ == places_) {
    LowerRate();
    if (key.mixed > threshold_) return;
    at = IndexOf(key.mixed);  // others moved
  }
  if (next_ == slots_.size()) {
    Rebuild([](const Slot&) { return true; });
    at = IndexOf(key.mixed);
  }
  if (index_[at] != 0) Vacate(index_[at] - 1);
  slots_[next_] = key;
  index_[at] = next_ + 1;
  AddBytes(next_, key.bytes);
  ++next_;
  ++keys_;
  bytes_ += key.bytes;
  young_bytes_ += key.bytes;
  if (static_cast<double>(young_bytes_) > kYoung * memory_bytes_ * rate()) EndYouth();
  DropOldest();
}

void ReuseSampler::EndYouth() {
  young_from_ = next_;
  young_bytes_ = 0;
}

void ReuseSampler::DropOldest() {
  const double most = kDepth * memory_bytes_ * rate();
  bool dropped = false;
  while (keys_ > 1 && static_cast<double>(bytes_) > most) {
    while (slots_[oldest_].bytes == 0) ++oldest_;
    Remove(oldest_);
    dropped = true;
  }
  covers_depth_ = covers_depth_ || dropped;
  if (dropped && keys_ < places_ / kSparse && threshold_ != kThresholdAll) RaiseRate();
}

void ReuseSampler::Remove(std::uint32_t slot) {
  EraseIndex(IndexOf(slots_[slot].mixed));
  Vacate(slot);
}

// Leaves the index as it is.
void ReuseSampler::Vacate(std::uint32_t slot) {
  Slot& gone = slots_[slot];
  AddBytes(slot, ~std::uint64_t{gone.bytes} + 1);
  bytes_ -= gone.bytes;
  --keys_;
  gone.bytes = 0;
}

template <typename Stays>
void ReuseSampler::Rebuild(Stays&& stays) {
  std::fill(index_.begin(), index_.end(), 0);
  std::fill(tree_.begin(), tree_.end(), 0);
  std::uint32_t to = 0;
  bytes_ = 0;
  for (std::uint32_t from = oldest_; from < next_; ++from) {
    const Slot slot = slots_[from];
    slots_[from].bytes = 0;
    if (slot.bytes == 0 || !stays(slot)) continue;
    slots_[to] = slot;
    index_[IndexOf(slot.mixed)] = to + 1;
    tree_[to + 1] = slot.bytes;
    bytes_ += slot.bytes;
    ++to;
  }
  keys_ = to;
  next_ = to;
  oldest_ = 0;
  EndYouth();
  // The tree, in one pass: each node adds itself to the one above it.
  for (std::size_t node = 1; node < tree_.size(); ++node) {
    const std::size_t above = node + (node & (~node + 1));
    if (above < tree_.size()) tree_[above] += tree_[node];
  }
}

void ReuseSampler::LowerRate() {
  // Whoever chose the keys knows the secret, if no key is above.
  threshold_ /= 2;
  const std::uint64_t threshold = threshold_;
  Rebuild([threshold](const Slot& slot) { return slot.mixed <= threshold; });
  const double all_reads = counted_.all_reads;
  counted_.Scale(0.5);
  counted_.all_reads = all_reads;
  // Half of them by chance: seldom fewer. At last the oldest make room.
  while (keys_ == places_) {
    while (slots_[oldest_].bytes == 0) ++oldest_;
    Remove(oldest_);
  }
}

// With other keys than those whose past is known.
void ReuseSampler::RaiseRate() {
  threshold_ = threshold_ >= kThresholdAll / 2 ? kThresholdAll : threshold_ * 2 + 1;
  Rebuild([](const Slot&) { return false; });
  counted_ = {};
  covers_depth_ = false;
}

// ---- The index, and the tree -------------------------------------------------------------------

std::size_t ReuseSampler::IndexOf(std::uint64_t mixed) const {
  std::size_t at = HomeOf(mixed);
  while (index_[at] != 0 && slots_[index_[at] - 1].mixed != mixed) {
    at = (at + 1) & (index_.size() - 1);
  }
  return at;
}

// Those behind it that would not be found any more move up.
void ReuseSampler::EraseIndex(std::size_t at) {
  const std::size_t mask = index_.size() - 1;
  std::size_t hole = at;
  for (std::size_t next = (at + 1) & mask; index_[next] != 0; next = (next + 1) & mask) {
    const std::size_t home = HomeOf(slots_[index_[next] - 1].mixed);
    if (((next - home) & mask) < ((next - hole) & mask)) continue;
    index_[hole] = index_[next];
    hole = next;
  }
  index_[hole] = 0;
}

void ReuseSampler::AddBytes(std::uint32_t slot, std::uint64_t bytes) {
  for (std::size_t node = slot + 1; node < tree_.size(); node += node & (~node + 1)) {
    tree_[node] += bytes;
  }
}

std::uint64_t ReuseSampler::BytesUpTo(std::uint32_t slot) const {
  std::uint64_t sum = 0;
  for (std::size_t node = slot + 1; node > 0; node &= node - 1) sum += tree_[node];
  return sum;
}

bool ReuseSampler::CheckInvariants() const {
  std::uint64_t bytes = 0;
  std::size_t keys = 0;
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    bytes += slots_[slot].bytes;
    if (BytesUpTo(slot) != bytes) return false;
    if (slots_[slot].bytes == 0) continue;
    ++keys;
    if (slot < oldest_ || slot >= next_ || slots_[slot].mixed > threshold_) return false;
    if (index_[IndexOf(slots_[slot].mixed)] != slot + 1) return false;
  }
  std::size_t indexed = 0;
  for (const std::uint32_t entry : index_) indexed += entry != 0 ? 1 : 0;
  return keys == keys_ && indexed == keys && bytes == bytes_ && keys <= places_;
}

}  // namespace gyre
