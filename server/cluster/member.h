// One member of the cluster, as all parts of it speak of members.
#pragma once

#include <cstdint>
#include <string>

#include "proto/node_id.h"

namespace gyre {

// As in cluster.proto.
enum class MemberState : std::uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kStopped = 3 };

struct MemberInfo {
  NodeId id;
  std::string name;
  std::string host;
  std::uint16_t port = 0;
  std::uint16_t resp_port = 0;
  std::uint16_t resp_cluster_port = 0;
  std::uint16_t memcached_port = 0;
  std::uint16_t http_port = 0;
  std::string zone;
  std::uint32_t weight = 1;
  std::uint64_t incarnation = 0;
  // The life of its copies: grows with a restart and after a declared death, not with a suspicion
  // that it refutes.
  std::uint64_t epoch = 0;
  MemberState state = MemberState::kAlive;

  // Suspects still serve: only a death moves ownership.
  bool serving() const { return state == MemberState::kAlive || state == MemberState::kSuspect; }

  friend bool operator==(const MemberInfo&, const MemberInfo&) = default;
};

}  // namespace gyre
