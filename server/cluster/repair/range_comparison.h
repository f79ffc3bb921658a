// Finds where a copy here differs from one elsewhere, by digests of ranges of the key hash, without a list
// of records: the session that all comparisons begin with, of a copy that is to be filled with its owner's
// (difference_pull.h) and of an owner's with the other copies (repair.h). Pure but for the walks of the
// copy here.
#pragma once

#include <cstdint>
#include <deque>

#include "proto_gen/cluster.pb.h"
#include "repair/hash_ranges.h"
#include "storage/shard.h"

namespace gyre {

class RangeComparison {
 public:
  // Up to the hash `last`, included. Neighbours that differ are joined as long as they have at most
  // `records_max` records here. `key_hash` is the one of the copy now; all of them outlive it.
  RangeComparison(Shard& shard, PartitionId partition, const KeyHash& key_hash, std::uint64_t last,
                  std::uint64_t records_max);

  // The next question, but for who asks; again the same if it got no answer.
  void Ask(wire::Compare& request) const;
  // The answer; it is not refused. False: it is malformed, or the copy here is in another order since.
  bool OnReply(const wire::CompareReply& reply, UnixMillis now);

  bool begins() const { return next_range_ == 0; }
  bool done() const { return done_; }
  bool equal() const { return equal_; }  // the whole copies, beyond `last`, too
  std::uint64_t last() const { return last_; }
  std::uint64_t matched() const { return matched_; }  // records here that the other has the same
  std::deque<HashRange> TakeDiffering() { return std::move(differing_); }

 private:
  Shard& shard_;
  const PartitionId partition_;
  const KeyHash& key_hash_;
  const std::uint64_t last_;
  const std::uint64_t records_max_;
  int bits_ = 0;
  std::uint32_t range_count_ = 0;  // to be compared
  std::uint32_t next_range_ = 0;
  bool done_ = false;
  bool equal_ = false;
  std::uint64_t matched_ = 0;
  std::deque<HashRange> differing_;
};

}  // namespace gyre
