// The owner's side of a pull by difference (difference_pull.h): answers Compare, Difference and
// Offer. Any copy's side of a comparison that pulls nothing (Compare.looks; repair.h).
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "cluster/view.h"
#include "proto_gen/cluster.pb.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

class DifferenceService {
 public:
  // On one loop. All of them outlive it.
  DifferenceService(Engine& engine, ReplicationTable& table, ViewPublisher& views,
                    std::function<UnixMillis()> wall_clock);

  // Sends what was offered on to the other holders; without one, repair does. Of the same loop.
  void set_replicator(Replicator& replicator) { replicator_ = &replicator; }

  // The encoded message of the PeerRequest; returns the encoded PeerReply.
  std::string OnCompare(std::string_view bytes);
  std::string OnDifference(std::string_view bytes);
  std::string OnOffer(std::string_view bytes);

  // Offered records that were refused (peer_bounds.h). Any thread.
  std::uint64_t versions_refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  bool BeginPull(PartitionId partition, const NodeId& from);
  bool Serves(Shard& shard, PartitionId partition, const NodeId& from) GYRE_REQUIRES(shard.mutex());

  Engine& engine_;
  ReplicationTable& table_;
  ViewPublisher& views_;
  const std::function<UnixMillis()> wall_clock_;
  Replicator* replicator_ = nullptr;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace gyre
