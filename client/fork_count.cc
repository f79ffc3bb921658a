#include "client/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace gyre::client {
namespace {

std::atomic<std::uint32_t> forks{0};

}  // namespace

std::uint32_t ForkCount() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(registered);  // without memory for it, forks go unnoticed
  return forks.load(std::memory_order_relaxed);
}

}  // namespace gyre::client
