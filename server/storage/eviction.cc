#include "storage/eviction.h"

#include <algorithm>

namespace gyre {
namespace {

// The hand looks at so many slots for one without uses; then the least used of them leaves.
constexpr int kHandStepsMax = 256;
// A page changes its class only if it is worth so much less than the one it replaces: moving costs.
constexpr double kAuctionMargin = 1.25;
// Of how many records it is remembered at least whether the hand found them used, and how many
// more, half of them used, are presumed. A class is never held for more hopeless than the last: its
// records leave so early that few can be found used.
constexpr std::uint64_t kSeenMin = 1024;
constexpr double kSeenPrior = 64;
constexpr double kUsedShareMin = 0.02;
// After a refused bid a class waits for so many evictions of its own: looking at other classes'
// pages ages their records. Hit ratio for large values with waits of 1, 8, 32 evictions: .635 .667
// .674 (bench/hit_ratio).
constexpr std::uint32_t kBidWaitMin = 32;
constexpr std::uint32_t kBidsAPage = 4;
// The hand takes a use away in every so-manieth round. Hit ratios with 1, 2, 3 (bench/hit_ratio):
// .484 .486 .487 with scans, .587 .587 .591 for large values whose popularity shifts.
constexpr std::uint8_t kRoundsAUse = 3;

}  // namespace

Ref Evictor::OwnerOf(Ref slot) const {
  return ItemView(arena_.At(slot)).is_chunk() ? Chunk(arena_.At(slot)).owner() : slot;
}

void Evictor::TellTime() {
  if (pool_ != nullptr) now_ = std::max(now_, pool_->Advance(writes_untold_));
  writes_untold_ = 0;
}

void Evictor::LeavePage(ClassId id, PageId page) {
  arena_.StampPage(page, now_);
  arena_.SetHand(id, arena_.NextPage(page), 0);
  Round& round = rounds_[id];
  if (++round.pages_crossed < arena_.use(id).pages) return;
  round.pages_crossed = 0;
  round.number = static_cast<std::uint8_t>((round.number + 1) % kRoundsAUse);
}

bool Evictor::MayBid(ClassId id) {
  std::uint32_t& wait = evictions_to_bid_[id];
  if (wait > 0) --wait;
  return wait == 0;
}

void Evictor::BidRefused(ClassId id) {
  const std::uint32_t slots = arena_.classes().at(id).slot_count;
  evictions_to_bid_[id] = std::max(kBidWaitMin, slots / kBidsAPage);
}

// Where the hand is, which moves on; 0 at the end of a page.
Ref Evictor::NextSlot(ClassId id) {
  const PageId page = arena_.use(id).hand;
  std::uint32_t slot = arena_.use(id).hand_slot;
  const Ref at = arena_.NextTaken(page, slot);
  if (at == 0) {
    LeavePage(id, page);
  } else {
    arena_.SetHand(id, page, slot + 1);
  }
  return at;
}

Ref Evictor::NextTombstone(ClassId id) {
  for (int step = 0; step < kHandStepsMax && arena_.use(id).hand != 0; ++step) {
    const Ref at = NextSlot(id);
    if (at == 0) continue;
    const Ref record = OwnerOf(at);
    if (!IsPinned(record) && Item(arena_.At(record)).is_tombstone()) return record;
  }
  return 0;
}

Ref Evictor::Victim(ClassId id, bool tombstones_may_leave) {
  Ref spared = 0;
  Ref least_used = 0;
  std::uint8_t least_uses = kItemUsesMax + 1;
  for (int step = 0; step < kHandStepsMax && arena_.use(id).hand != 0; ++step) {
    const Ref at = NextSlot(id);
    if (at == 0) continue;
    const Ref record = OwnerOf(at);
    if (IsPinned(record)) continue;
    Item item(arena_.At(record));
    if (item.is_tombstone()) {
      if (tombstones_may_leave) return record;
      continue;
    }
    if (item.uses() == 0 && Spares(item)) {
      spared = record;
      continue;
    }
    Observe(id, item.uses() > 0);
    if (item.uses() == 0) return record;
    if (item.uses() < least_uses) {
      least_uses = item.uses();
      least_used = record;
    }
    // A large record is met once in each of its chunks; only the first counts.
    if (TakesUses(id) && (at == record || at == item.first_chunk())) {
      item.set_uses(static_cast<std::uint8_t>(item.uses() - 1));
    }
  }
  return least_used != 0 ? least_used : spared;
}

void Evictor::Observe(ClassId id, bool used) {
  Seen& seen = seen_[id];
  ++seen.records;
  if (used) ++seen.used;
  if (seen.records < std::max<std::uint64_t>(kSeenMin, arena_.use(id).slots_used)) return;
  seen.records /= 2;
  seen.used /= 2;
}

double Evictor::UsedShare(ClassId id) const {
  const Seen& seen = seen_[id];
  return std::max(kUsedShareMin, (seen.used + kSeenPrior / 2) / (seen.records + kSeenPrior));
}

double Evictor::DonationValue(ClassId id) const {
  const SlabArena::ClassUse& use = arena_.use(id);
  if (use.hand == 0) return 0;
  const auto age = static_cast<double>(now_ - arena_.PageStamp(use.hand));
  const double slots = arena_.classes().at(id).slot_count;
  return age / (slots * UsedShare(id));
}

double Evictor::BestDonationValue() const {
  double best = 0;
  for (ClassId id = 0; id <= arena_.classes().record_run(); ++id) {
    best = std::max(best, DonationValue(id));
  }
  return best;
}

std::optional<ClassId> Evictor::Donor(ClassId id, bool must, const Tried& tried) const {
  std::optional<ClassId> best;
  double most = must ? -1 : kAuctionMargin * DonationValue(id);
  const ClassId end = arena_.classes().record_run();
  for (ClassId other = 0; other <= end; ++other) {
    if (other == id || tried.test(other) || arena_.use(other).pages == 0) continue;
    if (HasSparePage(other)) return other;
    const double value = DonationValue(other);
    if (value <= most) continue;
    most = value;
    best = other;
  }
  return best;
}

// As the hand would pass over it: whether at least half of the page's records had no uses.
bool Evictor::AgePage(PageId page) {
  const ClassId id = arena_.PageClass(page);
  const bool takes_uses = TakesUses(id);
  std::uint32_t used = 0;
  std::uint32_t slot = 0;
  for (Ref at; (at = arena_.NextTaken(page, slot)) != 0; ++slot) {
    Item item(arena_.At(OwnerOf(at)));
    if (!item.is_tombstone()) Observe(id, item.uses() > 0);
    if (item.uses() == 0 && !item.is_tombstone()) continue;
    ++used;
    if (item.uses() > 0 && takes_uses) item.set_uses(static_cast<std::uint8_t>(item.uses() - 1));
  }
  return used * 2 <= arena_.PageUsed(page);
}

Evictor::DonatedPage Evictor::PageToDonate(ClassId id, bool must) {
  if (HasSparePage(id)) return {arena_.SparsestPage(id), true};
  const PageId page = arena_.use(id).hand;
  const bool idle = AgePage(page);
  // Also where it is given away: what cannot leave it must not block the class for ever.
  LeavePage(id, page);
  return idle || must ? DonatedPage{page, false} : DonatedPage{};
}

}  // namespace gyre
