// What the ring does (cluster/level.h): raised once all of its members can, and never lowered. Who heard of
// it tells it in each exchange of states, so that a node that comes back does it from the first write on;
// who cannot is not let in any more.
#include <algorithm>
#include <string>

#include "membership/membership_impl.h"

namespace gyre {
namespace {

// Nodes that are said to be too old, each once; more are only counted.
constexpr std::size_t kTooOldLogged = 64;

}  // namespace

// Of all that serve or hold a place on the ring, as far as they said so in this node's life.
std::uint32_t Membership::Impl::LevelOfAll() const {
  std::uint32_t level = options.level;
  for (const auto& [id, peer] : peers) {
    if (state.members.at(id).serving() || OnRing(id)) level = std::min(level, peer.level);
  }
  return level;
}

// On a ring of one there is nobody who could not, and nobody who must be refused.
void Membership::Impl::RaiseLevel() {
  if (ring_level == options.level || state.members.size() == 1) return;
  ring_level = std::max(ring_level, LevelOfAll());
}

void Membership::Impl::NoteAbilities(const NodeId& id, std::uint32_t level, const KeyHashId& hash) {
  const auto peer = peers.find(id);
  if (peer == peers.end()) return;
  peer->second.level = level;
  peer->second.key_hash = hash;
}

Status Membership::Impl::CheckLevel(const NodeId& id, std::uint32_t level) {
  if (level >= ring_level) {
    too_old.erase(id);
    return {};
  }
  ++stats.too_old_refused;
  if (too_old.size() < kTooOldLogged && too_old.insert(id).second) {
    LogFields fields = Describe(id);
    fields.emplace_back("level", level);
    fields.emplace_back("ring_level", ring_level);
    Log(LogLevel::kWarn,
        "not let in: a node's release is older than what the ring does; upgrade it",
        std::move(fields));
  }
  return Fail(ErrorCode::kNotAllowed,
              "the ring does what a node of this release cannot (level " +
                  std::to_string(ring_level) + ", the node has " + std::to_string(level) +
                  "): upgrade the node to the release of the others, then start it again");
}

}  // namespace gyre
