// Where a command on one partition goes when this node cannot answer it at once. Pure.
#pragma once

#include <cstdint>

#include "cluster/view.h"
#include "command/command.h"
#include "storage/shard.h"

namespace gyre {

// What a request's connection allows and expects.
struct Origin {
  bool cluster_port = false;   // -MOVED instead of forwarding
  bool replica_reads = false;  // READONLY
  // It lay in the kernel while this process was stopped (Request::waited): what this node owns by
  // its own knowledge may be another's by now.
  bool waited = false;
};

// Whether a node of this role answers the command itself.
inline bool MayExecute(Role role, const Command& command, const Origin& origin) {
  return role == Role::kOwner ||
         (origin.replica_reads && role == Role::kReplica && command.Is(kReadOnly));
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

Route ChooseRoute(const RouteFacts& facts);

}  // namespace gyre
