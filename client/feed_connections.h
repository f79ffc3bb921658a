// A feed's connections: one to each node that owns a partition, on a loop of its own that the caller's
// thread runs in Next. Which partition is read where is `feed_progress`'s; here it is followed to where
// the ring says that its owner is, again and again until somebody sends it.
//
//   Next: an event that waits, or   table -> Arrange: FEED to owners of what is idle
//                                   loop  -> replies and messages -> FeedProgress -> events
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "client/routing_table.h"
#include "gyre/client.h"

namespace gyre::client {

// The client, as its feed knows it. Any thread.
struct FeedRing {
  std::function<std::optional<Error>()> unusable;  // why nothing can be asked of it any more
  std::function<std::shared_ptr<const RoutingTable>()> table;
  std::function<void()> refresh;  // fetches it again, in the background
  std::chrono::milliseconds connect_timeout{500};
};

Result<Feed> OpenFeed(const FeedOptions& options, FeedRing ring);

}  // namespace gyre::client
