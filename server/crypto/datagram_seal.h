// Gossip datagrams, sealed: encrypted and authenticated under the key that all nodes share.
//
//    4      24       ciphertext ...                                            16
//   magic | nonce | life u64, count u64, sent ms i64 (all LE), payload ... | tag
//
// XChaCha20-Poly1305 with random nonces (192 bits: no two are equal), the magic as associated data.
// The stamp in front of the payload is what replay_guard.h looks at: the sender's process and the
// time. Whom a datagram is for, in which of its lives, and in which life of the sender it was said
// stands in the payload, signed by the sender (GossipMessage in cluster.proto): one that is passed
// on to another node, or kept until its receiver was started again, opens and is refused there.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "crypto/keyring.h"
#include "crypto/replay_guard.h"
#include "proto/result.h"

namespace gyre {

// What sealing adds.
inline constexpr std::size_t kDatagramSealBytes = 4 + 24 + 24 + 16;

// Whether the bytes are a sealed datagram by their first ones. No message of cluster.proto begins
// like that.
bool LooksSealed(std::string_view datagram);

// One thread. `keys` outlives it.
class DatagramSealer {
 public:
  explicit DatagramSealer(const Keyring& keys);

  std::string Seal(std::string_view plain, UnixMillis wall);

 private:
  const Keyring& keys_;
  std::uint64_t life_ = 0;
  std::uint64_t count_ = 0;
};

// One thread. `keys` outlives it; what is refused is counted there.
class DatagramOpener {
 public:
  explicit DatagramOpener(const Keyring& keys) : keys_(keys) {}

  // The payload, valid until the next call; or why the datagram is dropped, worded for the log.
  Result<std::string_view> Open(std::string_view datagram, TimePoint now, UnixMillis wall);

 private:
  const Keyring& keys_;
  ReplayGuard replays_;
  std::string plain_;
};

}  // namespace gyre
