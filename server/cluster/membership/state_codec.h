// ClusterState's parts to and from their messages (cluster.proto). Nothing of a peer is believed
// before every field was checked against the bounds below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "membership/state.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {

inline constexpr std::size_t kMemberNameBytesMax = 128;
inline constexpr std::size_t kHostBytesMax = 255;  // of a DNS name
inline constexpr std::size_t kZoneBytesMax = 64;
// Of incarnations and revisions: far beyond any clock, and one more never overflows.
inline constexpr std::uint64_t kCounterMax = std::uint64_t{1} << 62;

// What the member says of itself, beyond what MemberInfo keeps.
struct MemberRecord {
  MemberInfo info;
  std::uint64_t epoch = 0;  // holdings of this epoch count
  std::string proof;        // of the member (signer.h)
};

// `incarnation` of Holdings stands for the epoch here: the message has no other.
struct HoldingsRecord {
  NodeId id;
  Holdings holdings;
};

struct SuspicionRecord {
  NodeId id;
  std::uint64_t incarnation = 0;
  NodeId from;
};

void ToWire(const MemberRecord& record, wire::Member& message);
void ToWire(const NodeId& id, const Holdings& holdings, wire::Holdings& message);
void ToWire(const RingEntry& entry, wire::RingEntry& message);
void ToWire(const SuspicionRecord& record, wire::Suspicion& message);
void ToWire(const RebalanceSetting& setting, wire::RebalanceSetting& message);

// Nothing if a field is out of bounds.
std::optional<MemberRecord> FromWire(const wire::Member& message);
std::optional<HoldingsRecord> FromWire(const wire::Holdings& message,
                                       std::uint32_t partition_count);
std::optional<RingEntry> FromWire(const wire::RingEntry& message);
std::optional<SuspicionRecord> FromWire(const wire::Suspicion& message);
std::optional<RebalanceSetting> FromWire(const wire::RebalanceSetting& message);

// What the proofs of these are proofs of. A member says of itself no more than kAlive or kStopped;
// the other states are what others say of it.
std::string WordsOf(const MemberRecord& record, MemberState said);
std::string WordsOf(const NodeId& id, const Holdings& holdings);
std::string WordsOf(const RingEntry& entry);
std::string WordsOf(const RebalanceSetting& setting);

// A bit for each partition. No bytes at all mean none set.
std::string EncodePartitions(const PartitionSet& set);
std::optional<PartitionSet> DecodePartitions(std::string_view bytes, std::uint32_t partition_count);

// The gaps between the partitions of the set, less one, as varints: shorter where few are set.
std::string EncodeSparse(const PartitionSet& set);
std::optional<PartitionSet> DecodeSparse(std::string_view bytes, std::uint32_t partition_count);

// Of a set that is part of `whole`: a bit for each partition of that. Nothing if it is not.
std::optional<std::string> EncodePart(const PartitionSet& set, const PartitionSet& whole);
std::optional<PartitionSet> DecodePart(std::string_view bytes, const PartitionSet& whole);

// Keeps libprotobuf from writing a line on standard error for each malformed message that a
// stranger sends: such messages are counted where they are dropped. Process-wide; the first call
// before other threads parse messages.
void SilenceProtobuf();

// xxHash of --cluster-name, as messages carry it.
std::uint32_t ClusterHash(std::string_view name);

// The same on every node that has the same members, ring and holdings, whatever the order in which
// it learned them. Suspicions come and go and do not count, nor do dead members that hold no place
// on the ring.
class StateDigest {
 public:
  void Add(const MemberRecord& record, bool on_ring);
  void Add(const NodeId& id, const Holdings& holdings);
  void Add(const RingEntry& entry);
  void Add(const RebalanceSetting& setting);
  std::uint64_t value() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

}  // namespace gyre
