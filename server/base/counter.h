// Numbers that are counted in one place and read by any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace gyre {

// One thread changes it: plain loads and stores, no locked instruction.
class Counter {
 public:
  void Add(std::uint64_t amount) { Set(value() + amount); }
  void Subtract(std::uint64_t amount) { Set(value() - amount); }
  void Set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Any thread changes it.
class SharedCounter {
 public:
  void Add(std::uint64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace gyre
