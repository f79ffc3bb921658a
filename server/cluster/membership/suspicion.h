// How long a suspect has before it is declared dead: Lifeguard's local health aware suspicion.
//
// A suspicion starts with a long timeout. Each node that suspects the same member by itself is an
// independent confirmation; with C of the K expected ones the timeout is
//
//   max - (max - min) * log(C + 1) / log(K + 1)        (arXiv:1707.00788, section IV.B)
//
// and never less than `min`. So one node that cannot hear alone waits long for the refutation, and
// a real death, which everybody notices, is declared after `min`. Where too few nodes are left to
// confirm (K = 0) the timeout is `min` from the start.
#pragma once

#include <cstddef>
#include <set>

#include "base/clock.h"
#include "proto/node_id.h"

namespace gyre {

struct SuspicionBounds {
  Duration min{};
  Duration max{};
  std::size_t confirmations = 0;  // K
};

class Suspicion {
 public:
  // `accuser` is the first to suspect, and no confirmation.
  Suspicion(TimePoint start, SuspicionBounds bounds, const NodeId& accuser);

  // Another node suspects, too. True if that is news that the others should hear: an accuser not
  // yet counted, and not more than K of them.
  bool Confirm(const NodeId& accuser);

  // When the suspect is dead, unless it refuted.
  TimePoint deadline() const;
  // Gives it more time, where the accuser's own word is in doubt.
  void Postpone(Duration by) {
    start_ += by;
    postponed_ = true;
  }
  // Until this node has seen for itself.
  void Extend(Duration by) { start_ += by; }
  bool postponed() const { return postponed_; }
  std::size_t confirmations() const { return accusers_.size() - 1; }

 private:
  TimePoint start_;
  SuspicionBounds bounds_;
  std::set<NodeId> accusers_;
  bool postponed_ = false;
};

// The timeout after `confirmations` of K; see above.
Duration SuspicionTimeout(const SuspicionBounds& bounds, std::size_t confirmations);

}  // namespace gyre
