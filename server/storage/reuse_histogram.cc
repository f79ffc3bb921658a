#include "storage/reuse_histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gyre {
namespace {

// Where so few of the reads miss, nearly nothing is evicted: the memory may be far from full, and is
// taken for an LRU of at least its own size.
constexpr double kMissesNone = 0.005;
constexpr double kBeyondFootprint = 0.001;

double PlaceOf(double x) {
  return (std::log2(x) - ReuseHistogram::kFirstOctave) * ReuseHistogram::kBinsAnOctave;
}

}  // namespace

std::size_t ReuseHistogram::BinOf(double x) {
  if (!(x > 0)) return 0;
  return static_cast<std::size_t>(std::clamp(PlaceOf(x), 0.0, static_cast<double>(kBins - 1)));
}

double ReuseHistogram::ReadsBelow(double place) const {
  double below = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    below += reads[bin] * std::clamp(place - static_cast<double>(bin), 0.0, 1.0);
  }
  return below;
}

// As a place, in bins.
double ReuseHistogram::EffectiveSize() const {
  const double all = std::accumulate(reads.begin(), reads.end(), 0.0);
  double below = 0;
  double place = static_cast<double>(kBins);
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (below + reads[bin] >= hits && reads[bin] > 0) {
      place = static_cast<double>(bin) + std::clamp((hits - below) / reads[bin], 0.0, 1.0);
      break;
    }
    below += reads[bin];
  }
  return all - hits <= kMissesNone * all ? std::max(place, PlaceOf(1)) : place;
}

// As a place: nearly all reads are nearer, and a memory of that size holds what they read.
double ReuseHistogram::Footprint() const {
  double beyond = kBeyondFootprint * std::accumulate(reads.begin(), reads.end(), 0.0);
  std::size_t bin = kBins;
  while (bin > 0 && beyond >= reads[bin - 1]) beyond -= reads[--bin];
  return static_cast<double>(bin);
}

double ReuseHistogram::HitsGained(double factor) const {
  if (factor == 1) return 0;
  const double size = EffectiveSize();
  double shift = std::log2(factor) * kBinsAnOctave;
  const double to_footprint = Footprint() - PlaceOf(1);
  if (factor > 1 && to_footprint > 0) {
    shift *= std::clamp((Footprint() - size) / to_footprint, 0.0, 1.0);
  }
  const double gained = ReadsBelow(size + shift) - ReadsBelow(size);
  return factor < 1 ? gained - unplaced_hits - deep_hits * (1 - factor) : gained;
}

void ReuseHistogram::Scale(double by) {
  for (double& count : reads) count *= by;
  hits *= by;
  deep_hits *= by;
  unplaced_hits *= by;
  sampled *= by;
  all_reads *= by;
}

ReuseHistogram& operator+=(ReuseHistogram& sum, const ReuseHistogram& one) {
  for (std::size_t bin = 0; bin < ReuseHistogram::kBins; ++bin) sum.reads[bin] += one.reads[bin];
  sum.hits += one.hits;
  sum.deep_hits += one.deep_hits;
  sum.unplaced_hits += one.unplaced_hits;
  sum.sampled += one.sampled;
  sum.all_reads += one.all_reads;
  return sum;
}

HitCurve CurveOf(const ReuseHistogram& histogram) {
  HitCurve curve;
  curve.sampled = histogram.sampled;
  if (histogram.all_reads <= 0) return curve;
  for (std::size_t point = 0; point < HitCurve::kPoints; ++point) {
    // Estimates of few may exceed what there is.
    curve.gained[point] = std::clamp(
        histogram.HitsGained(HitCurve::FactorOf(point)) / histogram.all_reads, -1.0, 1.0);
  }
  return curve;
}

}  // namespace gyre
