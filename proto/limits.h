// The bounds that two processes must agree on. Hitting one is an error, never growth.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gyre {

inline constexpr std::size_t kKeyBytesMax = 64 * 1024;
inline constexpr std::size_t kMemcachedKeyBytesMax = 250;  // of that protocol (doc/protocol.txt)
// Default of --max-value; a node may be set lower or higher, up to the hard bound.
inline constexpr std::size_t kValueBytesDefaultMax = 16 * 1024 * 1024;
inline constexpr std::size_t kValueBytesHardMax = 512 * 1024 * 1024;
inline constexpr std::size_t kArgumentCountMax = 1024 * 1024;
// One frame of the native protocol: the largest value, its key, and room for the rest of the
// message.
inline constexpr std::size_t kFrameSlackBytes = 128 * 1024;
// A request is forwarded at most this often between nodes whose views differ.
inline constexpr std::uint32_t kForwardHopsMax = 2;
inline constexpr std::uint32_t kReplicasMax = 7;
inline constexpr std::uint32_t kMembersMax = 4096;
// With a place on the ring: as many as the byte of a node in a version tells apart.
inline constexpr std::uint32_t kRingNodesMax = 256;

// How far ahead of a node's own wall clock it believes the time of another (peer_bounds.h): a week, in
// milliseconds.
inline constexpr std::int64_t kAheadMaxMs = std::int64_t{7} * 24 * 3600 * 1000;

}  // namespace gyre
