// A number that one thread changes and any thread reads: plain loads and stores, no locked
// instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace gyre {

class Counter {
 public:
  void Add(std::uint64_t amount) { Set(value() + amount); }
  void Subtract(std::uint64_t amount) { Set(value() - amount); }
  void Set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace gyre
