#include "cluster/probe_list.h"

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
      for (std::size_t i = order_.size(); i > 1; --i)
        std::swap(order_[i - 1], order_[prng.Below(i)]);
    }
    const NodeId id = order_[next_++];
    if (wanted(id)) return id;
  }
  return std::nullopt;
}

}  // namespace gyre
