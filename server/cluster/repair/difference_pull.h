// Pulls one partition into a copy that has much of it already: what came from a snapshot, or missed
// some writes, or was pulled half. Only what differs goes over the network, in both directions.
//
//   Compare      the whole digest, then digests of ranges (range_comparison.h) equal: filled
//   Difference   range by range that differs: (key hash, version) of what is here; the owner
//                answers with what is newer there or missing here, and names what is newer here or
//                missing there
//   Offer        of those, what the owner is to have; everything else of them is forgotten here
//
// A pull that broke off left a part of a copy: all hashes up to some one were gone through, with this
// owner or another. Then only these are compared, and what lies behind is pulled by pages.
//
// From the first Compare on every new write comes here, as with a Pull. So whatever is found equal
// stays equal, and a copy that was gone through is whole.
//
// The rule for a record that only this copy has: the owner has evicted it, or has deleted it and
// forgotten the deletion, or never had it. Only the last may be offered, or something that was
// removed would come back. It is so if both
//   - its version is above the owner's `newest_evicted` and `newest_forgotten`, and
//   - the owner remembers all deletions since the record was written, or since this copy was last
//     whole (PartitionInfo::as_of: a deletion before that would have reached it).
// Otherwise the record is void, and goes: kept, it would be served when this node comes to own the
// partition. A tombstone that the owner has forgotten goes, too. So a copy that was away for longer
// than deletions are remembered keeps nothing but what the owner has as well.
// A record that both have gets the newer version on both sides.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "proto/node_id.h"
#include "proto_gen/cluster.pb.h"
#include "repair/hash_ranges.h"
#include "repair/range_comparison.h"
#include "replication/replication_table.h"
#include "storage/engine.h"

namespace gyre {

// A record that only the puller has, and what is known of the owner's copy.
struct LoneRecord {
  Version version = 0;
  bool tombstone = false;
  UnixMillis as_of = 0;  // of the puller's copy; 0: not known
  Version owner_newest_evicted = 0;
  UnixMillis owner_remembers_from = 0;
  Version owner_newest_forgotten = 0;
};

// The rule above, pure.
bool MayOffer(const LoneRecord& record);

// What a pull came to, so far. Records include tombstones.
struct DifferenceCounts {
  std::uint64_t matched = 0;  // records here that the owner has the same
  std::uint64_t pulled = 0;
  std::uint64_t pulled_bytes = 0;  // keys and values
  std::uint64_t offered = 0;
  std::uint64_t forgotten = 0;
  std::uint64_t refused = 0;  // versions too far ahead (peer_bounds.h)
};

class DifferencePull {
 public:
  // Up to the hash `last`, included. `table`: of the copy's place in its stream; none: it has none.
  DifferencePull(const NodeId& self, Engine& engine, PartitionId partition, std::size_t page_bytes,
                 std::uint64_t last = kHashMax, ReplicationTable* table = nullptr);

  // The PeerRequest to send to the owner; again the same if it got no answer.
  std::string Request(UnixMillis now);
  enum class Step : std::uint8_t { kMore, kFilled, kReached, kFailed, kCollides };
  // The answer. kReached: up to `last` all is here, and the source sends its new writes. kFailed: it was
  // refused or is malformed, or the copy was dropped here. kCollides: keys share a hash, everything must
  // be pulled.
  Step OnReply(std::string_view reply, UnixMillis now);

  const DifferenceCounts& counts() const { return counts_; }
  // In whose order `last` is (KeyHashId::tag).
  std::uint64_t key_hash() const { return hash_->id().tag; }
  std::uint64_t last() const { return comparison_.last(); }

 private:
  struct Listed {
    std::uint64_t hash = 0;
    Version version = 0;
  };
  enum class State : std::uint8_t { kComparing, kListing, kOffering };

  std::string CompareRequest();
  std::string DifferenceRequest(UnixMillis now);
  std::string OfferRequest(UnixMillis now);
  Step OnCompared(const wire::CompareReply& reply, UnixMillis now);
  Step OnDifference(const wire::DifferenceReply& reply, UnixMillis now);
  Step OnOffered(const wire::OfferReply& reply);
  bool Take(const wire::DifferenceReply& reply, UnixMillis now);
  bool Refuses(Version version, UnixMillis now);
  void Judge(const wire::DifferenceReply& reply, UnixMillis now);
  void Advance();
  Step NextStep();

  const NodeId self_;
  Engine& engine_;
  const PartitionId partition_;
  Shard& shard_;
  const std::size_t page_bytes_;
  const KeyHash* hash_;  // whose order all of it is in; once the partition is in another, it fails
  ReplicationTable* const table_;

  State state_ = State::kComparing;
  RangeComparison comparison_;
  std::deque<HashRange> differing_;  // the first one is being gone through
  std::vector<Listed> listed_;       // what the last Difference said
  std::uint64_t listed_last_ = 0;    // up to this hash
  std::uint64_t next_hash_ = 0;      // where the first range goes on once the offers are made
  bool range_done_ = false;
  std::vector<std::uint64_t> offers_;  // hashes, ascending
  std::size_t offer_next_ = 0;         // those before it were offered
  std::size_t offer_end_ = 0;          // those before it are in the request on its way
  DifferenceCounts counts_;
};

}  // namespace gyre
