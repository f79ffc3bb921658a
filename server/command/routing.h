// Where a command goes, by what a node knows: decisions without a side effect.
//
//   this node is the owner           another is                  nobody is, just now
//   ------------------------------   -------------------------   ----------------------------------
//   run it under the shard's lock,   forward it (or -MOVED, or   wait in the RetryQueue, look at
//   replicate, await the acks        kNotOwner if not wanted)    view and role again every few
//                                                                milliseconds
//
// The role under the shard's lock decides; the view only says where else to go. A handover or a
// failover is therefore a delay to the client, not an error.
//
// While an owner is suspected to be gone, a complete copy stands in for it and answers reads.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/view.h"
#include "command/command.h"
#include "protocol/request.h"
#include "storage/shard.h"

namespace gyre {

// What a request's connection allows and expects.
struct Origin {
  bool cluster_port = false;   // -MOVED instead of forwarding
  bool replica_reads = false;  // READONLY
  // It lay in the kernel while this process was stopped (Request::waited): what this node owns by
  // its own knowledge may be another's by now.
  bool waited = false;
  // How often this node had been declared dead when the command came, if it had to wait.
  std::uint32_t deaths = 0;
};

// Whether a node of this role answers a command itself. `only_reads`: it is kReadOnly.
inline bool MayExecute(Role role, bool only_reads, const Origin& origin) {
  return role == Role::kOwner || (origin.replica_reads && role == Role::kReplica && only_reads);
}

enum class Route : std::uint8_t {
  kForward,  // to the owner
  kWait,  // nobody orders the partition's writes just now (a handover, a failover): look again soon
  kMoved,     // tell the client where the owner is
  kNotOwner,  // tell the peer or client that this is the wrong node
};

struct RouteFacts {
  Role role = Role::kAbsent;
  MemberIndex owner = kNoMember;  // by the view; kNoMember as well where there is no view yet
  MemberIndex self = kNoMember;
  bool no_forward = false;
  bool redirects = false;  // the cluster port, and the owner has one
  std::uint32_t hops = 0;
};

// For a command on one partition that this node cannot answer at once.
Route ChooseRoute(const RouteFacts& facts);

// ---- By a view; null: there is none yet ----

// `role`: this node's, for which the command was not executed here.
Route RouteFor(const ClusterView* view, PartitionId partition, Role role, const Request& request,
               const Origin& origin);
// For a command that needs all its keys on one node; an error if they are not.
Result<Route> AtomicRouteFor(const ClusterView* view, const std::vector<Key>& keys,
                             const Request& request, const Origin& origin);
// Who should answer the command: the owner, or who stands in for it; kNoMember if nobody is known.
// `stand_in`: DispatcherOptions::replicas_stand_in.
MemberIndex AnswererOf(const ClusterView& view, const Command& command, PartitionId partition,
                       bool stand_in);
// Whether this node, of this role, answers the command itself although another owns the partition.
bool StandsIn(const ClusterView* view, const Command& command, PartitionId partition, Role role,
              bool stand_in);

// ---- What the client is told ----

// Why its deadline passed. `has_lease`: WriteFence::HasLease.
Error DeadlineError(const ClusterView* view, PartitionId partition, bool has_lease);
Error NotOwnerError();
// On kMoved or kNotOwner; kMoved only where the view knows whereto.
Error Refusal(const ClusterView* view, Route route, const Key& key);

}  // namespace gyre
