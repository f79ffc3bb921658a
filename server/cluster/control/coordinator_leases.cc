// --consistency majority: what the coordinator does for Leases and with them.
#include <algorithm>
#include <limits>
#include <utility>

#include "control/coordinator.h"

namespace gyre {

const ClusterState& Coordinator::state() const {
  return leases_ ? fences_.presented() : parts_.membership.state();
}

bool Coordinator::Leased(PartitionId partition) const {
  return parts_.table.fence.HasLease(partition);
}

void Coordinator::NoteLeaseFacts() {
  if (!leases_) return;
  const ClusterState& known = parts_.membership.state();
  const std::map<NodeId, MemberLife> lives = parts_.membership.lives();
  LeaseFacts facts;
  facts.epoch = parts_.membership.epoch();
  for (const auto& [id, entry] : known.ring) {
    // What is only remembered may be over, and would have to be settled all the same.
    if (!entry.removed && parts_.membership.joined()) facts.ring.push_back(id);
  }
  for (const auto& [id, life] : lives) {
    if (life.dead_incarnation != 0) facts.dead_epochs.emplace(id, life.dead_incarnation);
  }
  leases_->SetFacts(lease_table_->Now(), std::move(facts));
  fences_.Present(known, lives);
  leases_->AskAbout(fences_.unconfirmed());
}

// What this node should act for, as it was just decided.
void Coordinator::NoteClaims() {
  if (!leases_) return;
  const std::uint32_t count = held_.partition_count();
  PartitionSet claims(count);
  PartitionSet taking(count);
  for (PartitionId partition = 0; partition < count && !stopped_; ++partition) {
    if (!ownership_.owns(partition)) continue;
    claims.Set(partition);
    if (ownership_.takes(partition)) taking.Set(partition);
  }
  if (claims == claims_ && taking == taking_) return;
  // First nobody acts here any more, then others may.
  PartitionSet gone = claims_;
  gone.Remove(claims);
  gone.ForEach([this](PartitionId partition) { lease_table_->Revoke(partition); });
  claims_ = claims;
  taking_ = taking;
  SendLeases(leases_->SetClaims(lease_table_->Now(), claims, taking, NewestStamp()));
  AfterLeases();
}

void Coordinator::TickLeases() {
  if (!leases_) return;
  const TimePoint lease_now = lease_table_->Now();
  SendLeases(leases_->Tick(lease_now, leases_->Due(lease_now) ? NewestStamp() : 0));
  AfterLeases();
}

void Coordinator::OnLeaseMessage(const NodeId& from, const std::string& payload) {
  if (!leases_ || !started_) return;
  Work();  // a vote depends on the newest ring and deaths
  SendLeases(leases_->OnMessage(lease_table_->Now(), from, payload));
  AfterLeases();
}

void Coordinator::AfterLeases() {
  if (fences_.Confirm(leases_->ConfirmedDeaths())) {
    state_changed_ = true;
    ScheduleWork();
  }
  if (leases_->stamp_floor() > stamp_floor_) {
    stamp_floor_ = leases_->stamp_floor();
    for (std::uint32_t i = 0; i < parts_.engine.shard_count(); ++i) {
      Shard& shard = parts_.engine.shard(i);
      MutexLock lock(shard.mutex());
      shard.PassMillis(stamp_floor_);
    }
    leases_->AskSoon();
  }
  PublishLeases();
  const TimePoint lease_now = lease_table_->Now();
  PartitionSet held(held_.partition_count());
  for (PartitionId partition = 0; partition < held.partition_count(); ++partition) {
    held.Assign(partition, leases_->Holds(partition, lease_now));
  }
  const std::vector<PartitionId> lost = leases_->Lost(lease_now);
  if (held == held_ && lost.empty()) return;
  held_ = held;
  Apply(ownership_.OnLeases(now(), held, lost));
}

void Coordinator::PublishLeases() {
  const TimePoint lease_now = lease_table_->Now();
  lease_table_->LimitStamps(leases_->stamp_limit(lease_now));
  claims_.ForEach([&](PartitionId partition) {
    const Leases::Lease& lease = leases_->leases()[partition];
    if (faults_.ignore_leases) {
      lease_table_->Extend(partition, TimePoint{}, lease_now + kLease);
      lease_table_->LimitStamps(std::numeric_limits<UnixMillis>::max());
    } else if (lease.until > lease_table_->Until(partition)) {
      lease_table_->Extend(partition, lease.start, lease.until);
    }
  });
}

void Coordinator::SendLeases(const LeaseSends& sends) {
  for (const SendLease& send : sends) {
    parts_.perform(parts_.membership.SendLease(now(), send.to, send.payload));
  }
}

// The highest time that a version of this node may have.
UnixMillis Coordinator::NewestStamp() {
  UnixMillis newest = parts_.wall_clock();
  for (std::uint32_t i = 0; i < parts_.engine.shard_count(); ++i) {
    Shard& shard = parts_.engine.shard(i);
    MutexLock lock(shard.mutex());
    newest = std::max(newest, shard.clock_millis());
  }
  return newest;
}

LeaseStats Coordinator::lease_stats() const {
  if (!leases_) return {};
  LeaseStats stats = leases_->stats(lease_table_->Now());
  stats.refusals = lease_table_->refusals();
  stats.overruns = lease_table_->overruns();
  return stats;
}

}  // namespace gyre
