// The envelopes of what nodes say to each other, and the answers to writes. What stands in them is
// effect_codec.h's (writes) and pull_codec.h's (pages); control messages use the generated classes.
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
#include <string>
#include <string_view>
#include <vector>

#include "proto/result.h"
#include "proto/slot.h"
#include "stream/position.h"

namespace gyre {

namespace wire {
class PeerError;
}

// The two forms of a batch of writes: records, each by itself, or groups, in the order of their stream.
enum class BatchForm : std::uint8_t { kRecords, kGroups };

// Bytes before the first mutation, or group.
constexpr std::size_t EnvelopeBytes(BatchForm form) { return form == BatchForm::kRecords ? 6 : 7; }

// Begins a PeerRequest with a Replicate, or ReplicateGroups, in the empty `out`; SealReplicate completes
// it.
void BeginReplicate(std::string& out, BatchForm form = BatchForm::kRecords);
void SealReplicate(std::string& out, BatchForm form = BatchForm::kRecords);

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

// A PeerRequest or PeerReply that has `message`, encoded already, in `field`.
std::string EncodePeerMessage(int field, std::string_view message);

// A PeerReply with a PeerError.
std::string EncodePeerError(const Error& error);
// What a PeerError says; an unknown code is an internal error.
Error ToError(const wire::PeerError& error);

}  // namespace gyre
