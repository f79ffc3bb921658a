// What a node knows of the cluster at one moment: immutable, shared by all threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cluster/member.h"
#include "cluster/member_list.h"
#include "common/mutex.h"
#include "proto/node_id.h"
#include "proto/slot.h"

namespace gyre {

struct ClusterView {
  std::uint64_t digest = 0;  // changes with anything below; never 0 for a published view
  std::uint32_t partition_count = kPartitionCountDefault;
  std::uint32_t replicas = 2;
  std::vector<MemberInfo> members;  // all known ones, sorted by id
  std::vector<bool> on_ring;        // [member] holds a place on the ring
  std::vector<bool> leaving;        // [member] is about to stop
  std::vector<bool> drained;        // [member] is off the ring until it is undrained
  MemberIndex self = kNoMember;
  // [partition] the serving member that orders the writes: the one that says so, else the first
  // complete one in preference order; kNoMember if there is none.
  std::vector<MemberIndex> owner;
  // [partition] the first `replicas` serving ring members in preference order, without those that
  // are leaving as long as there are others.
  std::vector<MemberList> holders;
  // [partition] all serving members that have the partition whole, best placed first.
  std::vector<MemberList> complete;

  const MemberInfo& me() const { return members[self]; }
  bool IsDrained(std::size_t member) const { return member < drained.size() && drained[member]; }
  // What an operator is told.
  std::string_view StateName(std::size_t member) const {
    switch (members[member].state) {
      case MemberState::kAlive:
        return IsDrained(member) ? "drained" : "alive";
      case MemberState::kSuspect:
        return "suspect";
      case MemberState::kDead:
        return "dead";
      case MemberState::kStopped:
        return "stopped";
    }
    return "unknown";
  }
  // It serves, and goes on doing so as far as is known.
  bool stays(MemberIndex member) const {
    return members[member].serving() && !(member < leaving.size() && leaving[member]);
  }
  // Partitions with fewer whole copies than there should be: `replicas`, or one on each member of a
  // smaller ring, whether it serves or not.
  std::size_t UnderReplicated() const {
    const auto ring = std::count(on_ring.begin(), on_ring.end(), true);
    const auto wanted = std::clamp<std::size_t>(static_cast<std::size_t>(ring), 1, replicas);
    return static_cast<std::size_t>(
        std::count_if(complete.begin(), complete.end(),
                      [wanted](const auto& holders) { return holders.size() < wanted; }));
  }
  MemberIndex Find(const NodeId& id) const {
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i].id == id) return static_cast<MemberIndex>(i);
    }
    return kNoMember;
  }
};

using ClusterViewPtr = std::shared_ptr<const ClusterView>;

// Hands the newest view from the control thread to the loops. A loop keeps the pointer that it got
// and asks `revision()`, one relaxed load, whether there is a newer one.
class ViewPublisher {
 public:
  void Publish(ClusterViewPtr view) {
    MutexLock lock(mutex_);
    view_ = std::move(view);
    revision_.fetch_add(1, std::memory_order_release);
  }
  std::uint64_t revision() const { return revision_.load(std::memory_order_acquire); }
  ClusterViewPtr Load() {
    MutexLock lock(mutex_);
    return view_;
  }

 private:
  std::atomic<std::uint64_t> revision_{0};
  Mutex mutex_;
  ClusterViewPtr view_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
