#include "base/buffer.h"

#include <new>

#include "base/memory_reserve.h"

namespace gyre {
namespace {

// Null: the system has no memory left. Large blocks leave it the reserve, of which small ones are
// given where there is nothing else.
void* Reallocate(void* block, std::size_t bytes) {
  const bool small = bytes <= ClientMemory::kSmallBytes;
  if (!small && !MemoryReserve::Renew()) return nullptr;
  void* const grown = std::realloc(block, bytes);
  return grown == nullptr && small && MemoryReserve::Use() ? std::realloc(block, bytes) : grown;
}

}  // namespace

char* ChargedMemory::Resize(char* block, std::size_t from, std::size_t to) {
  if (account_ != nullptr && !account_->TryCharge(to - from, to)) return nullptr;
  void* const grown = Reallocate(block, to);
  if (grown == nullptr && account_ != nullptr) account_->Release(to - from);
  return static_cast<char*>(grown);
}

void ChargedMemory::Refuse(std::size_t bytes) {
  if (account_ != nullptr) throw ClientMemoryFull(bytes);
  throw std::bad_alloc();
}

template class ByteQueue<ChargedMemory>;

}  // namespace gyre
