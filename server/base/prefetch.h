// Brings a cache line to the CPU ahead of its use; no effect otherwise.
//
// GCC takes a function that only prefetches for one without effects, and drops calls of it which it does not
// inline early on. The empty asm is an effect to it, and no instruction.
#pragma once

namespace gyre {

inline void PrefetchToRead(const void* at) {
  __builtin_prefetch(at, 0);
  asm volatile("");
}

inline void PrefetchToWrite(const void* at) {
  __builtin_prefetch(at, 1);
  asm volatile("");
}

}  // namespace gyre
