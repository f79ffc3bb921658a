// Ranks 1..n, rank k with a probability in proportion to 1 / k^alpha, in constant time and memory:
// rejection-inversion (W. Hormann, G. Derflinger, "Rejection-inversion to generate variates from
// monotone discrete distributions", ACM TOMACS 6(3), 1996).
//
// The histogram of 1/k^alpha lies under the curve h(x) = x^-alpha shifted by a half; its integral H
// has a closed inverse. A uniform point of H's range gives an x; the nearest integer is the rank
// unless the point falls into the sliver between curve and histogram, which is rare for every
// alpha.
#pragma once

#include <cmath>
#include <cstdint>

namespace gyre::client {

class Zipf {
 public:
  // count >= 1, alpha > 0.
  Zipf(std::uint64_t count, double alpha)
      : count_(count), alpha_(alpha), low_(H(1.5) - 1), high_(H(static_cast<double>(count) + 0.5)) {
    accept_below_ = 2 - HInverse(H(2.5) - Density(2));
  }

  // `random()` gives uniform doubles in [0, 1).
  template <typename Random>
  std::uint64_t Rank(Random&& random) const {
    while (true) {
      const double point = high_ + random() * (low_ - high_);
      const double x = HInverse(point);
      double rank = std::floor(x + 0.5);
      if (rank < 1) rank = 1;
      if (rank > static_cast<double>(count_)) rank = static_cast<double>(count_);
      if (rank - x <= accept_below_ || point >= H(rank + 0.5) - Density(rank)) {
        return static_cast<std::uint64_t>(rank);
      }
    }
  }

 private:
  double Density(double x) const { return std::exp(-alpha_ * std::log(x)); }
  // (x^(1 - alpha) - 1) / (1 - alpha), and log x where alpha is 1.
  double H(double x) const {
    const double log_x = std::log(x);
    const double t = (1 - alpha_) * log_x;
    return std::abs(t) < 1e-8 ? log_x * (1 + t / 2) : std::expm1(t) / (1 - alpha_);
  }
  double HInverse(double y) const {
    const double t = std::fmax(y * (1 - alpha_), -1.0);
    return std::exp(std::abs(t) < 1e-8 ? y * (1 - t / 2) : std::log1p(t) / (1 - alpha_));
  }

  std::uint64_t count_;
  double alpha_;
  double low_;
  double high_;
  double accept_below_ = 0;
};

}  // namespace gyre::client
