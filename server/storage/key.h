// A key on its way through the engine, and the hash that it is found by.
//
// The hash is XXH3 with a secret of 192 random bytes, which the nodes of a ring share and nobody else
// has (control/key_hash_agreement.h says how they come to share it). Without the secret nobody can
// choose keys that stand together in an index, in a range of a comparison or in a step of a walk.
//
// Why all 192 bytes and not XXH3 with a seed: a seed is 64 bits that are added to public constants. The
// bytes that a key of 17 to 240 bytes is combined with are independent here, so that to make a product
// 0, or two products alike, is to guess 64 of them (the disclaimer above XXH3_mix16B in xxhash.h).
//
//   key bytes   what is known of collisions that hold whatever the secret is
//     0 to 8    none of one length: the hash is a permutation of the key
//     9 to 240  none
//     longer    none; but the products are of 32 bits, so that a guess of 32 bits of the secret makes a
//               part of the key void. It costs four billion keys to try, and there is no telling which
//               guess was right but by the time that something takes.
//
// XXH3 is no proven pseudo-random function: where hashes can be seen, the secret may be worked out of
// them (for keys of up to 8 bytes, out of one). So nothing tells a hash, or bits of one, to whom does
// not have the secret: cursors are enciphered (crypto/number_cipher.h). What can be seen is in which
// order SCAN and a snapshot have the keys of a partition, which is that of their hashes. We know of no
// way from that to the secret; who found one would come as far as before there was a secret, to long
// steps of a walk, and not to a full segment: that is what the place within a hash is for (partition.h).
//
// SipHash, which is such a function, takes 20 ns a key (XXH3 3), and a key is hashed for each access,
// when its record moves, and when its segment is rebuilt.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/key_hash_id.h"
#include "proto/slot.h"

namespace gyre {

// Immutable, so any thread.
class KeyHash {
 public:
  static constexpr std::size_t kXxhBytes = 192;
  static constexpr std::size_t kCursorBytes = 16;
  static constexpr std::size_t kSecretBytes = kXxhBytes + kCursorBytes;

  // XXH3 without a secret: what the releases before had. A node hashes so until its ring has one.
  static const KeyHash& Plain();

  // `secret`: kSecretBytes, random, as is the tag of `id`.
  KeyHash(const KeyHashId& id, std::string_view secret);

  std::uint64_t operator()(std::string_view key) const;

  const KeyHashId& id() const { return id_; }
  bool is_plain() const { return id_.is_plain(); }
  std::string_view secret() const { return {secret_.data(), secret_.size()}; }
  // Another secret of the same nodes, which the hash does not use: for cursors.
  std::string_view cursor_secret() const { return secret().substr(kXxhBytes); }

 private:
  KeyHash();

  const KeyHashId id_;
  alignas(64) std::array<char, kSecretBytes> secret_{};
};

struct Key {
  std::string_view bytes;  // borrowed
  std::uint64_t hash = 0;
  PartitionId partition = 0;
  // By which it was hashed. The partition's may be another by the time that its lock is held: then
  // the shard hashes anew.
  const KeyHash* hashed_by = nullptr;
};

inline Key MakeKey(std::string_view bytes, std::uint32_t partition_count, const KeyHash& hash) {
  return Key{bytes, hash(bytes), PartitionOf(SlotOf(bytes), partition_count), &hash};
}

}  // namespace gyre
