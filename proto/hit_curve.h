// What a node tells of its hits: how many more there would be with other memories than it has.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace gyre {

struct HitCurve {
  // From half the memory to twice as much, in steps of an eighth of an octave; the one in the middle
  // is the memory that there is, and 0.
  static constexpr std::size_t kPoints = 17;
  static constexpr double kStepsAnOctave = 8;
  static constexpr double kMiddle = (kPoints - 1) / 2.0;

  std::array<double, kPoints> gained{};  // in hit ratio, of all reads; below 0: lost
  double sampled = 0;                    // reads that it rests on

  // The memory of a point, in terms of that which there is.
  static double FactorOf(std::size_t point) {
    return std::exp2((static_cast<double>(point) - kMiddle) / kStepsAnOctave);
  }
  // Between the points; beyond them as at the last.
  double GainedAt(double factor) const {
    if (!(factor > 0)) return gained.front();
    const double at = std::clamp(std::log2(factor) * kStepsAnOctave + kMiddle, 0.0,
                                 static_cast<double>(kPoints - 1));
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, kPoints - 1);
    const double part = at - static_cast<double>(below);
    return gained[below] * (1 - part) + gained[above] * part;
  }
};

}  // namespace gyre
