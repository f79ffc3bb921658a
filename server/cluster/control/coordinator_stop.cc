// SIGTERM: a node that is about to stop tells so, waits until others have what only it has, hands
// over what it owns, and says goodbye.
//
//   BeginStop   gossip says that it leaves: others do not count on it any more, and fill the copies
//               that its end would leave lacking. It goes on owning and serving meanwhile.
//   CheckLeave  each tick: does a node that stays have each of its partitions whole?
//   HandOver    then, or when the time is over: what it owns is settled and offered to complete
//               replicas. Those that are about to stop, too, refuse; then it waits again.
//   FinishStop  goodbye. What nobody else has is said loudly. From here on it orders no write, for
//               those who hear the goodbye take over, and of those who do without this node's copies
//               none asks it any more: what it has is whole as of this moment, whenever the loops end
//               and a snapshot is written.
//
// The owner of a partition is who waits for another to have it: a replica may go as long as the
// owner stays. Where nobody stays, nobody waits: all of the ring is stopped.
#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "control/coordinator.h"

namespace gyre {
namespace {

// Of --stop-timeout, what is kept for handing over.
constexpr Duration kHandOverTime = std::chrono::seconds(4);
constexpr Duration kStopSettleTimeout = std::chrono::seconds(1);
// Between attempts to hand over: gossip has told by then who leaves, too.
constexpr Duration kHandOverRetry = std::chrono::milliseconds(200);
constexpr Duration kProgressInterval = std::chrono::seconds(2);

}  // namespace

void Coordinator::BeginStop(const StopOptions& options, std::function<void()> done) {
  if (stop_done_ != nullptr || stopped_) return done();
  stop_done_ = std::move(done);
  stop_ = options;
  const Duration wait = std::max(options.timeout - kHandOverTime, Duration{});
  leave_until_ = now() + wait;
  leave_logged_ = now();
  After(wait + kHandOverTime, [this] { FinishStop(); });
  Work();
  // What it comes back with is told before, or together with, that it leaves.
  Apply(ownership_.BeginLeave(now(), options.snapshot ? parts_.wall_clock() : 0));
  parts_.perform(parts_.membership.Leave(now()));
  CheckLeave();
}

std::vector<PartitionId> Coordinator::OnlyHere() const {
  return ownership_.OnlyHere([this](PartitionId partition, const NodeId& node) {
    return Leased(partition) && !MissedWrites(partition, node);
  });
}

void Coordinator::CheckLeave() {
  if (stop_done_ == nullptr || handing_over_ || now() < next_hand_over_) return;
  if (now() >= leave_until_ || !ownership_.others_stay()) return HandOver();
  const std::size_t lacking = OnlyHere().size();
  if (lacking == 0) return HandOver();
  if (now() - leave_logged_ < kProgressInterval) return;
  leave_logged_ = now();
  LogInfo("stopping: waiting until another node has what only this one has",
          {{"partitions", lacking}});
}

void Coordinator::HandOver() {
  handing_over_ = true;
  take_over_refused_ = false;
  std::vector<PartitionId> settling;
  Apply(ownership_.BeginStop(now(), settling));
  settle_.Wait(std::move(settling), kStopSettleTimeout,
               [this](const std::vector<PartitionId>&, const std::vector<PartitionId>&) {
                 ++take_overs_;  // one for this step: the end comes after it
                 Apply(ownership_.HandOff(now(), [this](PartitionId partition, const NodeId& node) {
                   return Leased(partition) && !MissedWrites(partition, node);
                 }));
                 --take_overs_;
                 EndHandOver();
               });
}

void Coordinator::Perform(SendTakeOver& action) {
  wire::PeerRequest request;
  wire::TakeOver& body = *request.mutable_take_over();
  body.set_from(std::string(self_.raw()));
  body.set_to_epoch(EpochOf(action.to));
  for (PartitionId partition : action.partitions) WriteGrant(partition, *body.add_grants());
  ++take_overs_;
  OfferTakeOver(std::move(action), std::move(request));
}

// Until it is answered, the other may own the partitions: it is asked again as long as it lives.
void Coordinator::OfferTakeOver(SendTakeOver offer, wire::PeerRequest request) {
  const NodeId to = offer.to;
  const std::uint64_t epoch = request.take_over().to_epoch();
  Call(to, request, kCallTimeout,
       [this, epoch, offer = std::move(offer), request](const wire::PeerReply* reply) mutable {
         const auto& members = state().members;
         const auto heir = members.find(offer.to);
         const bool lives =
             heir != members.end() && heir->second.serving() && heir->second.epoch == epoch;
         if (reply == nullptr && lives && !stopped_) {
           return After(kHandOverRetry,
                        [this, offer = std::move(offer), request = std::move(request)]() mutable {
                          OfferTakeOver(std::move(offer), std::move(request));
                        });
         }
         --take_overs_;
         std::vector<PartitionId> taken;
         if (reply != nullptr && reply->has_take_over()) taken = ToList(reply->take_over().taken());
         if (taken.size() < offer.partitions.size()) take_over_refused_ = true;
         Apply(ownership_.OnTakenOver(now(), offer.to, offer.partitions, taken));
         EndHandOver();
       });
}

void Coordinator::EndHandOver() {
  if (take_overs_ != 0 || stopped_) return;
  const bool may_wait = now() < leave_until_ && ownership_.others_stay();
  // Who refused is about to stop, too, whatever gossip has told of it so far.
  if (!may_wait || (!take_over_refused_ && OnlyHere().empty())) return FinishStop();
  handing_over_ = false;
  next_hand_over_ = now() + kHandOverRetry;
  ownership_.EndStop();
}

void Coordinator::FinishStop() {
  if (stopped_) return;
  stopped_ = true;
  NoteClaims();
  LogWhatIsLost();
  OwnershipActions resigned;
  const bool others_go_on = ownership_.Resign(now(), resigned);
  Apply(std::move(resigned));
  if (others_go_on) EndCopies();
  TellHoldings();
  parts_.perform(parts_.membership.Stop(now()));
  std::exchange(stop_done_, nullptr)();
}

void Coordinator::EndCopies() {
  const UnixMillis until = parts_.wall_clock();
  for (PartitionId partition = 0; partition < parts_.engine.options().partition_count;
       ++partition) {
    Shard& shard = parts_.engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    if (shard.info(partition).role >= Role::kReplica) shard.EndWhole(partition, until);
  }
}

void Coordinator::LogWhatIsLost() const {
  const std::vector<PartitionId> only = OnlyHere();
  std::uint64_t keys = 0;
  for (const PartitionId partition : only) {
    Shard& shard = parts_.engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    keys += shard.info(partition).records;
  }
  if (keys == 0) return;
  if (stop_.snapshot) {
    LogWarn(
        "no other node has some partitions of this one: they are missing until it is back with its "
        "snapshot",
        {{"partitions", only.size()}, {"keys", keys}});
  } else {
    LogError(
        "LOST with this node, no other has them (a longer --stop-timeout waits for others to take "
        "them, --snapshot-on-exit keeps them)",
        {{"partitions", only.size()}, {"keys", keys}});
  }
}

}  // namespace gyre
