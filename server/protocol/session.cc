#include "protocol/session.h"

#include <algorithm>
#include <utility>

namespace gyre {

std::unordered_map<SessionOwner*, std::vector<std::uint64_t>> SessionRegistry::TakeLargest(
    const ClientMemory* budget, std::size_t bytes, std::size_t wish_bytes_max) {
  std::unordered_map<SessionOwner*, std::vector<std::uint64_t>> taken;
  std::vector<std::pair<std::size_t, Session*>> held;
  MutexLock lock(mutex_);
  for (const auto& [id, session] : sessions_) {
    const std::size_t wants = session->wanted_bytes.load(std::memory_order_relaxed);
    const std::size_t holds = session->memory_bytes.load(std::memory_order_relaxed) +
                              (wants > wish_bytes_max ? wants : 0);
    if (holds == 0 || session->owner == nullptr || session->owner->budget() != budget) continue;
    if (!session->closing) {
      held.emplace_back(holds, session);
    } else {
      bytes -= std::min(bytes, holds);  // is on its way
    }
  }
  std::make_heap(held.begin(), held.end());
  while (bytes > 0 && !held.empty()) {
    std::pop_heap(held.begin(), held.end());
    const auto [holds, session] = held.back();
    held.pop_back();
    bytes -= std::min(bytes, holds);
    session->closing = true;
    taken[session->owner].push_back(session->id);
  }
  return taken;
}

}  // namespace gyre
