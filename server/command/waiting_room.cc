#include "command/waiting_room.h"

#include <algorithm>
#include <utility>

namespace gyre {

Status WaitingRoom::Push(PartitionId partition, ErrandPtr errand, bool* first) {
  const std::size_t bytes = errand->request.bytes();
  if (errands_ >= kErrandsMax || bytes_ + bytes > kBytesMax) {
    return Fail(ErrorCode::kUnavailable,
                "too many commands wait for an owner of their keys; try again later");
  }
  const auto [line, is_new] = lines_.try_emplace(partition);
  *first = is_new;
  line->second.errands.push_back(std::move(errand));
  ++errands_;
  bytes_ += bytes;
  return {};
}

ErrandPtr WaitingRoom::Front(PartitionId partition) const {
  const auto line = lines_.find(partition);
  return line == lines_.end() ? nullptr : line->second.errands.front();
}

void WaitingRoom::PopFront(PartitionId partition) {
  const auto line = lines_.find(partition);
  Forget(*line->second.errands.front());
  line->second.errands.pop_front();
  if (line->second.errands.empty()) lines_.erase(line);
}

std::vector<ErrandPtr> WaitingRoom::TakeExpired(PartitionId partition, TimePoint now) {
  std::vector<ErrandPtr> expired;
  const auto line = lines_.find(partition);
  if (line == lines_.end()) return expired;
  std::erase_if(line->second.errands, [&](const ErrandPtr& errand) {
    if (errand->deadline > now) return false;
    Forget(*errand);
    expired.push_back(errand);
    return true;
  });
  if (line->second.errands.empty()) lines_.erase(line);
  return expired;
}

Duration WaitingRoom::NextDelay(PartitionId partition, TimePoint now) {
  Line& line = lines_.at(partition);
  Duration delay = std::exchange(line.delay, std::min(line.delay * 2, kRetryMax));
  for (const ErrandPtr& errand : line.errands) delay = std::min(delay, errand->deadline - now);
  return std::max(delay, Duration(0));
}

void WaitingRoom::Forget(const Errand& errand) {
  --errands_;
  bytes_ -= errand.request.bytes();
}

}  // namespace gyre
