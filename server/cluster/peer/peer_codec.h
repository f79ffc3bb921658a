// The data messages of cluster.proto on the hot path: read in place and written straight into a
// batch, with protozero. Control messages use the generated classes.
//
// A Replicate request is written as its mutations come, under the shard's lock, so its length is
// known only at the end. Its envelope therefore has room for a varint of full width, filled in when
// it is sealed (a varint may carry leading zero groups):
//
//   | tag replicate | length, 5-byte varint | mutation | mutation | flush | ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/result.h"
#include "storage/record.h"
#include "storage/shard.h"

namespace gyre {

namespace wire {
class PeerError;
}

// Bytes before the first mutation of a Replicate request.
inline constexpr std::size_t kReplicateEnvelopeBytes = 6;

// Appends `record` of `partition` as a Mutation in field 1, as Replicate and PullReply have it.
void AppendMutation(PartitionId partition, const RecordView& record, std::string& out);
// Likewise the removal of `key` as of `version`.
void AppendRemoval(const Key& key, Version version, std::string& out);
// Appends a Flush in field 2 of Replicate.
void AppendFlush(PartitionId partition, Version version, std::string& out);

// Begins a PeerRequest with a Replicate in the empty `out`; SealReplicate completes it.
void BeginReplicate(std::string& out);
void SealReplicate(std::string& out);

struct FlushMark {
  PartitionId partition = 0;
  Version version = 0;
};

// Reads one Mutation or Flush message; the views point into `bytes`.
Result<Mutation> DecodeMutation(std::string_view bytes);
Result<FlushMark> DecodeFlush(std::string_view bytes);

// What a PullReply carries, read in place.
struct PullPage {
  std::vector<Mutation> mutations;
  WalkPosition next;
  bool done = false;
  Version flushed_version = 0;
  bool refused = false;
  Outage outage;
  Version newest_evicted = 0;
  UnixMillis remembers_from = 0;
  // Of the partition at the source, for an estimate of what is still to come.
  std::uint64_t partition_value_bytes = 0;
  std::uint64_t partition_records = 0;
  std::uint32_t served_us = 0;      // that the page took its loop
  std::uint32_t load_permille = 0;  // of the source's loops (LoadGauge)
};
// `page` is cleared first; its views point into `reply`, an encoded PeerReply. A PeerError becomes
// its Error.
Status DecodePullReply(std::string_view reply, PullPage& page);

// What a ReplicateReply carries.
struct ReplicateResult {
  std::vector<PartitionId> refused;
  std::vector<std::uint32_t> failed;  // no room, or a newer state of another node is here
};
Result<ReplicateResult> DecodeReplicateReply(std::string_view reply);
std::string EncodeReplicateReply(const ReplicateResult& result);

// Builds the PeerReply to a Pull or a Fetch.
class PullPageWriter {
 public:
  void Add(PartitionId partition, const RecordView& record) {
    AppendMutation(partition, record, body_);
  }
  std::size_t bytes() const { return body_.size(); }
  // What a PullPage says of its source.
  void AddSource(std::uint64_t partition_value_bytes, std::uint64_t partition_records);
  void AddCost(std::uint32_t served_us, std::uint32_t load_permille);
  // `next` as Shard::Walk returned it; `remembers_from` is Shard::RemembersFrom.
  std::string Finish(const WalkPosition& next, const PartitionInfo& info,
                     UnixMillis remembers_from);
  static std::string Refused();

 private:
  std::string body_;
};

// A PeerRequest or PeerReply that has `message`, encoded already, in `field`.
std::string EncodePeerMessage(int field, std::string_view message);

// A PeerReply with a PeerError.
std::string EncodePeerError(const Error& error);
// What a PeerError says; an unknown code is an internal error.
Error ToError(const wire::PeerError& error);

}  // namespace gyre
