// Who this node is, across restarts: its key in the data directory, of which its id is the
// fingerprint (crypto/node_key.h), and the incarnation that must never go back.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "crypto/secret_bytes.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

struct Identity {
  NodeId id;
  // max(saved + 1, unix ms): higher than in any earlier life, whatever the wall clock did.
  std::uint64_t incarnation = 0;
  bool restored = false;  // an earlier life's identity was found
  Secret32 seed;          // of the node's key
};

// Reads `data_dir`/identity, or draws a new identity; writes it back (atomically, synced) with the
// new incarnation. With an empty `data_dir` nothing is read or written: the identity lives as long
// as the process. Creates the directory. Two processes on one directory: the second is refused for
// as long as the first lives.
Result<Identity> LoadIdentity(const std::string& data_dir, UnixMillis now);

}  // namespace gyre
