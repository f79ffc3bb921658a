// How the nodes of a ring come to hash keys with one secret (storage/key.h). Pure.
//
// Each node says in its datagrams which secret it has, never the secret. Who has none, or a younger one
// than another that serves, takes that one's: asked for over the link between nodes, whose both sides
// have proven to be members, and which is encrypted where there is a --gossip-key (where there is none,
// whoever reads the network reads the data, too). The oldest is the same for all, so all end with it,
// whatever met whom in which order:
//
//   a first start            the first of the members makes one, when all have said that they can
//   a joiner, a lost disk    has none, and takes the ring's
//   founders that meet       each made one: the younger ones go
//   a ring that was cut      has the same on both sides
//   restarts                 --data-dir keeps it, beside the identity
//   the release before       cannot: until the last node of it is gone the ring has none. Then it has
//                            one for good, and a node of that release is not filled any more
//
// What depends on it waits for nothing but itself: two copies of a partition are compared, and a copy is
// filled, only while both are in the order of one hash, and each message says of which (cluster.proto).
// The records of a node that takes another secret are put in its order while they are used
// (storage/shard_rehash.cc); nothing is lost or moved between nodes for it. Writes name keys, not hashes.
#pragma once

#include <optional>
#include <vector>

#include "membership/membership.h"
#include "proto/key_hash_id.h"
#include "proto/node_id.h"

namespace gyre {

struct KeyHashStep {
  enum class Kind : std::uint8_t { kNone, kMake, kTake };
  Kind kind = Kind::kNone;
  NodeId from;  // kTake
};

// What the node `self`, which has `own`, is to do, once it has joined; `others`: Membership::abilities,
// `level`: Membership::RingLevel.
KeyHashStep NextKeyHashStep(const NodeId& self, const KeyHashId& own, std::uint32_t level,
                            const std::vector<Membership::Ability>& others);

// Whether a secret is to take the place of `own`.
inline bool Replaces(const KeyHashId& other, const KeyHashId& own) {
  return !other.is_plain() && other.created_ms > 0 && (own.is_plain() || other < own);
}

}  // namespace gyre
