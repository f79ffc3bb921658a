#include "membership/broadcast_queue.h"

#include <iterator>
#include <utility>

namespace gyre {

std::size_t FieldBytes(std::size_t bytes) {
  std::size_t total = 1 + bytes;
  do {
    ++total;
    bytes >>= 7;
  } while (bytes > 0);
  return total;
}

void AppendField(char tag, const std::string& bytes, std::string& out) {
  out.push_back(tag);
  std::size_t rest = bytes.size();
  while (rest >= 0x80) {
    out.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<char>(rest));
  out.append(bytes);
}

void BroadcastQueue::Add(const Subject& subject, std::string bytes) {
  if (const auto found = by_subject_.find(subject); found != by_subject_.end()) {
    by_order_.erase(found->second.order);
    by_subject_.erase(found);
  } else if (by_subject_.size() >= kBroadcastsMax) {
    const auto most_told = std::prev(by_order_.end());
    by_subject_.erase(most_told->second);
    by_order_.erase(most_told);
  }
  const Order order{0, next_--};
  by_order_.emplace(order, subject);
  by_subject_.emplace(subject, Entry{order, std::move(bytes)});
}

void BroadcastQueue::Fill(char field_tag, std::size_t bytes_max, int transmits_max,
                          std::string& out) {
  std::vector<std::pair<Subject, Order>> told;
  for (const auto& [order, subject] : by_order_) {
    const std::string& bytes = by_subject_.at(subject).bytes;
    const std::size_t needed = FieldBytes(bytes.size());
    if (needed > bytes_max) continue;
    AppendField(field_tag, bytes, out);
    bytes_max -= needed;
    told.emplace_back(subject, order);
  }
  for (const auto& [subject, order] : told) {
    by_order_.erase(order);
    const auto entry = by_subject_.find(subject);
    const Order next{order.transmits + 1, order.newest};
    if (next.transmits >= transmits_max) {
      by_subject_.erase(entry);
      continue;
    }
    entry->second.order = next;
    by_order_.emplace(next, subject);
  }
}

void BroadcastQueue::Clear() {
  by_subject_.clear();
  by_order_.clear();
}

}  // namespace gyre
