// When the allocator should be told to give the system back what it keeps.
//
// Large blocks are the system's own (M_MMAP_THRESHOLD in main.cc) and go back when they are freed.
// Blocks below that, of which thousands of clients may have one each, stay with the allocator, for
// it gives back only what lies at the end of its heap. Trimming walks the heap, so it is done when
// much was freed, and not often.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/clock.h"

namespace gyre {

class HeapTrim {
 public:
  static constexpr std::size_t kFreedBytesMin = std::size_t{8} << 20;
  static constexpr Duration kInterval = std::chrono::seconds(1);

  // To be called now and then. `held`: bytes of what comes and goes. True: trim now.
  bool Due(TimePoint now, std::size_t held) {
    high_ = std::max(high_, held);
    if (high_ - held < kFreedBytesMin || now - trimmed_at_ < kInterval) return false;
    high_ = held;
    trimmed_at_ = now;
    return true;
  }

 private:
  std::size_t high_ = 0;  // since it was trimmed last
  TimePoint trimmed_at_{};
};

}  // namespace gyre
