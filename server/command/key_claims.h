// The claims of one command that goes on in steps (storage/claims.h). They are given back when it
// ends, however it ends.
//
// A planned change of owner waits for who claimed keys to write them, so that it does not fall
// between two of its writes: their partitions count as in flight (handover.h) until they are given
// back, and in the role kHandingOver the holder goes on (Executor). An unplanned one does not wait.
#pragma once

#include <vector>

#include "replication/replicator.h"
#include "storage/claims.h"
#include "storage/engine.h"

namespace gyre {

class KeyClaims {
 public:
  // Both outlive it.
  KeyClaims(Engine& engine, ReplicationTable& replication, ClaimMode mode)
      : engine_(engine), replication_(replication), mode_(mode), holder_(engine.NewClaimHolder()) {}
  ~KeyClaims() { GiveBack(); }
  KeyClaims(const KeyClaims&) = delete;
  KeyClaims& operator=(const KeyClaims&) = delete;

  ClaimHolder holder() const { return holder_; }

  // The claims that a command on these keys needs, in the order in which all commands claim: of two
  // that want some of the same keys, one gets the first of these and then the others. Where it has
  // very many keys of a partition, it claims the whole.
  static std::vector<Claim> Needed(const Engine& engine, const std::vector<Key>& keys);

  // One after the other as `Needed` gives them. False: it is not to be had. Requires the mutex of
  // its shard.
  bool Take(const Claim& claim);
  // Takes the mutexes of their shards, one after the other.
  void GiveBack();

 private:
  // Of more keys than this of a partition the whole is claimed: that is one claim.
  static constexpr std::size_t kKeysOfPartitionMax = 1024;

  Engine& engine_;
  ReplicationTable& replication_;
  const ClaimMode mode_;
  const ClaimHolder holder_;
  std::vector<Claim> taken_;
};

}  // namespace gyre
