// Who leaves when memory is full. Decides only: the shard acts.
//
// Within a class, a hand (CLOCK with a two-bit counter) walks over the slots of the class's pages.
// A hit adds a use to the record's header, up to three; the hand evicts the first record that has
// none, and in every third round takes one away from those that have. So a record that is never hit
// leaves after one round, and each hit buys it three more: what is asked for once (a scan) goes
// fast. A hit writes at most two bits and no links.
//
// Between classes, memory is traded by the page. The hand leaves the time, counted in records
// written, on each page; when it comes back, `age` is how long a record there had without being
// used. It counts, too, which share f of the class's records it found used. About f/age of them are
// hit in a unit of time, so a page of n slots is worth n*f/age: the class whose next page is worth
// the least, that is of the largest age * slot bytes / f, gives one away, if it is worth clearly
// less than the page that the needy class would clear itself. So pages flow to where their bytes
// bring hits, whichever size was popular before, and away from a size that nobody asks for twice (a
// scan's): together, an approximation of GreedyDual-Size-Frequency (Cherkasova, HP Labs 1998),
// which evicts by uses for each byte. What f is worth: hit ratio .488 to .517 with scans
// (bench/hit_ratio). A page whose records are mostly in use is passed over, as by the hand, and a
// class that has a page's worth of free slots gives one away before anybody is evicted. A class
// asks whenever it would have to evict; after a refusal it waits for some evictions of its own.
//
// Between the shards of a node, pages are compared by the same value (page_pool.h); so the time is that
// of the node, in records written to any shard, as far as this one has looked at it lately.
//
// Copies are not read here, so their uses say nothing: they would be the first to go. Their owner knows, and
// tells what it evicts. So the hand can be told to spare some records: it passes over those without uses
// while others can leave.
//
// Tombstones are not evicted, unless the caller allows it.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "storage/item.h"
#include "storage/slab_arena.h"

namespace gyre {

class Evictor {
 public:
  // A record that must neither leave nor move: one that is being written or copied. 0: none.
  static constexpr std::size_t kPinsMax = 2;

  using Spared = std::function<bool(const ItemView& record)>;

  explicit Evictor(SlabArena& arena, PagePool* pool = nullptr) : arena_(arena), pool_(pool) {}

  // Time passes.
  void OnWrite() {
    ++now_;
    if (++writes_untold_ >= kWritesUntoldMax) TellTime();
    arena_.set_now(now_);
  }
  // Puts this clock and the node's together.
  void TellTime();

  // The record to evict so that a slot of the class becomes free, or 0 if the hand found none that
  // may leave.
  Ref Victim(ClassId id, bool tombstones_may_leave);
  // The tombstone of the class that the hand meets next, or 0 if there is none nearby.
  Ref NextTombstone(ClassId id);

  using Tried = std::bitset<kClassesMax>;
  // Whether the class, which needs a slot, should ask for another class's page before it evicts:
  // not for a while after a refusal.
  bool MayBid(ClassId id);
  void BidRefused(ClassId id);
  // The class whose page is worth the least, `tried` ones left out. Without `must`: only if it is
  // worth clearly less than one of `id`.
  std::optional<ClassId> Donor(ClassId id, bool must, const Tried& tried) const;
  // What a page of the class is worth, of those that it would give next: the higher, the less.
  double DonationValue(ClassId id) const;
  // The highest, of all classes.
  double BestDonationValue() const;
  // The page the class should give, or 0: without `must`, pages in use get a second chance.
  struct DonatedPage {
    PageId page = 0;
    bool by_moving = false;  // there are free slots enough for all that it holds
  };
  DonatedPage PageToDonate(ClassId id, bool must);

  // From now on records of which it says so are passed over; null: none.
  void Spare(Spared spared) { spared_ = std::move(spared); }
  bool Spares(const ItemView& record) const { return spared_ && spared_(record); }

  // The record that a slot belongs to: itself, or a chunk's owner.
  Ref OwnerOf(Ref slot) const;
  bool IsPinned(Ref record) const { return record == pins_[0] || record == pins_[1]; }
  void Pin(std::size_t index, Ref record) { pins_[index] = record; }

 private:
  bool HasSparePage(ClassId id) const {
    const std::uint64_t slots = arena_.classes().at(id).slot_count;
    return arena_.use(id).pages > 1 && arena_.FreeSlots(id) >= slots;
  }
  // The hand's way around a class, more or less: pages come and go meanwhile.
  struct Round {
    std::uint32_t pages_crossed = 0;
    std::uint8_t number = 0;
  };

  // What the hand met of a class lately.
  struct Seen {
    std::uint64_t records = 0;
    std::uint64_t used = 0;
  };

  Ref NextSlot(ClassId id);
  void Observe(ClassId id, bool used);
  double UsedShare(ClassId id) const;
  void LeavePage(ClassId id, PageId page);
  bool AgePage(PageId page);
  bool TakesUses(ClassId id) const { return rounds_[id].number == 0; }

  static constexpr std::uint64_t kWritesUntoldMax = 64;

  SlabArena& arena_;
  PagePool* const pool_;
  std::uint64_t now_ = 0;
  std::uint64_t writes_untold_ = 0;  // to the pool
  std::array<Round, kClassesMax> rounds_{};
  std::array<Seen, kClassesMax> seen_{};
  std::array<std::uint32_t, kClassesMax> evictions_to_bid_{};
  std::array<Ref, kPinsMax> pins_{};
  Spared spared_;
};

}  // namespace gyre
