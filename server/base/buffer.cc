#include "base/buffer.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/client_memory.h"
#include "base/memory_reserve.h"

namespace gyre {
namespace {

constexpr std::size_t kCapacityMin = 1024;
// A block doubles up to this size. Larger ones grow by a quarter: what they do not need is charged,
// too, and the system moves their pages, not their bytes.
constexpr std::size_t kDoublesMax = std::size_t{1} << 20;

std::size_t Grown(std::size_t capacity) {
  return capacity <= kDoublesMax ? 2 * capacity : capacity + capacity / 4;
}

// Null: the system has no memory left. Large blocks leave it the reserve, of which small ones are
// given where there is nothing else.
void* Reallocate(void* block, std::size_t bytes) {
  const bool small = bytes <= ClientMemory::kSmallBytes;
  if (!small && !MemoryReserve::Renew()) return nullptr;
  void* const grown = std::realloc(block, bytes);
  return grown == nullptr && small && MemoryReserve::Use() ? std::realloc(block, bytes) : grown;
}

}  // namespace

void Buffer::Release() {
  if (account_ != nullptr && capacity_ != 0) account_->Release(capacity_);
  data_.reset();
  begin_ = end_ = capacity_ = 0;
}

void Buffer::MakeRoom(std::size_t bytes) {
  if (TryReserve(bytes)) return;
  if (account_ != nullptr) throw ClientMemoryFull(size() + bytes);
  throw std::bad_alloc();
}

bool Buffer::TryReserve(std::size_t bytes) {
  if (data_ != nullptr && capacity_ - end_ >= bytes) return true;
  const std::size_t needed = size() + bytes;
  // Sliding the readable bytes to the front costs at most one move per byte consumed, as long as at
  // least half of the block was consumed.
  if (data_ != nullptr && begin_ >= capacity_ / 2 && capacity_ >= needed) {
    SlideToFront();
    return true;
  }
  const std::size_t capacity = std::max({kCapacityMin, Grown(capacity_), needed});
  if (Resize(capacity) || (needed > capacity_ && needed < capacity && Resize(needed))) return true;
  if (capacity_ < needed) return false;
  SlideToFront();
  return true;
}

void Buffer::SlideToFront() {
  std::memmove(data_.get(), data(), size());
  end_ -= begin_;
  begin_ = 0;
}

// To a larger block. False, and nothing changes: there is no room for it.
bool Buffer::Resize(std::size_t capacity) {
  if (account_ != nullptr && !account_->TryCharge(capacity - capacity_, capacity)) return false;
  if (begin_ != 0) SlideToFront();
  char* const grown = static_cast<char*>(Reallocate(data_.get(), capacity));
  if (grown == nullptr) {
    if (account_ != nullptr) account_->Release(capacity - capacity_);
    return false;
  }
  (void)data_.release();
  data_.reset(grown);
  capacity_ = capacity;
  return true;
}

}  // namespace gyre
