// The pages of records that a node pulls: the PullReply of cluster.proto, read in place and written where
// it stands, with protozero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peer/effect_codec.h"
#include "proto/result.h"
#include "storage/record.h"
#include "storage/shard.h"
#include "stream/position.h"

namespace gyre {

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
  // Tag, and a length of full width: see peer_codec.h.
  static constexpr std::size_t kEnvelopeBytes = 6;

  std::string body_;
};

}  // namespace gyre
