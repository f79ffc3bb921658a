// The slot sizes that pages are carved into.
//
// A page begins with a bitmap of its slots (a set bit: taken); the slots fill the rest:
//
//   | bitmap, 1 bit a slot | slot 0 | slot 1 | ... |      page of 16 to 64 KiB
//
// Record classes: 4-byte steps up to 64, 8-byte steps up to 192, then steps of 1/16, down to 16
// slots a page; then 8, 4, 2 and 1 slots a page, for the chunks of large values. Above 192 bytes
// each size is stretched until its slots fill the page, so what is lost at a page's end is less
// than 4 bytes a slot. The mean loss to rounding is 2 to 4 bytes up to 192, then 3%.
//
// Table classes hold the segments of the indexes: whole cache lines, aligned, steps of 1/7.
//
// The run class stands for what is longer than a page: one slot over several contiguous pages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gyre {

using ClassId = std::uint8_t;

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kPageBytesMin = 16 * 1024;
inline constexpr std::size_t kPageBytesMax = 64 * 1024;
inline constexpr std::size_t kClassesMax = 160;
inline constexpr std::size_t kCoarseClasses = 5;  // of 16, 8, 4, 2 and 1 slots a page

struct SizeClass {
  std::uint32_t slot_bytes = 0;
  std::uint32_t slot_count = 0;    // in a page
  std::uint32_t first_offset = 0;  // of slot 0 in the page
};

class SizeClasses {
 public:
  // `page_bytes` is a power of two in [kPageBytesMin, kPageBytesMax].
  explicit SizeClasses(std::size_t page_bytes);

  std::size_t count() const { return count_; }
  const SizeClass& at(ClassId id) const { return classes_[id]; }

  // The smallest class whose slots hold `bytes`; the record run class where none does.
  ClassId ForRecord(std::size_t bytes) const {
    return bytes <= fine_bytes_max_ ? fine_[(bytes + 3) / 4] : ForLargeRecord(bytes);
  }
  // The largest slot that wastes little, i.e. the bound of the finely spaced classes.
  std::size_t fine_bytes_max() const { return fine_bytes_max_; }
  // The classes of 16, 8, 4, 2 and 1 slots a page.
  ClassId Coarse(std::size_t slots_a_page_log2) const { return coarse_[slots_a_page_log2]; }

  // The smallest table class of at least `lines` cache lines, of which a page holds one or more.
  ClassId ForTable(std::size_t lines) const;

  ClassId record_run() const { return record_run_; }
  bool IsRun(ClassId id) const { return id == record_run_; }
  bool IsTable(ClassId id) const { return id >= tables_begin_; }

 private:
  ClassId Add(std::size_t page_bytes, std::size_t slot_bytes, std::size_t align);
  ClassId ForLargeRecord(std::size_t bytes) const;

  std::array<SizeClass, kClassesMax> classes_{};
  std::array<ClassId, kPageBytesMax / 16 / 4 + 1> fine_{};  // by size in steps of 4
  std::array<ClassId, kCoarseClasses> coarse_{};            // by log2 of slots a page
  std::size_t count_ = 0;
  std::size_t fine_bytes_max_ = 0;
  ClassId record_run_ = 0;
  ClassId tables_begin_ = 0;  // record classes, record run, table classes
};

// A run's one slot begins here in its first page.
inline constexpr std::size_t kRunOffset = kLineBytes;

}  // namespace gyre
