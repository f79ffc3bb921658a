// How reads reuse what was there before, and so what more or less memory would do to the hit ratio.
//
// The reuse distance of a read is how many bytes of other records were used since its record was
// used last (Mattson 1970). An LRU memory hits exactly the reads whose distance is smaller than
// itself, so the distances of all reads say what an LRU of any size would hit. Ours is no LRU: it
// keeps what is used often, weighs sizes, and loses some bytes to its slots. But it hits as much as an
// LRU of some size, and that size is known, since its hits are counted:
//
//   reads |######                          the effective size: where the reads nearer than that are
//         |##########                      as many as were really hit. With f times the memory it
//         |################__  ..          is taken to be f times as large.
//         +-----------|---------> distance
//
// What a policy is better than LRU is lost as the memory grows, for where all fits both hit all of it:
// an effective size above the memory's own grows by less than f, so that both reach the footprint (the
// bytes that are read at all) together.
//
// So at f = 1 this is what was measured, whatever the policy. Assuming instead that hits at each
// distance stretch with the memory was off by 10 points where all of a set that is read at random fits
// at last; this is off by less than one (`bench/hit_ratio --predict`, `scripts/measure-advice`).
//
// Pure arithmetic; reuse_sampler.h counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "proto/hit_curve.h"

namespace gyre {

struct ReuseHistogram {
  // Bins by the logarithm of x = distance / memory. What lies below the first joins it: it hits in
  // any case.
  static constexpr std::size_t kBinsAnOctave = 16;
  static constexpr std::size_t kOctaves = 7;  // from 1/32 of the memory to four times
  static constexpr int kFirstOctave = -5;
  static constexpr std::size_t kBins = kBinsAnOctave * kOctaves;

  // Reads of known distance, and how many of them hit. Estimates of all such reads, of which few were
  // sampled.
  std::array<double, kBins> reads{};
  double hits = 0;
  // Hits of records whose last use is farther back than the sample reaches: there are some, where
  // what is used often or is small is kept.
  double deep_hits = 0;
  // Hits of records of which no earlier use is known, because the sample is young.
  double unplaced_hits = 0;
  double sampled = 0;    // of the sampled reads those in the four above, one by one
  double all_reads = 0;  // of all reads, misses of unknown keys included

  // `x`: distance / memory.
  static std::size_t BinOf(double x);

  // Hits that would be more with `factor` times the memory, below 0 where they would be fewer; in the
  // same time. For factors from 1/2 to 2. Of deep hits a memory that is smaller by a part loses that
  // part; unplaced ones count as lost where any memory is, so that ignorance never looks like a ring
  // that is too large.
  double HitsGained(double factor) const;

  void Scale(double by);

 private:
  // Reads nearer than a place, in bins and parts of a bin.
  double ReadsBelow(double place) const;
  double EffectiveSize() const;
  double Footprint() const;
};

ReuseHistogram& operator+=(ReuseHistogram& sum, const ReuseHistogram& one);

// As a share of all reads.
HitCurve CurveOf(const ReuseHistogram& histogram);

}  // namespace gyre
