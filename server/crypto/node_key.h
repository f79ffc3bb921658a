// The key pair of one node, by which others know what it said.
//
// The node's id is the fingerprint of its public key (BLAKE2b), so that an id, once known, is all
// that it takes to check a signature (Ed25519): nobody but its node can speak for it. Ids stand in
// the form of UUIDs: 122 bits of the fingerprint.
#pragma once

#include <string>
#include <string_view>

#include "crypto/secret_bytes.h"
#include "proto/node_id.h"

namespace gyre {

// Immutable, so any thread.
class NodeKey {
 public:
  // A public key and a signature.
  static constexpr std::size_t kProofBytes = crypto_sign_PUBLICKEYBYTES + crypto_sign_BYTES;

  // The same seed gives the same key, and the same id.
  explicit NodeKey(const Secret32& seed);
  static Secret32 DrawSeed();

  const NodeId& id() const { return id_; }
  // The proof that this node says `words`: kProofBytes.
  std::string Sign(std::string_view words) const;
  // Whether `proof` is that of the node `id`.
  static bool Verify(const NodeId& id, std::string_view words, std::string_view proof);

 private:
  unsigned char public_[crypto_sign_PUBLICKEYBYTES];
  SecretBytes<crypto_sign_SECRETKEYBYTES> secret_;
  NodeId id_;
};

}  // namespace gyre
