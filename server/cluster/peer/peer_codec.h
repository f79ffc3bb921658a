// The data messages of cluster.proto on the hot path: read in place and written straight into a
// batch, with protozero. Control messages use the generated classes.
//
// A Replicate request is written as its mutations come, under the shard's lock, so its length is
// known only at the end. Its envelope therefore has room for a varint of full width, filled in when
// it is sealed (a varint may carry leading zero groups):
//
//   | tag replicate | length, 5-byte varint | mutation | mutation | flush | ...
//
// A ReplicateGroups request likewise: its tag is two bytes, and a group has its effects, which are
// mutations and flushes as above, in one field.
#pragma once

#include <cstddef>
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

namespace wire {
class PeerError;
}

// The two forms of a batch of writes: records, each by itself, or groups, in the order of their stream.
enum class BatchForm : std::uint8_t { kRecords, kGroups };

// Bytes before the first mutation, or group.
constexpr std::size_t EnvelopeBytes(BatchForm form) { return form == BatchForm::kRecords ? 6 : 7; }

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

// Begins a PeerRequest with a Replicate, or ReplicateGroups, in the empty `out`; SealReplicate completes
// it.
void BeginReplicate(std::string& out, BatchForm form = BatchForm::kRecords);
void SealReplicate(std::string& out, BatchForm form = BatchForm::kRecords);

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

// What a PullReply carries, read in place.
struct PullPage {
  std::vector<Mutation> mutations;
  WalkPosition next;
  bool done = false;
  Version flushed_version = 0;
  bool refused = false;
  Outage outage;
  Version newest_evicted = 0;
  Version newest_forgotten = 0;
  UnixMillis remembers_from = 0;
  std::uint64_t key_hash = 0;  // whose order it is in: KeyHashId::tag
  StreamPosition position;     // the newest group in it; unknown where there is no order
  // Of the partition at the source, for an estimate of what is still to come.
  std::uint64_t partition_value_bytes = 0;
  std::uint64_t partition_records = 0;
  std::uint32_t served_us = 0;      // that the page took its loop
  std::uint32_t load_permille = 0;  // of the source's loops (LoadGauge)
};
// `page` is cleared first; its views point into `reply`, an encoded PeerReply. A PeerError becomes
// its Error.
Status DecodePullReply(std::string_view reply, PullPage& page);

// What a ReplicateReply, or a ReplicateGroupsReply, carries.
struct ReplicateResult {
  // Of groups: those of the partition beyond the position were not applied.
  struct Behind {
    PartitionId partition = 0;
    StreamPosition position;
  };
  std::vector<PartitionId> refused;
  std::vector<PartitionId> absent;    // of groups: of `refused`, those of which nothing is held
  std::vector<std::uint32_t> failed;  // no room, or a newer state of another node is here
  std::vector<Behind> behind;
};
Result<ReplicateResult> DecodeReplicateReply(std::string_view reply,
                                             BatchForm form = BatchForm::kRecords);
std::string EncodeReplicateReply(const ReplicateResult& result,
                                 BatchForm form = BatchForm::kRecords);

// Builds the PeerReply to a Pull or a Fetch, where it stands: room for its envelope is left before it.
class PullPageWriter {
 public:
  // `bytes`: about so many will come.
  explicit PullPageWriter(std::size_t bytes = 0);

  void Add(PartitionId partition, const RecordView& record) {
    AppendMutation(partition, record, body_);
  }
  std::size_t bytes() const { return body_.size() - kEnvelopeBytes; }
  // What a PullPage says of its source.
  void AddSource(std::uint64_t partition_value_bytes, std::uint64_t partition_records);
  void AddCost(std::uint32_t served_us, std::uint32_t load_permille);
  void AddPosition(const StreamPosition& position);
  void AddKeyHash(const KeyHashId& hash);
  // `next` as Shard::Walk returned it; `remembers_from` is Shard::RemembersFrom.
  std::string Finish(const WalkPosition& next, const PartitionInfo& info,
                     UnixMillis remembers_from);
  static std::string Refused();

 private:
  // Tag, and a length of full width: see above.
  static constexpr std::size_t kEnvelopeBytes = 6;

  std::string body_;
};

// A PeerRequest or PeerReply that has `message`, encoded already, in `field`.
std::string EncodePeerMessage(int field, std::string_view message);

// A PeerReply with a PeerError.
std::string EncodePeerError(const Error& error);
// What a PeerError says; an unknown code is an internal error.
Error ToError(const wire::PeerError& error);

}  // namespace gyre
