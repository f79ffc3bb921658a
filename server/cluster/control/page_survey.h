// What each node says of itself: asks each member that serves for one of its pages, over the links
// of one loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/transport.h"
#include "membership/state.h"

namespace gyre {

// A node's page that is longer is left out, as are those beyond all pages together.
inline constexpr std::size_t kNodePageBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kNodePagesBytesMax = std::size_t{64} << 20;

enum class NodePageKind {
  kMetrics,            // of /metrics
  kStatus,             // of /status, what concerns this node alone
  kStatusWithHistory,  // likewise, and its figures of the last minutes
};

struct NodePage {
  NodeId id;
  std::string name;
  bool answered = false;  // in time, and there was room; else `page` is empty
  std::string page;
  // Why it did not answer. Empty also where it was not asked, or is of a release that does not know
  // the question.
  std::string error;
};
using NodePages = std::shared_ptr<std::vector<NodePage>>;

// `done` comes once, on the loop of `transport`, later or from within the call, with those that serve
// or hold a place on the ring, in the order of their ids; `self` among them, not asked. Nobody is
// waited for longer than a second.
void AskPages(Transport& transport, const ClusterState& state, NodePageKind kind,
              std::function<void(NodePages)> done);

}  // namespace gyre
