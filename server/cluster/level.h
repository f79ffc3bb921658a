// What a release can, as its nodes say in every datagram. What all members of a ring can is used; it
// guards changes of what nodes say to each other (rolling upgrade from the release before). Once raised it
// never falls: a node that cannot as much is refused (membership/membership_level.cc).
#pragma once

#include <cstdint>

namespace gyre {

inline constexpr std::uint32_t kLevelRecords = 0;     // and nothing is said of a level
inline constexpr std::uint32_t kLevelStreams = 1;     // ReplicateGroups: groups in order
inline constexpr std::uint32_t kLevelForgetting = 2;  // groups say which removals are forgotten
inline constexpr std::uint32_t kLevelKeyHash = 3;     // keys hashed with a secret of the ring
inline constexpr std::uint32_t kLevel = kLevelKeyHash;

}  // namespace gyre
