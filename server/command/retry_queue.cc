#include "command/retry_queue.h"

#include <algorithm>
#include <utility>

namespace gyre {

Status RetryQueue::Push(PartitionId partition, PendingCommandPtr pending, bool* first) {
  const std::size_t bytes = pending->request.bytes();
  if (commands_ >= kCommandsMax || bytes_ + bytes > kBytesMax) {
    return Fail(ErrorCode::kUnavailable,
                "too many commands wait for an owner of their keys; try again later");
  }
  const auto [line, is_new] = lines_.try_emplace(partition);
  *first = is_new;
  line->second.commands.push_back(std::move(pending));
  ++commands_;
  bytes_ += bytes;
  return {};
}

PendingCommandPtr RetryQueue::Front(PartitionId partition) const {
  const auto line = lines_.find(partition);
  return line == lines_.end() ? nullptr : line->second.commands.front();
}

void RetryQueue::PopFront(PartitionId partition) {
  const auto line = lines_.find(partition);
  Forget(*line->second.commands.front());
  line->second.commands.pop_front();
  if (line->second.commands.empty()) lines_.erase(line);
}

std::vector<PendingCommandPtr> RetryQueue::TakeExpired(PartitionId partition, TimePoint now) {
  std::vector<PendingCommandPtr> expired;
  const auto line = lines_.find(partition);
  if (line == lines_.end()) return expired;
  std::erase_if(line->second.commands, [&](const PendingCommandPtr& pending) {
    if (pending->deadline > now) return false;
    Forget(*pending);
    expired.push_back(pending);
    return true;
  });
  if (line->second.commands.empty()) lines_.erase(line);
  return expired;
}

Duration RetryQueue::NextDelay(PartitionId partition, TimePoint now) {
  Line& line = lines_.at(partition);
  Duration delay = std::exchange(line.delay, std::min(line.delay * 2, kRetryMax));
  for (const PendingCommandPtr& pending : line.commands)
    delay = std::min(delay, pending->deadline - now);
  return std::max(delay, Duration(0));
}

void RetryQueue::Forget(const PendingCommand& pending) {
  --commands_;
  bytes_ -= pending.request.bytes();
}

}  // namespace gyre
