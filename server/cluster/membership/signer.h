// Who said what: a node speaks only for itself.
//
// A node's id is the fingerprint of its public key (crypto/node_key.h), so that whoever knows an id
// can check what its node said, whoever passed it on. What is said by others of a node counts only
// as far as membership.h says.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "proto/node_id.h"

namespace gyre {

inline constexpr std::size_t kProofBytes = 96;

// What is signed, so that no proof of one kind stands for another.
enum class Said : char {
  kMember = 'm',
  kHoldings = 'h',
  kRingEntry = 'r',
  kRebalance = 'b',
  kSetting = 's',
  kDatagram = 'd',
  kPushPull = 'p',
  kIdentify = 'i',
};

// Thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;

  // The proof that this node says `words`; kProofBytes.
  virtual std::string Sign(Said what, std::string_view words) const = 0;
  // Whether `proof` shows that the node `id` said `words`.
  virtual bool Verify(const NodeId& id, Said what, std::string_view words,
                      std::string_view proof) const = 0;
};

// An encoded message whose last field is the proof of all that stands before it.
void AppendProof(const Signer& signer, Said what, std::string& message);
bool IsProven(const Signer& signer, const NodeId& id, Said what, std::string_view message);
// What AppendProof adds.
inline constexpr std::size_t kProofFieldBytes = kProofBytes + 3;

// The PeerRequest that proves to `to` that this node, `self`, speaks on a connection. It proves
// it whenever it is said: who can read the connection can repeat it (--gossip-key excludes that).
std::string EncodeIdentify(const Signer& signer, const NodeId& self, const NodeId& to);

}  // namespace gyre
