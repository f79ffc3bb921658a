// A shard's memory: one reserved region of address space, cut into pages; pages carved into slots
// of one size.
//
//   region   | page 0: never used | page | page | ... | run of pages | ... |
//   page     | bitmap | slot | slot | slot | ...
//
// States of a page: virgin (address space only), idle (was used, its memory is kept for the next
// taker), in use by a size class, or part of a run. `limit` bounds idle + in use, so the resident
// memory never exceeds it; it grows by what the node's pool has (page_pool.h) and shrinks to a floor.
// The region is larger than the limit, so that contiguous runs find address space: single pages are
// taken from the low end, runs from the high end.
//
// A page whose last slot is freed becomes idle at once: no class holds an empty page. Per class
// there is a ring of its pages, on which the eviction hand walks, and a list of those with a free
// slot. All operations are O(1) but for the scan of a bitmap (at most 64 words) and of the address
// space for a run.
//
// In builds with AddressSanitizer free slots are poisoned: a read of a freed record is found at
// once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "proto/result.h"
#include "storage/item.h"
#include "storage/page_pool.h"
#include "storage/size_classes.h"

namespace gyre {

using PageId = std::uint32_t;  // 0: none

// A private anonymous mapping, zeroed, whose memory is committed by the first touch.
class Mapping {
 public:
  Mapping() = default;
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;

  // Null data on failure.
  static Mapping Reserve(std::size_t bytes);

  char* data() const { return data_; }

 private:
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class SlabArena {
 public:
  // `limit_bytes` is rounded down to whole pages. kOutOfMemory if the address space cannot be
  // reserved.
  static Result<std::unique_ptr<SlabArena>> Create(std::size_t limit_bytes, std::size_t page_bytes);
  // What an arena has of a pool: so many pages always, so many as its equal share, and all at most,
  // for which it reserves address space if it can be had. The pool outlives it; null: `floor` is all.
  struct Lending {
    PagePool* pool = nullptr;
    std::size_t floor_pages = 0;
    std::size_t share_pages = 0;
    std::size_t reach_pages = 0;
  };
  static Result<std::unique_ptr<SlabArena>> Create(const Lending& lending, std::size_t page_bytes);
  // Of the address space that it reserves.
  static std::size_t PagesOf(const Lending& lending);
  ~SlabArena();

  const SizeClasses& classes() const { return classes_; }
  std::size_t page_bytes() const { return std::size_t{1} << page_shift_; }
  std::size_t pages_limit() const { return pages_limit_; }
  std::size_t pages_used() const { return pages_used_; }
  std::size_t pages_resident() const { return pages_used_ + pages_idle_; }
  char* base() const { return region_.data(); }
  char* At(Ref ref) const { return region_.data() + std::size_t{ref} * kGranuleBytes; }
  Ref RefOf(const char* at) const {
    return static_cast<Ref>(static_cast<std::size_t>(at - region_.data()) / kGranuleBytes);
  }

  // A slot of the class, or 0 if it has no free one and no page is left.
  Ref Allocate(ClassId id);
  // One slot of at least `bytes` over contiguous pages, or 0. `id` is the run class.
  Ref AllocateRun(ClassId id, std::size_t bytes);
  // Pages that such a run takes.
  std::size_t RunPages(std::size_t bytes) const {
    return (bytes + kRunOffset + page_bytes() - 1) >> page_shift_;
  }
  void Free(Ref ref);

  ClassId ClassOf(Ref ref) const { return pages_[PageOf(ref)].class_id; }
  // Of the slot that begins at `ref`.
  std::size_t SlotBytes(Ref ref) const;

  // Raises the limit by so many pages of the pool. False: it has not so many, or there is none.
  bool Borrow(std::size_t pages);
  // Gives the pool what is unused of the limit, down to the floor.
  void GiveBack();
  // Whether it has more than its floor.
  bool MayGive() const { return lending_.pool != nullptr && pages_limit_ > lending_.floor_pages; }

  // Gives up to `pages_max` idle pages back to the system; says how many.
  std::size_t ReturnIdle(std::size_t pages_max);

  // ---- For eviction and page moves ------------------------------------------------------------

  struct ClassUse {
    PageId hand = 0;  // the page the eviction hand is on; 0: the class has no page
    std::uint32_t hand_slot = 0;
    std::uint32_t pages = 0;
    std::uint64_t slots_used = 0;
    PageId open = 0;  // first page with a free slot
  };
  const ClassUse& use(ClassId id) const { return uses_[id]; }
  std::uint64_t FreeSlots(ClassId id) const {
    return std::uint64_t{uses_[id].pages} * classes_.at(id).slot_count - uses_[id].slots_used;
  }
  ClassId PageClass(PageId page) const { return pages_[page].class_id; }
  std::uint32_t PageUsed(PageId page) const { return pages_[page].used; }
  PageId PageOf(Ref ref) const { return ref >> (page_shift_ - 2); }
  PageId NextPage(PageId page) const { return pages_[page].ring_next; }
  // When the hand last left the page, or the class got it, in the evictor's time.
  std::uint64_t PageStamp(PageId page) const { return pages_[page].stamp; }
  void StampPage(PageId page, std::uint64_t stamp) { pages_[page].stamp = stamp; }
  // The evictor's time, for the stamps of pages that a class gets.
  void set_now(std::uint64_t now) { now_ = now; }

  // The first taken slot at index `slot` or above, or 0; sets `slot` to its index.
  Ref NextTaken(PageId page, std::uint32_t& slot) const;
  void SetHand(ClassId id, PageId page, std::uint32_t slot) {
    uses_[id].hand = page;
    uses_[id].hand_slot = slot;
  }
  // While closed, a page gives out no slots: its records are being moved away.
  void ClosePage(PageId page);
  void ReopenPage(PageId page);
  // The page of the class with the fewest taken slots among the first few open ones.
  PageId SparsestPage(ClassId id) const;

  // Held by the indexes, which cannot be evicted.
  std::size_t TablePages() const;
  // Taken, in all classes.
  std::size_t SlotsUsed() const;

  // Debug: whether pages, bitmaps, rings and counts agree.
  bool CheckInvariants() const;

 private:
  struct Page {
    std::uint64_t stamp;
    PageId ring_next, ring_previous;
    PageId open_next, open_previous;
    std::uint32_t used;       // slots
    std::uint32_t run_pages;  // 0: not the first page of a run
    std::uint16_t hint;       // no bitmap word before it has a free bit
    ClassId class_id;
    bool in_use;
    bool is_open;    // stands in its class's open list
    bool is_closed;  // gives out no slots: its records are moving away
  };

  SlabArena(Mapping region, Mapping pages, std::size_t region_pages, int page_shift,
            const Lending& lending);

  char* PageAt(PageId page) const { return region_.data() + (std::size_t{page} << page_shift_); }
  std::uint64_t* Bitmap(PageId page) const {
    return reinterpret_cast<std::uint64_t*>(PageAt(page));
  }
  PageId TakePage();
  PageId TakeVirginRun(std::size_t pages);
  void Carve(PageId page, ClassId id);
  void Retire(PageId page);
  void AddToRing(PageId page);
  void RemoveFromRing(PageId page);
  void AddToOpen(PageId page);
  void RemoveFromOpen(PageId page);
  void SetVirgin(PageId page, bool virgin);

  const Mapping region_;
  const Mapping page_memory_;
  const SizeClasses classes_;
  const std::size_t region_pages_;
  const int page_shift_;
  const Lending lending_;
  Page* const pages_;  // in page_memory_

  std::size_t pages_limit_;
  std::size_t pages_used_ = 0;
  std::size_t pages_idle_ = 0;
  PageId idle_ = 0;                    // list of idle pages, linked through open_next
  std::vector<std::uint64_t> virgin_;  // bit a page
  std::size_t virgin_hint_ = 0;        // no word before it has a bit
  std::uint64_t now_ = 0;
  std::array<ClassUse, kClassesMax> uses_{};
};

}  // namespace gyre
