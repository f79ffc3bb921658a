// What leases cost stands here, out of line: commands without leases do not pay for it.
#include "replication/write_fence.h"

namespace gyre {

bool WriteFence::LeaseAllows(TimePoint at, PartitionId partition, UnixMillis stamp) const {
  if (leases_->Holds(partition, at) && leases_->MayStamp(stamp)) return true;
  leases_->CountRefusal();
  return false;
}

bool WriteFence::HeldSince(TimePoint from, PartitionId partition) const {
  if (leases_->HeldSince(partition, from, leases_->Now())) return true;
  leases_->CountOverrun();
  return false;
}

WriteFence::Verdict WriteFence::Judge(const Mark& mark, PartitionId partition) const {
  if (mark.overruled != self_.overruled()) return Verdict::kOverruled;
  if (!self_.Holds()) return Verdict::kUnsure;
  if (leases_ != nullptr && !HeldSince(mark.at, partition)) return Verdict::kLapsed;
  return Verdict::kHolds;
}

}  // namespace gyre
