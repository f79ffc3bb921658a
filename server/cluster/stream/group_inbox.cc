#include "stream/group_inbox.h"

#include <algorithm>
#include <utility>

#include "stream/arrival.h"

namespace gyre {

bool GroupInbox::Add(PartitionId partition, Waiting waiting) {
  const std::size_t bytes = sizeof(Waiting) + waiting.effects.size();
  if (waiting_bytes_ != 0 && waiting_bytes_ + bytes > kWaitingBytesMax) return false;
  waiting_bytes_ += bytes;
  const StreamPosition position = waiting.position;
  waiting_[partition].emplace(position, std::move(waiting));
  return true;
}

std::optional<GroupInbox::Waiting> GroupInbox::TakeReady(PartitionId partition,
                                                         StreamPosition last) {
  const auto found = waiting_.find(partition);
  if (found == waiting_.end()) return std::nullopt;
  const auto first = found->second.begin();
  if (Judge(last, first->second.position, first->second.base, false) == Arrival::kEarly) {
    return std::nullopt;
  }
  Waiting taken = std::move(first->second);
  waiting_bytes_ -= sizeof(Waiting) + taken.effects.size();
  found->second.erase(first);
  if (found->second.empty()) waiting_.erase(found);
  return taken;
}

std::vector<GroupInbox::Waiting> GroupInbox::TakeOf(PartitionId partition,
                                                    const GroupBatch* batch) {
  std::vector<Waiting> taken;
  const auto found = waiting_.find(partition);
  if (found == waiting_.end()) return taken;
  for (auto each = found->second.begin(); each != found->second.end();) {
    if (each->second.batch.get() != batch) {
      ++each;
      continue;
    }
    waiting_bytes_ -= sizeof(Waiting) + each->second.effects.size();
    taken.push_back(std::move(each->second));
    each = found->second.erase(each);
  }
  if (found->second.empty()) waiting_.erase(found);
  return taken;
}

StreamPosition GroupInbox::Applied(PartitionId partition, StreamPosition last,
                                   StreamPosition position, StreamPosition base) {
  const bool follows = position == last.next() || (position.number <= 1 && base == last);
  if (follows) return Reach(partition, position);
  if (position.term == last.term && position.number <= last.number) return last;
  Ahead& ahead = ahead_[partition];
  if (position.term < ahead.term) return last;
  if (position.term > ahead.term) ahead = {.term = position.term, .intervals = {}};
  // Joined with those that it touches.
  std::uint64_t begin = position.number;
  std::uint64_t end = position.number;
  auto next = ahead.intervals.upper_bound(begin);
  if (next != ahead.intervals.begin()) {
    const auto before = std::prev(next);
    if (before->second + 1 >= begin) {
      begin = before->first;
      end = std::max(end, before->second);
      ahead.intervals.erase(before);
    }
  }
  if (next != ahead.intervals.end() && next->first == end + 1) {
    end = next->second;
    ahead.intervals.erase(next);
  }
  ahead.intervals.emplace(begin, end);
  if (ahead.intervals.size() > kIntervalsMax) ahead.intervals.erase(ahead.intervals.begin());
  return last;
}

StreamPosition GroupInbox::Reach(PartitionId partition, StreamPosition last) {
  const auto found = ahead_.find(partition);
  if (found == ahead_.end()) return last;
  Ahead& ahead = found->second;
  if (ahead.term < last.term) {
    ahead_.erase(found);
    return last;
  }
  if (ahead.term > last.term) return last;
  while (!ahead.intervals.empty() && ahead.intervals.begin()->first <= last.number + 1) {
    last.number = std::max(last.number, ahead.intervals.begin()->second);
    ahead.intervals.erase(ahead.intervals.begin());
  }
  if (ahead.intervals.empty()) ahead_.erase(found);
  return last;
}

bool GroupInbox::HasApplied(PartitionId partition, StreamPosition position) const {
  const auto found = ahead_.find(partition);
  if (found == ahead_.end() || found->second.term != position.term) return false;
  const auto& intervals = found->second.intervals;
  auto next = intervals.upper_bound(position.number);
  return next != intervals.begin() && std::prev(next)->second >= position.number;
}

}  // namespace gyre
