#include "base/memory_reserve.h"

#include <sys/mman.h>

#include <atomic>
#include <new>

namespace gyre {
namespace {

std::atomic<void*> reserve{nullptr};
std::atomic<std::uint64_t> times_used{0};

// Called by operator new where malloc found nothing; it tries again if this returns.
void OnNothingLeft() {
  if (!MemoryReserve::Use()) throw std::bad_alloc();
}

}  // namespace

void MemoryReserve::Install() {
  Renew();
  std::set_new_handler(OnNothingLeft);
}

bool MemoryReserve::Renew() {
  if (reserve.load() != nullptr) return true;
  void* const block =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return false;
  void* expected = nullptr;
  if (!reserve.compare_exchange_strong(expected, block)) ::munmap(block, kBytes);
  return true;
}

bool MemoryReserve::Use() {
  void* const block = reserve.exchange(nullptr);
  if (block == nullptr) return false;
  ::munmap(block, kBytes);
  times_used.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::uint64_t MemoryReserve::used() { return times_used.load(std::memory_order_relaxed); }

}  // namespace gyre
