// The status of the whole ring, for /ui/ring.json: this node asks the others.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster_net/cluster_runtime.h"
#include "net/event_loop.h"
#include "node_reporter.h"
#include "ops/ring_status_report.h"
#include "proto/node_id.h"

namespace gyre {

// On the admin loop. All that it is given outlives it and what it began.
class RingStatus {
 public:
  // `self`: this node.
  RingStatus(ClusterRuntime& runtime, EventLoop& loop, NodeReporter& reporter, const NodeId& self)
      : runtime_(runtime), loop_(loop), reporter_(reporter), self_(self) {}

  using Done = std::function<void(const std::string&)>;
  // Calls `done` with the JSON, in a second or so, or at once where it was made a moment ago. The
  // others are asked once at a time: who comes meanwhile gets the same. So many open pages cost the
  // ring no more than one.
  void Gather(bool with_history, Done done);
  // Likewise with the picture instead of a page, always a new one.
  using LookDone = std::function<void(const ClusterStatus&)>;
  void Look(LookDone done);

 private:
  // With history or without.
  struct Round {
    std::vector<Done> waiting;
    std::vector<LookDone> looking;
    NodePages pages;  // null: not yet
    std::optional<std::vector<NodeProgress>> moves;
    std::string json;
    TimePoint made_at{};
  };
  struct LastAnswer {
    std::string page;
    TimePoint at{};
  };

  void Ask(bool with_history);
  void FinishIfWhole(bool with_history);
  NodeAnswer AnswerOf(const NodePage& page, TimePoint now);

  ClusterRuntime& runtime_;
  EventLoop& loop_;
  NodeReporter& reporter_;
  const NodeId self_;
  std::array<Round, 2> rounds_;  // [with_history]
  // Of the nodes that the last round named: what is shown while one is silent.
  std::map<NodeId, LastAnswer> answers_;
};

}  // namespace gyre
