// Of which ring a lease needs the majority, while the ring changes. Pure.
//
// Gossip spreads the ring as a set that grows and shrinks without a vote, so two nodes may know two
// rings at one time, and majorities of two rings need not meet ({A C} of {A B C}, {B D E} of
// {A B C D E}). The rule that makes them meet is that of joint consensus, carried by the leases:
//
//   1. A vote counts only if the voter knew exactly the ring that the asker knew (compared by
//      digest): it never votes for an older ring again.
//   2. A node needs the majority of *every* ring that it counts: the newest, and all before it that
//      are not settled yet. What a voter counts it tells the asker, who counts it, too.
//   3. A newer ring is settled once majorities of all counted rings answered that they know it
//      (nobody can gain a lease under an older ring any more), and the longest lease has run out
//      since then (nobody holds one). Then only it counts.
//   4. A node that starts knows no past (it is fresh). It takes over what others count. Only where
//      a majority of the ring is fresh, and for `quiet` nobody who is not was heard of and the ring
//      stayed the same, does a ring begin without a past.
//
// So a minority cannot become a majority by letting nodes join or by evicting members: its new ring
// is not settled without the old one's majority. An operator who removes a dead member says that it
// is dead for good, and settles (Settle).
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "base/clock.h"
#include "proto/node_id.h"

namespace gyre {

using Ring = std::vector<NodeId>;  // sorted

class LeaseRings {
 public:
  // Rings counted at once. Over it the second oldest is forgotten: more changes than this within
  // one lease are not covered by the rules above.
  static constexpr std::size_t kRingsMax = 32;

  // `hold`: the longest that a voter keeps a promise. `quiet`: see 4.
  LeaseRings(NodeId self, Duration hold, Duration quiet);

  // The newest ring that gossip knows.
  void OnRing(TimePoint now, Ring ring);
  // A member answered: it knows the ring `digest` and counts `rings` (none: that one alone).
  void OnAnswer(TimePoint now, const NodeId& from, std::uint64_t digest, bool fresh,
                const std::vector<Ring>& rings);
  // Settles what is due.
  void Tick(TimePoint now);
  // The operator's word: of the newest ring alone, once the leases under older ones have run out.
  void Settle(TimePoint now);

  // Counts voters until they are a majority of every ring that counts.
  class Tally {
   public:
    explicit Tally(const LeaseRings& rings) : rings_(rings), counts_(rings.rings_.size()) {}
    void Add(const NodeId& voter);
    bool majority() const;

   private:
    const LeaseRings& rings_;
    std::vector<std::size_t> counts_;
  };

  // Whether those for whom `has` is true are a majority of every ring that counts. Never while
  // fresh.
  bool Majority(const std::function<bool(const NodeId&)>& has) const;

  bool fresh() const { return fresh_; }
  std::uint64_t digest() const { return digest_; }
  bool HasSelf() const;
  // Oldest first; the last is the newest.
  const std::vector<Ring>& rings() const { return rings_; }
  // All members of all of them, this node left out.
  std::set<NodeId> Others() const;

 private:
  bool AllMajority(const std::function<bool(const NodeId&)>& has) const;
  void NoteJoint(TimePoint now);
  void CountOnly(const Ring& ring);

  const NodeId self_;
  const Duration hold_;
  const Duration quiet_;
  std::vector<Ring> rings_;
  std::uint64_t digest_ = 0;  // of the newest
  bool fresh_ = true;
  TimePoint changed_at_{};       // the newest ring, while fresh
  std::set<NodeId> fresh_ones_;  // that know the newest ring
  std::set<NodeId> at_newest_;   // that know the newest ring
  bool joint_ = false;           // majorities of all rings do
  TimePoint settle_at_{};        // while joint_
};

std::uint64_t DigestOf(const Ring& ring);

}  // namespace gyre
