// The identity of a node: the fingerprint of its public key (server/crypto/node_key.h), never its
// address. The key is kept in its data directory.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gyre {

struct NodeId {
  std::array<std::uint8_t, 16> bytes{};

  // clang-tidy 14 takes the defaulted comparison's 0 for a null pointer.
  friend auto operator<=>(const NodeId&, const NodeId&) = default;  // NOLINT(modernize-use-nullptr)

  // 16 raw bytes, as messages carry them. Nothing if the length is wrong.
  static std::optional<NodeId> FromBytes(std::string_view raw);
  std::string_view raw() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // "8f14e45f-ceea-467f-9c5a-1d2b3c4d5e6f"
  static std::optional<NodeId> Parse(std::string_view text);
  std::string ToString() const;
  // 40 hexadecimal digits, the form in which Redis Cluster writes a node id.
  std::string ToRedisId() const;
};

// A version 4 UUID from 16 random bytes that the caller drew.
NodeId NodeIdFromRandom(std::array<std::uint8_t, 16> random);

}  // namespace gyre

template <>
struct std::hash<gyre::NodeId> {
  std::size_t operator()(const gyre::NodeId& id) const noexcept {
    std::size_t hash = 0;
    for (std::uint8_t byte : id.bytes) hash = hash * 0x100000001b3ULL ^ byte;
    return hash;
  }
};
