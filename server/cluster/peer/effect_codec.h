// What a write is between nodes: its mutations, flushes and groups, as Replicate, ReplicateGroups and
// PullReply of cluster.proto have them. On the hot path: read in place and written straight into a batch
// (peer_codec.h), with protozero.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/result.h"
#include "storage/record.h"
#include "storage/shard.h"
#include "stream/position.h"

namespace gyre {

// Appends `record` of `partition` as a Mutation in field 1, as Replicate and PullReply have it.
void AppendMutation(PartitionId partition, const RecordView& record, std::string& out);
// Likewise the removal of `key` as of `version`.
void AppendRemoval(const Key& key, Version version, std::string& out);
// Appends, in field 3 of Replicate, that removals up to `version` are forgotten.
void AppendForgotten(Version version, std::string& out);
// Appends, in field 4 of Replicate, what left its owner by itself; keys are hashed by the secret of that
// tag (KeyHashId::tag).
void AppendEvictions(std::span<const EvictedRecord> evicted, std::uint64_t key_hash,
                     std::string& out);
// Appends a Flush in field 2 of Replicate.
void AppendFlush(PartitionId partition, Version version, std::string& out);

// A group, of which `effects` are mutations and flushes, encoded. Number 0 is the opening of a term, and
// has none.
struct GroupView {
  PartitionId partition = 0;
  StreamPosition position;
  // The predecessor of number 0: of an earlier term. That of number 1: likewise, or number 0. Of others
  // nothing is said.
  StreamPosition base;
  std::string_view effects;
};
// Appends it in field 1 of ReplicateGroups.
void AppendGroup(const GroupView& group, std::string& out);

struct FlushMark {
  PartitionId partition = 0;
  Version version = 0;
};

// Reads one Mutation or Flush message; the views point into `bytes`.
Result<Mutation> DecodeMutation(std::string_view bytes);
Result<FlushMark> DecodeFlush(std::string_view bytes);

// A mutation, or a flush.
struct DecodedEffect {
  bool is_flush = false;
  Mutation mutation;
  FlushMark flush;
};
// What a group says besides: what its owner did of itself.
struct GroupNotes {
  Version forgotten = 0;  // removals up to it are; 0: nothing is said of that
  std::vector<EvictedRecord> evicted;
  std::uint64_t key_hash = 0;  // whose hashes `evicted` has: KeyHashId::tag

  void Clear() {
    forgotten = key_hash = 0;
    evicted.clear();
  }
};
// Reads the effects of a group, in their order, into `effects`, which is cleared first, and what it says
// besides into `notes`, where that is asked for. An effect on another partition than `partition` makes it
// malformed.
Status DecodeEffects(PartitionId partition, std::string_view bytes,
                     std::vector<DecodedEffect>& effects, GroupNotes* notes = nullptr);
// Reads of a group only what its owner evicted, as far as that is well formed; `notes` is cleared first.
void PeekEvictions(std::string_view bytes, GroupNotes& notes);
// Reads the groups of a ReplicateGroups message into `groups`, which is cleared first. Positions that
// cannot be make it malformed (IsPossible).
Status DecodeGroups(std::string_view bytes, std::vector<GroupView>& groups);

}  // namespace gyre
