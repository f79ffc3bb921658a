// The metrics of the whole ring, for /metrics?ring=1: this node asks the others.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cluster_net/cluster_runtime.h"
#include "net/event_loop.h"

namespace gyre {

// On the admin loop. Loop and runtime outlive it and all that it began.
class RingMetrics {
 public:
  // `own_page`: this node's.
  RingMetrics(ClusterRuntime& runtime, EventLoop& loop, std::function<std::string()> own_page)
      : runtime_(runtime), loop_(loop), own_page_(std::move(own_page)) {}

  using Done = std::function<void(const std::string&)>;
  // Calls `done` with the page, in a second or so. The others are asked once at a time: who comes
  // meanwhile gets the same page.
  void Gather(Done done);

 private:
  void OnPages(const NodePages& pages);

  ClusterRuntime& runtime_;
  EventLoop& loop_;
  const std::function<std::string()> own_page_;
  std::vector<Done> waiting_;
};

}  // namespace gyre
