#include "storage/size_classes.h"

#include <algorithm>
#include <cassert>

namespace gyre {
namespace {

constexpr std::size_t kSlotBytesMin = 16;
constexpr std::size_t kStepOf4Max = 64;
constexpr std::size_t kStepOf8Max = 192;
constexpr std::size_t kFineSlotsMin = 16;  // a page, of the finely spaced classes

std::size_t RoundUp(std::size_t bytes, std::size_t step) {
  return (bytes + step - 1) / step * step;
}

std::size_t BitmapBytes(std::size_t slots) { return RoundUp(slots, 64) / 8; }

std::size_t SlotsOf(std::size_t page_bytes, std::size_t slot_bytes, std::size_t align) {
  std::size_t slots = page_bytes / slot_bytes;
  while (RoundUp(BitmapBytes(slots), align) + slots * slot_bytes > page_bytes) --slots;
  return slots;
}

// The largest slot of which `slots` fit a page.
std::size_t Stretched(std::size_t page_bytes, std::size_t slots, std::size_t align) {
  return (page_bytes - RoundUp(BitmapBytes(slots), align)) / slots / align * align;
}

}  // namespace

ClassId SizeClasses::Add(std::size_t page_bytes, std::size_t slot_bytes, std::size_t align) {
  assert(count_ < kClassesMax);
  const std::size_t slots = SlotsOf(page_bytes, slot_bytes, align);
  classes_[count_] =
      SizeClass{static_cast<std::uint32_t>(slot_bytes), static_cast<std::uint32_t>(slots),
                static_cast<std::uint32_t>(RoundUp(BitmapBytes(slots), align))};
  return static_cast<ClassId>(count_++);
}

SizeClasses::SizeClasses(std::size_t page_bytes) {
  std::size_t size = kSlotBytesMin;
  for (; size <= kStepOf4Max; size += 4) Add(page_bytes, size, 4);
  for (size = kStepOf4Max + 8; size <= kStepOf8Max; size += 8) Add(page_bytes, size, 4);
  size = kStepOf8Max;
  for (;;) {
    std::size_t slots = SlotsOf(page_bytes, size + size / 16 + 4, 4);
    // Whole slots a page: where few fit, leaving one out would be a large step.
    if (Stretched(page_bytes, slots + 1, 4) > size + size / 32) ++slots;
    if (slots < kFineSlotsMin) break;
    const std::size_t stretched = Stretched(page_bytes, slots, 4);
    size = std::max(stretched, size + 4);
    Add(page_bytes, size, 4);
  }
  // The last fine class holds exactly kFineSlotsMin slots a page, then the coarse ones 8, 4, 2
  // and 1.
  for (int log2 = 4; log2 >= 0; --log2) {
    const std::size_t stretched = Stretched(page_bytes, std::size_t{1} << log2, 4);
    const bool there = classes_[count_ - 1].slot_bytes == stretched;
    coarse_[static_cast<std::size_t>(log2)] =
        there ? static_cast<ClassId>(count_ - 1) : Add(page_bytes, stretched, 4);
  }
  fine_bytes_max_ = classes_[coarse_[4]].slot_bytes;
  ClassId id = 0;
  for (std::size_t step = 0; step <= fine_bytes_max_ / 4; ++step) {
    while (classes_[id].slot_bytes < step * 4) ++id;
    fine_[step] = id;
  }
  record_run_ = static_cast<ClassId>(count_++);
  classes_[record_run_] = SizeClass{0, 1, kRunOffset};

  tables_begin_ = static_cast<ClassId>(count_);
  for (std::size_t lines = 1;;) {
    const std::size_t slots = SlotsOf(page_bytes, lines * kLineBytes, kLineBytes);
    const std::size_t stretched = Stretched(page_bytes, slots, kLineBytes);
    Add(page_bytes, stretched, kLineBytes);
    if (slots == 1) break;
    lines = std::max(stretched / kLineBytes + 1, stretched / kLineBytes * 8 / 7);
    lines = std::min(lines, Stretched(page_bytes, 1, kLineBytes) / kLineBytes);
  }
}

ClassId SizeClasses::ForLargeRecord(std::size_t bytes) const {
  for (std::size_t log2 = coarse_.size(); log2-- > 0;) {
    if (bytes <= classes_[coarse_[log2]].slot_bytes) return coarse_[log2];
  }
  return record_run_;
}

ClassId SizeClasses::ForTable(std::size_t lines) const {
  const auto* begin = classes_.data() + tables_begin_;
  const auto* end = classes_.data() + count_;
  const auto* found =
      std::lower_bound(begin, end, lines * kLineBytes,
                       [](const SizeClass& c, std::size_t bytes) { return c.slot_bytes < bytes; });
  assert(found != end);
  return static_cast<ClassId>(found - classes_.data());
}

}  // namespace gyre
