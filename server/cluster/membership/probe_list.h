// Whom to probe next: each member once a round, in an order that is shuffled anew for each round.
//
// Round-robin bounds the time until a dead member is probed, which independent random choices do
// not; the shuffle keeps the nodes of a cluster from probing in step (SWIM, section 4.3). Each half
// of the list is shuffled by itself, so that the bound is one round and a half instead of two. A
// newcomer enters at a random place.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "base/prng.h"
#include "proto/node_id.h"

namespace gyre {

class ProbeList {
 public:
  void Add(const NodeId& id, Prng& prng);
  void Remove(const NodeId& id);
  // To be returned by the next call of Next, out of turn.
  void Hasten(const NodeId& id);

  // The next member that `wanted` says yes to; nothing if there is none.
  std::optional<NodeId> Next(Prng& prng, const std::function<bool(const NodeId&)>& wanted);

  std::size_t size() const { return order_.size(); }

 private:
  static constexpr std::size_t kHastenedMax = 8;

  void Shuffle(std::size_t from, std::size_t to, Prng& prng);

  std::vector<NodeId> order_;
  std::size_t next_ = 0;
  std::vector<NodeId> hastened_;
};

}  // namespace gyre
