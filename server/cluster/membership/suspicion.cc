#include "membership/suspicion.h"

#include <algorithm>
#include <cmath>

namespace gyre {

Duration SuspicionTimeout(const SuspicionBounds& bounds, std::size_t confirmations) {
  if (bounds.confirmations == 0 || bounds.max <= bounds.min) return bounds.min;
  const double share = std::log(static_cast<double>(confirmations) + 1) /
                       std::log(static_cast<double>(bounds.confirmations) + 1);
  const auto range = static_cast<double>((bounds.max - bounds.min).count());
  // Whole milliseconds, so that the last bit of a logarithm cannot tell two machines' runs apart.
  const Duration cut{static_cast<Duration::rep>(range * share)};
  const Duration timeout = std::chrono::floor<std::chrono::milliseconds>(bounds.max - cut);
  return std::max(bounds.min, timeout);
}

Suspicion::Suspicion(TimePoint start, SuspicionBounds bounds, const NodeId& accuser)
    : start_(start), bounds_(bounds), accusers_{accuser} {}

bool Suspicion::Confirm(const NodeId& accuser) {
  if (confirmations() >= bounds_.confirmations) return false;
  return accusers_.insert(accuser).second;
}

TimePoint Suspicion::deadline() const {
  return start_ + SuspicionTimeout(bounds_, confirmations());
}

}  // namespace gyre
