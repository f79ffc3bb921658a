#include "ownership/death_fences.h"

#include <algorithm>
#include <utility>

namespace gyre {

const ClusterState& DeathFences::Present(const ClusterState& state,
                                         const std::map<NodeId, MemberLife>& lives) {
  const ClusterState before = std::exchange(presented_, state);
  unconfirmed_.clear();
  for (const auto& [id, life] : lives) {
    const auto shown = before.members.find(id);
    const bool ended = life.epoch <= life.dead_incarnation;
    const auto confirmed = confirmed_.find(id);
    const bool known = confirmed != confirmed_.end() && confirmed->second >= life.dead_incarnation;
    const auto now = presented_.members.find(id);
    if (!ended || known || shown == before.members.end() || !shown->second.serving() ||
        now == presented_.members.end()) {
      continue;
    }
    unconfirmed_.emplace(id, life.dead_incarnation);
    now->second = shown->second;
    now->second.state = MemberState::kSuspect;
    const auto held = before.holdings.find(id);
    presented_.holdings.erase(id);
    if (held != before.holdings.end()) presented_.holdings.emplace(id, held->second);
  }
  return presented_;
}

bool DeathFences::Confirm(const std::map<NodeId, std::uint64_t>& deaths) {
  bool news = false;
  for (const auto& [id, epoch] : deaths) {
    std::uint64_t& known = confirmed_[id];
    news = news || epoch > known;
    known = std::max(known, epoch);
  }
  return news;
}

}  // namespace gyre
