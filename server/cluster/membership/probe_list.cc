#include "membership/probe_list.h"

#include <algorithm>
#include <utility>

namespace gyre {

void ProbeList::Add(const NodeId& id, Prng& prng) {
  const std::size_t place = prng.Below(order_.size() + 1);
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(place), id);
  if (place < next_) ++next_;
}

void ProbeList::Remove(const NodeId& id) {
  std::erase(hastened_, id);
  const auto found = std::find(order_.begin(), order_.end(), id);
  if (found == order_.end()) return;
  if (static_cast<std::size_t>(found - order_.begin()) < next_) --next_;
  order_.erase(found);
}

void ProbeList::Hasten(const NodeId& id) {
  if (hastened_.size() >= kHastenedMax) return;
  if (std::find(hastened_.begin(), hastened_.end(), id) == hastened_.end()) hastened_.push_back(id);
}

void ProbeList::Shuffle(std::size_t from, std::size_t to, Prng& prng) {
  for (std::size_t left = to - from; left > 1; --left) {
    std::swap(order_[from + left - 1], order_[from + prng.Below(left)]);
  }
}

std::optional<NodeId> ProbeList::Next(Prng& prng,
                                      const std::function<bool(const NodeId&)>& wanted) {
  while (!hastened_.empty()) {
    const NodeId id = hastened_.front();
    hastened_.erase(hastened_.begin());
    if (wanted(id)) return id;
  }
  for (std::size_t tried = 0; tried < order_.size(); ++tried) {
    if (next_ >= order_.size()) {
      next_ = 0;
      Shuffle(0, order_.size() / 2, prng);
      Shuffle(order_.size() / 2, order_.size(), prng);
    }
    const NodeId id = order_[next_++];
    if (wanted(id)) return id;
  }
  return std::nullopt;
}

}  // namespace gyre
