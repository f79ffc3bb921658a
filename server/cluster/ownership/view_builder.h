// ClusterState -> ClusterView: what gossip says, what this node knows better about itself, and the
// placement, as the one immutable picture that all loops work with. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "membership/state.h"
#include "proto/partition_set.h"
#include "proto/placement.h"

namespace gyre {

// The ring members of `state`, as placement takes them.
std::vector<RingMember> RingMembersOf(const ClusterState& state);

// What this node knows of one partition at first hand. It goes before gossip, which lags.
struct LocalKnowledge {
  bool complete = false;  // whole here
  bool owns = false;      // this node orders its writes
  // Whom this node let order the writes, whose holdings may not say so yet. The node itself: it
  // expects to be granted them.
  std::optional<NodeId> granted_to;
  // While this node owns it: who handed it over because it stops. What that one still claims is not
  // believed.
  std::optional<NodeId> taken_from;
  // Who was last seen to own it. As long as it serves, its silence is a gap in gossip, not a
  // vacancy.
  std::optional<NodeId> last_owner;
};

struct BuiltView {
  ClusterView view;
  // [partition] the best-placed serving member, besides this node, that says itself that it owns
  // it; kNoMember if nobody does. (The view's owner may be a guess.)
  std::vector<MemberIndex> claimant;
};

// Keeps that picture: all of it is made anew where the members change, else only the partitions of which
// something changed. A fill changes one partition at a time, a thousand times.
class ViewBuilder {
 public:
  // What it reads, then and later; all of them outlive it. `placement` belongs to the ring of `state`, and
  // `local` has an entry for each of its partitions. Until the first Rebuild nobody is known.
  ViewBuilder(const ClusterState& state, const Placement& placement,
              const std::vector<LocalKnowledge>& local);

  // All of it.
  void Rebuild();
  // The partitions whose holdings or local knowledge changed. Not enough where the members did, their
  // states or places on the ring, `leaving`, or the incarnation of their holdings.
  void Update(const PartitionSet& changed);

  const BuiltView& built() const { return built_; }

 private:
  void NoteMembers();
  void NoteRing();
  void BuildPartition(PartitionId partition);
  void ChooseHolders(PartitionId partition);
  void Lengthen(PartitionId partition, bool of_another_zone);
  void NoteDigest();

  bool Serves(MemberIndex member) const;
  bool MayHold(MemberIndex member) const;
  bool IsComplete(MemberIndex member, PartitionId partition) const;
  bool Claims(MemberIndex member, PartitionId partition) const;
  bool InRound(std::uint16_t zone) const;
  MemberIndex Find(const NodeId& id) const;
  MemberIndex Owner(PartitionId partition, MemberIndex claimant) const;
  std::uint64_t DigestOfMembers() const;
  std::uint64_t DigestOf(PartitionId partition);

  const ClusterState& state_;
  const Placement& placement_;
  const std::vector<LocalKnowledge>& local_;
  BuiltView built_;
  std::uint64_t members_digest_ = 0;
  std::vector<std::uint64_t> digests_;   // [partition]
  std::uint64_t partitions_digest_ = 0;  // their sum
  std::vector<const Holdings*>
      holdings_;  // [member] as far as they are believed; null: it said nothing
  std::vector<MemberIndex> ring_index_;  // [placement member] -> member
  std::vector<std::uint16_t> zone_;      // [placement member] as a number
  bool some_stay_ = false;               // serving ring members that are not leaving
  std::size_t live_members_ = 0;         // ring members that may hold something
  std::size_t live_zones_ = 0;           // that have one
  std::vector<MemberIndex> others_;      // serving members that are not on the ring
  // Of the partition being built.
  std::vector<std::uint16_t> ranks_;  // placement members that serve, in preference order
  std::vector<bool> chosen_;          // [rank] a holder, or none that may be one
  std::vector<std::uint16_t> round_;  // zones that it has a holder of
  std::vector<MemberIndex> order_;
  std::string bytes_;  // of a digest
};

// The whole picture, once.
BuiltView BuildView(const ClusterState& state, const Placement& placement,
                    const std::vector<LocalKnowledge>& local);

// Whether `a` stands before `b` in the partition's preference list. Who is not on the ring stands
// behind all who are; of two such the lower id is better.
bool BetterPlaced(const Placement& placement, PartitionId partition, const NodeId& a,
                  const NodeId& b);

}  // namespace gyre
