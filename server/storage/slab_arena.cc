#include "storage/slab_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <string>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define GYRE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GYRE_ASAN 1
#endif
#endif
#if defined(GYRE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace gyre {
namespace {

// Address space beyond the limit, in shares, so that runs find contiguous room in it.
constexpr std::size_t kSpareShares = 3;
constexpr std::size_t kRegionPagesSlack = 64;
constexpr std::size_t kRegionBytesMax = (std::size_t{1} << 32) * kGranuleBytes;
// Open pages that SparsestPage looks at.
constexpr int kSparsestLookedAt = 16;

void Poison([[maybe_unused]] char* at, [[maybe_unused]] std::size_t bytes) {
#if defined(GYRE_ASAN)
  ASAN_POISON_MEMORY_REGION(at, bytes);
#endif
}

void Unpoison([[maybe_unused]] char* at, [[maybe_unused]] std::size_t bytes) {
#if defined(GYRE_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#endif
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping Mapping::Reserve(std::size_t bytes) {
  Mapping mapping;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return mapping;
  mapping.data_ = static_cast<char*>(at);
  mapping.bytes_ = bytes;
  return mapping;
}

Result<std::unique_ptr<SlabArena>> SlabArena::Create(std::size_t limit_bytes,
                                                     std::size_t page_bytes) {
  const std::size_t pages = limit_bytes / page_bytes;
  return Create({.floor_pages = pages, .share_pages = pages, .reach_pages = pages}, page_bytes);
}

std::size_t SlabArena::PagesOf(const Lending& lending) {
  return lending.reach_pages + kSpareShares * lending.share_pages;
}

Result<std::unique_ptr<SlabArena>> SlabArena::Create(const Lending& lending,
                                                     std::size_t page_bytes) {
  assert(std::has_single_bit(page_bytes) && page_bytes >= kPageBytesMin &&
         page_bytes <= kPageBytesMax);
  // Where address space is rationed (ulimit -v, strict overcommit), as much as the limit needs will
  // do.
  for (const std::size_t room : {PagesOf(lending), lending.share_pages}) {
    const std::size_t region_pages =
        std::min(room + kRegionPagesSlack, kRegionBytesMax / page_bytes);
    Mapping region = Mapping::Reserve(region_pages * page_bytes);
    Mapping pages = Mapping::Reserve(region_pages * sizeof(Page));
    if (region.data() == nullptr || pages.data() == nullptr) continue;
    // With huge pages the first byte of a page would commit 2 MiB: resident memory would not follow
    // our counts.
    madvise(region.data(), region_pages * page_bytes, MADV_NOHUGEPAGE);
    return std::unique_ptr<SlabArena>(new SlabArena(
        std::move(region), std::move(pages), region_pages, std::countr_zero(page_bytes), lending));
  }
  return Fail(ErrorCode::kOutOfMemory,
              "cannot reserve " + std::to_string(lending.share_pages * page_bytes) +
                  " bytes of address space: lower --memory or raise ulimit -v");
}

SlabArena::SlabArena(Mapping region, Mapping pages, std::size_t region_pages, int page_shift,
                     const Lending& lending)
    : region_(std::move(region)),
      page_memory_(std::move(pages)),
      classes_(std::size_t{1} << page_shift),
      region_pages_(region_pages),
      page_shift_(page_shift),
      lending_(lending),
      pages_(reinterpret_cast<Page*>(page_memory_.data())),
      pages_limit_(lending.floor_pages),
      virgin_((region_pages + 63) / 64, 0) {
  for (std::size_t page = 1; page < region_pages; ++page) {
    SetVirgin(static_cast<PageId>(page), true);
  }
}

SlabArena::~SlabArena() { Unpoison(region_.data(), region_pages_ << page_shift_); }

void SlabArena::SetVirgin(PageId page, bool virgin) {
  const std::uint64_t bit = std::uint64_t{1} << (page % 64);
  if (virgin) {
    virgin_[page / 64] |= bit;
    virgin_hint_ = std::min<std::size_t>(virgin_hint_, page / 64);
  } else {
    virgin_[page / 64] &= ~bit;
  }
}

bool SlabArena::Borrow(std::size_t pages) {
  const bool beyond_share = pages_limit_ + pages > lending_.share_pages;
  if (lending_.pool == nullptr || !lending_.pool->Take(pages, beyond_share)) return false;
  pages_limit_ += pages;
  return true;
}

void SlabArena::GiveBack() {
  const std::size_t kept = std::max(lending_.floor_pages, pages_resident());
  if (lending_.pool == nullptr || pages_limit_ <= kept) return;
  lending_.pool->Give(pages_limit_ - kept);
  pages_limit_ = kept;
}

PageId SlabArena::TakePage() {
  if (idle_ != 0) {
    const PageId page = idle_;
    idle_ = pages_[page].open_next;
    --pages_idle_;
    ++pages_used_;
    return page;
  }
  if (pages_resident() >= pages_limit_ && !Borrow(1)) return 0;
  for (; virgin_hint_ < virgin_.size(); ++virgin_hint_) {
    if (virgin_[virgin_hint_] == 0) continue;
    const auto page = static_cast<PageId>(
        virgin_hint_ * 64 + static_cast<std::size_t>(std::countr_zero(virgin_[virgin_hint_])));
    SetVirgin(page, false);
    ++pages_used_;
    return page;
  }
  return 0;
}

PageId SlabArena::TakeVirginRun(std::size_t pages) {
  std::size_t found = 0;
  for (std::size_t page = region_pages_; page-- > 1;) {
    if (page % 64 == 63 && virgin_[page / 64] == 0) {
      page -= 63;
      found = 0;
      if (page == 0) break;
      continue;
    }
    found = (virgin_[page / 64] >> (page % 64) & 1) != 0 ? found + 1 : 0;
    if (found < pages) continue;
    for (std::size_t taken = page; taken < page + pages; ++taken) {
      SetVirgin(static_cast<PageId>(taken), false);
    }
    return static_cast<PageId>(page);
  }
  return 0;
}

Ref SlabArena::Allocate(ClassId id) {
  ClassUse& use = uses_[id];
  if (use.open == 0) {
    const PageId taken = TakePage();
    if (taken == 0) return 0;
    Carve(taken, id);
  }
  const PageId page_id = use.open;
  Page& page = pages_[page_id];
  const SizeClass& size = classes_.at(id);
  std::uint64_t* word = Bitmap(page_id) + page.hint;
  while (*word == ~std::uint64_t{0}) ++word;
  const auto bit = static_cast<std::uint32_t>(std::countr_one(*word));
  *word |= std::uint64_t{1} << bit;
  page.hint = static_cast<std::uint16_t>(word - Bitmap(page_id));
  ++page.used;
  ++use.slots_used;
  if (page.used == size.slot_count) RemoveFromOpen(page_id);
  const std::size_t offset =
      size.first_offset + (std::size_t{page.hint} * 64 + bit) * std::size_t{size.slot_bytes};
  char* at = PageAt(page_id) + offset;
  Unpoison(at, size.slot_bytes);
  return static_cast<Ref>((at - region_.data()) / static_cast<std::ptrdiff_t>(kGranuleBytes));
}

Ref SlabArena::AllocateRun(ClassId id, std::size_t bytes) {
  assert(classes_.IsRun(id));
  const std::size_t pages = RunPages(bytes);
  if (pages_used_ + pages > pages_limit_ && !Borrow(pages_used_ + pages - pages_limit_)) {
    return 0;
  }
  if (pages_resident() + pages > pages_limit_) ReturnIdle(pages_resident() + pages - pages_limit_);
  const PageId first = TakeVirginRun(pages);
  if (first == 0) return 0;
  pages_used_ += pages;
  Page& page = pages_[first];
  page = Page{};
  page.stamp = now_;
  page.run_pages = static_cast<std::uint32_t>(pages);
  page.used = 1;
  page.class_id = id;
  page.in_use = true;
  AddToRing(first);
  ++uses_[id].slots_used;
  char* at = PageAt(first);
  Unpoison(at, pages << page_shift_);
  *Bitmap(first) = ~std::uint64_t{0};
  return static_cast<Ref>((at + kRunOffset - region_.data()) /
                          static_cast<std::ptrdiff_t>(kGranuleBytes));
}

void SlabArena::Carve(PageId page_id, ClassId id) {
  const SizeClass& size = classes_.at(id);
  Page& page = pages_[page_id];
  page = Page{};
  page.stamp = now_;
  page.class_id = id;
  page.in_use = true;
  char* at = PageAt(page_id);
  Unpoison(at, size.first_offset);
  // Bits beyond the last slot are set for ever, so that the search for a free one stops by itself.
  std::memset(at, 0, size.first_offset);
  std::uint64_t* bitmap = Bitmap(page_id);
  if (size.slot_count % 64 != 0)
    bitmap[size.slot_count / 64] = ~std::uint64_t{0} << (size.slot_count % 64);
  Poison(at + size.first_offset, page_bytes() - size.first_offset);
  AddToRing(page_id);
  AddToOpen(page_id);
}

void SlabArena::Retire(PageId page_id) {
  Page& page = pages_[page_id];
  RemoveFromRing(page_id);
  if (page.is_open) RemoveFromOpen(page_id);
  page.in_use = false;
  if (page.run_pages > 0) {
    const std::size_t pages = page.run_pages;
    page.run_pages = 0;
    madvise(PageAt(page_id), pages << page_shift_, MADV_DONTNEED);
    for (std::size_t i = 0; i < pages; ++i) SetVirgin(static_cast<PageId>(page_id + i), true);
    pages_used_ -= pages;
    Poison(PageAt(page_id), pages << page_shift_);
    return;
  }
  Poison(PageAt(page_id), page_bytes());
  page.open_next = idle_;
  idle_ = page_id;
  --pages_used_;
  ++pages_idle_;
}

void SlabArena::Free(Ref ref) {
  const PageId page_id = PageOf(ref);
  Page& page = pages_[page_id];
  const ClassId id = page.class_id;
  assert(page.in_use && page.used > 0);
  --uses_[id].slots_used;
  --page.used;
  if (page.run_pages == 0) {
    const SizeClass& size = classes_.at(id);
    const auto offset = static_cast<std::uint32_t>(At(ref) - PageAt(page_id)) - size.first_offset;
    assert(offset % size.slot_bytes == 0);
    const std::uint32_t slot = offset / size.slot_bytes;
    std::uint64_t& word = Bitmap(page_id)[slot / 64];
    assert((word >> (slot % 64) & 1) != 0);
    word &= ~(std::uint64_t{1} << (slot % 64));
    page.hint = std::min(page.hint, static_cast<std::uint16_t>(slot / 64));
    Poison(At(ref), size.slot_bytes);
  }
  if (page.used == 0) {
    Retire(page_id);
  } else if (!page.is_open && !page.is_closed) {
    AddToOpen(page_id);
  }
}

std::size_t SlabArena::SlotBytes(Ref ref) const {
  const Page& page = pages_[PageOf(ref)];
  if (page.run_pages > 0) return (std::size_t{page.run_pages} << page_shift_) - kRunOffset;
  return classes_.at(page.class_id).slot_bytes;
}

std::size_t SlabArena::ReturnIdle(std::size_t pages_max) {
  std::size_t returned = 0;
  for (; returned < pages_max && idle_ != 0; ++returned) {
    const PageId page = idle_;
    idle_ = pages_[page].open_next;
    --pages_idle_;
    madvise(PageAt(page), page_bytes(), MADV_DONTNEED);
    SetVirgin(page, true);
  }
  return returned;
}

// A page that a class gets stands just behind the hand: it is looked at last.
void SlabArena::AddToRing(PageId page_id) {
  Page& page = pages_[page_id];
  ClassUse& use = uses_[page.class_id];
  ++use.pages;
  if (use.hand == 0) {
    page.ring_next = page.ring_previous = page_id;
    use.hand = page_id;
    use.hand_slot = 0;
    return;
  }
  page.ring_next = use.hand;
  page.ring_previous = pages_[use.hand].ring_previous;
  pages_[page.ring_previous].ring_next = page_id;
  pages_[use.hand].ring_previous = page_id;
}

void SlabArena::RemoveFromRing(PageId page_id) {
  Page& page = pages_[page_id];
  ClassUse& use = uses_[page.class_id];
  --use.pages;
  if (use.hand == page_id) {
    use.hand = page.ring_next == page_id ? 0 : page.ring_next;
    use.hand_slot = 0;
  }
  pages_[page.ring_previous].ring_next = page.ring_next;
  pages_[page.ring_next].ring_previous = page.ring_previous;
}

void SlabArena::AddToOpen(PageId page_id) {
  Page& page = pages_[page_id];
  ClassUse& use = uses_[page.class_id];
  page.open_previous = 0;
  page.open_next = use.open;
  if (use.open != 0) pages_[use.open].open_previous = page_id;
  use.open = page_id;
  page.is_open = true;
}

void SlabArena::RemoveFromOpen(PageId page_id) {
  Page& page = pages_[page_id];
  if (page.open_previous != 0) {
    pages_[page.open_previous].open_next = page.open_next;
  } else {
    uses_[page.class_id].open = page.open_next;
  }
  if (page.open_next != 0) pages_[page.open_next].open_previous = page.open_previous;
  page.is_open = false;
}

void SlabArena::ClosePage(PageId page) {
  pages_[page].is_closed = true;
  if (pages_[page].is_open) RemoveFromOpen(page);
}

void SlabArena::ReopenPage(PageId page) {
  pages_[page].is_closed = false;
  if (pages_[page].used < classes_.at(pages_[page].class_id).slot_count) AddToOpen(page);
}

PageId SlabArena::SparsestPage(ClassId id) const {
  PageId best = uses_[id].open;
  PageId page = best;
  for (int looked_at = 0; page != 0 && looked_at < kSparsestLookedAt; ++looked_at) {
    if (pages_[page].used < pages_[best].used) best = page;
    page = pages_[page].open_next;
  }
  return best;
}

Ref SlabArena::NextTaken(PageId page, std::uint32_t& slot) const {
  const SizeClass& size = classes_.at(pages_[page].class_id);
  if (slot >= size.slot_count) return 0;
  const std::uint64_t* bitmap = Bitmap(page);
  std::uint32_t word = slot / 64;
  std::uint64_t bits = bitmap[word] & (~std::uint64_t{0} << (slot % 64));
  while (bits == 0) {
    if (++word * 64 >= size.slot_count) return 0;
    bits = bitmap[word];
  }
  slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
  if (slot >= size.slot_count) return 0;
  const std::size_t offset =
      (std::size_t{page} << page_shift_) + size.first_offset + std::size_t{slot} * size.slot_bytes;
  return static_cast<Ref>(offset / kGranuleBytes);
}

std::size_t SlabArena::TablePages() const {
  std::size_t pages = 0;
  for (std::size_t id = 0; id < classes_.count(); ++id) {
    if (classes_.IsTable(static_cast<ClassId>(id))) pages += uses_[id].pages;
  }
  return pages;
}

std::size_t SlabArena::SlotsUsed() const {
  std::size_t slots = 0;
  for (const ClassUse& use : uses_) slots += use.slots_used;
  return slots;
}

bool SlabArena::CheckInvariants() const {
  std::size_t used = 0;
  std::array<ClassUse, kClassesMax> counted{};
  for (std::size_t id = 1; id < region_pages_; ++id) {
    const Page& page = pages_[id];
    if (!page.in_use) continue;
    used += std::max<std::size_t>(page.run_pages, 1);
    ClassUse& use = counted[page.class_id];
    ++use.pages;
    use.slots_used += page.used;
    std::uint32_t taken = 0;
    for (std::uint32_t slot = 0; NextTaken(static_cast<PageId>(id), slot) != 0; ++slot) ++taken;
    const bool has_free = page.run_pages == 0 && taken < classes_.at(page.class_id).slot_count;
    if (taken != page.used || taken == 0 || page.is_open != has_free || page.is_closed)
      return false;
    if (pages_[page.ring_next].ring_previous != id) return false;
  }
  for (std::size_t id = 0; id < classes_.count(); ++id) {
    if (counted[id].pages != uses_[id].pages || counted[id].slots_used != uses_[id].slots_used) {
      return false;
    }
    if ((uses_[id].hand == 0) != (uses_[id].pages == 0)) return false;
    if (uses_[id].hand != 0 && pages_[uses_[id].hand].class_id != id) return false;
  }
  std::size_t idle = 0;
  for (PageId page = idle_; page != 0; page = pages_[page].open_next) ++idle;
  return used == pages_used_ && idle == pages_idle_ && pages_resident() <= pages_limit_;
}

}  // namespace gyre
