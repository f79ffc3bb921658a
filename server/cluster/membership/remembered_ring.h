// The ring as a node remembers it over a restart (ops/ring_file.h), so that it goes back to it: whose
// place it is, and where each member was last. Pure.
//
// The entries are registers as they are gossiped (state.h): whoever went on meanwhile has the same
// or newer ones, so an old memory harms nobody.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "membership/state.h"

namespace gyre {

struct RememberedMember {
  RingEntry entry;
  std::string name;
  std::string host;  // as the member told it
  std::uint16_t port = 0;

  friend bool operator==(const RememberedMember&, const RememberedMember&) = default;
};

struct RememberedRing {
  std::vector<RememberedMember> members;  // sorted by id, this node and removed ones included

  // Members with a place on the ring, besides `self`.
  std::size_t others(const NodeId& self) const {
    return static_cast<std::size_t>(
        std::count_if(members.begin(), members.end(), [&self](const RememberedMember& member) {
          return !member.entry.removed && member.entry.id != self;
        }));
  }

  friend bool operator==(const RememberedRing&, const RememberedRing&) = default;
};

// What is worth remembering of `state`.
inline RememberedRing RingToRemember(const ClusterState& state) {
  RememberedRing ring;
  for (const auto& [id, entry] : state.ring) {
    const auto member = state.members.find(id);
    if (member == state.members.end()) continue;
    const MemberInfo& info = member->second;
    ring.members.push_back({entry, info.name, info.host, info.port});
  }
  return ring;
}

}  // namespace gyre
