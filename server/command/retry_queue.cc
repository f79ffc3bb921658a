#include "command/retry_queue.h"

#include <algorithm>
#include <utility>

namespace gyre {

RetryQueue::Obstacle RetryQueue::ObstacleOf(std::span<const Key> keys,
                                            const PendingCommand* pending) const {
  if (places_ == 0) return Obstacle::kNone;
  Obstacle obstacle = Obstacle::kNone;
  for (const Key& key : keys) {
    const auto line = lines_.find(key.partition);
    if (line == lines_.end() || line->second.places.front().pending.get() == pending) continue;
    if (line->second.has_claims) return Obstacle::kClaims;
    obstacle = Obstacle::kOwner;
  }
  return obstacle;
}

void RetryQueue::Wait(PartitionId partition, const PendingCommandPtr& pending) {
  if (TakePlaces(pending, 1, &RouterStats::waited_for_owner)) Append(partition, {pending, nullptr});
}

bool RetryQueue::WaitForClaims(std::span<const Key> keys, const PendingCommandPtr& pending,
                               std::optional<PartitionId> line) {
  if (line && lines_.at(*line).places.front().lines != nullptr) return false;
  std::vector<PartitionId> partitions;
  partitions.reserve(keys.size());
  for (const Key& key : keys) partitions.push_back(key.partition);
  std::sort(partitions.begin(), partitions.end());
  partitions.erase(std::unique(partitions.begin(), partitions.end()), partitions.end());
  if (!TakePlaces(pending, partitions.size(), &RouterStats::waited_for_claims)) return true;
  const Place place{pending, std::make_shared<std::vector<PartitionId>>(std::move(partitions))};
  for (const PartitionId partition : *place.lines) Append(partition, place);
  return true;
}

bool RetryQueue::TakePlaces(const PendingCommandPtr& pending, std::size_t count,
                            Tally<RouterStats>::Row cause) {
  const std::size_t bytes = pending->request.bytes();
  if (places_ + count > kPlacesMax || bytes_ + bytes > kBytesMax) {
    pending->Fail({ErrorCode::kUnavailable,
                   "too many commands wait for an owner of their keys; try again later"});
    return false;
  }
  places_ += count;
  bytes_ += bytes;
  counters_[cause].Add(1);
  return true;
}

void RetryQueue::Append(PartitionId partition, const Place& place) {
  const auto [line, is_new] = lines_.try_emplace(partition);
  line->second.places.push_back(place);
  line->second.has_claims = line->second.has_claims || place.lines != nullptr;
  if (is_new) ScheduleLook(partition);
}

void RetryQueue::ScheduleLook(PartitionId partition) {
  context_.Later(NextDelay(lines_.at(partition)), [this, partition] { LookAgain(partition); });
}

void RetryQueue::LookAgain(PartitionId partition) {
  FailExpired(partition);
  for (;;) {
    const auto line = lines_.find(partition);
    if (line == lines_.end()) return;
    const Place first = line->second.places.front();
    const bool is_tried_here = first.lines == nullptr || first.lines->front() == partition;
    if (!is_tried_here || !try_again_(first.pending, partition)) return ScheduleLook(partition);
    Leave(partition, first);
  }
}

Duration RetryQueue::NextDelay(Line& line) const {
  const TimePoint now = context_.services().steady_now();
  Duration delay = std::exchange(line.delay, std::min(line.delay * 2, kRetryMax));
  for (const Place& place : line.places) delay = std::min(delay, place.pending->deadline - now);
  return std::max(delay, Duration(0));
}

void RetryQueue::FailExpired(PartitionId partition) {
  const auto line = lines_.find(partition);
  if (line == lines_.end()) return;
  const TimePoint now = context_.services().steady_now();
  std::vector<Place> expired;
  std::erase_if(line->second.places, [&](const Place& place) {
    if (place.pending->deadline > now) return false;
    expired.push_back(place);
    return true;
  });
  if (line->second.places.empty()) lines_.erase(line);
  // What is answered may bring the next command.
  for (const Place& place : expired) {
    Forget(partition, place);
    place.pending->Fail(context_.WhyLate(partition));
  }
}

void RetryQueue::Leave(PartitionId partition, const Place& place) {
  const auto line = lines_.find(partition);
  line->second.places.pop_front();
  if (line->second.places.empty()) lines_.erase(line);
  Forget(partition, place);
}

void RetryQueue::Forget(PartitionId partition, const Place& place) {
  bytes_ -= place.pending->request.bytes();
  --places_;
  if (place.lines == nullptr) return;
  for (const PartitionId each : *place.lines) {
    if (each == partition) continue;
    --places_;
    const auto line = lines_.find(each);
    std::erase_if(line->second.places,
                  [&](const Place& other) { return other.lines == place.lines; });
    if (line->second.places.empty()) lines_.erase(line);
  }
}

}  // namespace gyre
