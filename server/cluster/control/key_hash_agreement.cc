#include "control/key_hash_agreement.h"

#include <algorithm>

#include "cluster/level.h"

namespace gyre {

KeyHashStep NextKeyHashStep(const NodeId& self, const KeyHashId& own, std::uint32_t level,
                            const std::vector<Membership::Ability>& others) {
  const Membership::Ability* oldest = nullptr;
  for (const Membership::Ability& each : others) {
    if (!each.serves || !Replaces(each.key_hash, oldest == nullptr ? own : oldest->key_hash)) {
      continue;
    }
    oldest = &each;
  }
  if (oldest != nullptr) return {KeyHashStep::Kind::kTake, oldest->id};
  if (!own.is_plain()) return {};
  const bool is_first =
      std::none_of(others.begin(), others.end(),
                   [&](const Membership::Ability& each) { return each.serves && each.id < self; });
  // Of whom nothing was heard yet the level is 0, so that all can is no guess.
  return {level >= kLevelKeyHash && is_first ? KeyHashStep::Kind::kMake : KeyHashStep::Kind::kNone,
          {}};
}

}  // namespace gyre
