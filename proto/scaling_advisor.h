// How many nodes the ring needs, and why. Pure: what the nodes said of their load goes in
// (cluster_status.h), one advice comes out; no clock, no socket.
//
//   each sample -> what each signal asks for -> what it all asks for, now   (nothing while unsettled)
//                                                        |
//                     stood for a whole window, no cooldown, nothing against it -> advice
//
// Signals:
//   memory   what one node more would gain in hits, one fewer lose: from what the nodes sampled
//            (hit_curve.h), weighed by their reads
//   busy     the share of time in which the loops of clients are at work, on average
//   network  the fuller direction of the nodes' links, on average, where their speed is known
//
// As Kubernetes' HorizontalPodAutoscaler: several signals, the largest number counts; a stabilization
// window for each direction (out: the least that was asked for in it; in: the most); after each
// change of the ring a cooldown. Beyond that: out and in have thresholds of their own, each of what
// it would be *after* the change; in goes one node at a time, since what is measured then says more
// than what is foreseen now; and what is not known never makes a ring smaller.
//
// It believes what nodes say of themselves. One that lies makes the advice wrong, and nothing else:
// advice is read by who asks, and changes nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proto/cluster_status.h"

namespace gyre {

struct ScalingOptions {
  using Duration = std::chrono::nanoseconds;

  double out_load = 0.70;  // of busy time and of the network: more nodes above it
  double in_load = 0.50;   // one node fewer if it were not above it then
  // Hit ratio that one node more must gain, times the nodes: a fiftieth node costs a fiftieth of the
  // ring, and need gain but a fiftieth of this. Likewise what one fewer may lose.
  double out_hits = 0.05;
  double in_hits = 0.02;
  Duration out_window = std::chrono::minutes(1);
  Duration in_window = std::chrono::minutes(5);
  Duration cooldown = std::chrono::minutes(5);
};

enum class Direction : std::uint8_t { kStay, kOut, kIn };
inline constexpr std::array<const char*, 3> kDirectionNames = {"stay", "out", "in"};

enum class Signal : std::uint8_t { kMemory, kBusy, kNetwork };
inline constexpr std::array<const char*, 3> kSignalNames = {"memory", "busy", "network"};

// What one signal says.
struct SignalAdvice {
  bool known = false;
  // Of memory the hit ratio that one node more would gain; else how full, 0 to 1.
  std::optional<double> value;
  std::size_t nodes = 0;   // that it asks for; as many as there are where it is not known
  bool allows_in = false;  // it has nothing against one node fewer
  std::string text;        // with its reason
};

// Why nothing, or less, is advised.
enum class Obstacle : std::uint8_t {
  kNoRing,       // this node is not on the ring, or knows no other's load yet
  kSilent,       // a node does not answer
  kDead,         // a ring member is dead or stopped
  kSuspect,      //
  kUnowned,      // partitions without an owner
  kMoving,       // data moves, or a copy lacks
  kCooldown,     // the ring changed a while ago
  kStabilizing,  // it is not asked for long enough
  kCopies,       // one node fewer would be fewer than copies
};
inline constexpr std::array<const char*, 9> kObstacleNames = {"no_ring",  "silent",      "dead",
                                                              "suspect",  "unowned",     "moving",
                                                              "cooldown", "stabilizing", "copies"};

struct Against {
  Obstacle obstacle = Obstacle::kNoRing;
  std::string text;
  std::optional<double> seconds_left;
};

// What so many nodes would give, as far as it is known.
struct Forecast {
  std::size_t nodes = 0;
  std::optional<double> hit_ratio;
  std::optional<double> busy_ratio;
  std::optional<double> network_ratio;
  std::optional<double> memory_ratio;
};

struct Advice {
  std::string cluster;
  std::size_t nodes = 0;    // on the ring
  std::size_t wanted = 0;   // what the signals ask for at this moment
  std::size_t advised = 0;  // after windows, cooldown and all that stands against it
  Direction direction = Direction::kStay;
  std::array<SignalAdvice, kSignalNames.size()> signals;  // [Signal]
  std::vector<Against> against;
  std::vector<Forecast> forecasts;  // by nodes: one fewer, now, one and two more
  // What one node more would gain, and one fewer lose (below 0), in hit ratio.
  std::optional<double> gain;
  std::optional<double> loss;
  double reads_per_second = 0;

  const SignalAdvice& of(Signal signal) const { return signals[static_cast<std::size_t>(signal)]; }
};

class ScalingAdvisor {
 public:
  using TimePoint = std::chrono::time_point<std::chrono::steady_clock, ScalingOptions::Duration>;

  // Reads that an estimate of hits must rest on, of all nodes.
  static constexpr double kSampledReadsMin = 200;
  // Of the memory that would be left: what is used must fit into it with some room.
  static constexpr double kFullAt = 0.9;
  // Nodes are at most doubled at once.
  static constexpr std::size_t kGrowthMax = 2;
  // Samples farther apart do not make a window.
  static constexpr ScalingOptions::Duration kGapMax = std::chrono::minutes(1);
  // Changes of what is asked for that are remembered, the latest.
  static constexpr std::size_t kHistoryMax = 1024;

  explicit ScalingAdvisor(const ScalingOptions& options) : options_(options) {}

  // A sample of the whole ring. The first begins a cooldown: what was before is not known.
  Advice Observe(TimePoint now, const ClusterStatus& status);

 private:
  struct Asked {
    TimePoint since{};
    std::size_t nodes = 0;
  };

  void NoteRing(TimePoint now, const ClusterStatus& status);
  void Remember(TimePoint now, std::size_t wanted);
  // The least, or the most, that was asked for in the window; nothing if it is not whole yet.
  std::optional<std::size_t> Over(TimePoint now, ScalingOptions::Duration window, bool least) const;
  void Decide(TimePoint now, Advice& advice) const;

  ScalingOptions options_;
  std::vector<std::string> ring_;  // ids
  TimePoint changed_at_{};
  TimePoint observed_at_{};
  bool observed_ = false;
  std::deque<Asked> history_;
};

nlohmann::ordered_json ToJson(const Advice& advice);

}  // namespace gyre
