#include "proto/scaling_advisor.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "proto/human.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

std::string Percent(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f%%", ratio * 100);
  return text;
}

std::string Points(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", ratio * 100);
  return text;
}

double Seconds(ScalingOptions::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string Nodes(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " node" : " nodes");
}

bool IsMember(const NodeStatus& node) { return node.on_ring && !node.drained; }

std::string ShownName(const NodeStatus& node) {
  return node.name.empty() ? node.address : node.name;
}

// A mean over the nodes, and who has most.
struct Mean {
  double sum = 0;
  std::size_t nodes = 0;
  double most = -1;
  std::string busiest;

  void Add(double value, const NodeStatus& node) {
    sum += value;
    ++nodes;
    if (value <= most) return;
    most = value;
    busiest = ShownName(node);
  }
  double value() const { return nodes == 0 ? 0 : sum / static_cast<double>(nodes); }
};

// The ring at one moment, and what each signal makes of it.
class Sample {
 public:
  Sample(const ScalingOptions& options, const ClusterStatus& status)
      : options_(options), replicas_(std::max<std::size_t>(status.replicas, 1)) {
    for (const NodeStatus& node : status.nodes) {
      if (IsMember(node)) Add(node);
    }
  }

  std::size_t nodes() const { return nodes_; }

  void Judge(Advice& advice) const {
    advice.nodes = nodes_;
    advice.reads_per_second = reads_;
    if (nodes_ == 0) return;
    const auto at = [&advice](Signal signal) -> SignalAdvice& {
      return advice.signals[static_cast<std::size_t>(signal)];
    };
    at(Signal::kMemory) = OfMemory();
    at(Signal::kBusy) = OfLoad(busy_, "loops are busy", "");
    at(Signal::kNetwork) = OfLoad(network_, "links are full",
                                  "unknown, no speed of the link is known: see --network-limit");
    // What nobody can know does not keep a ring large for ever.
    if (!at(Signal::kNetwork).known) at(Signal::kNetwork).allows_in = true;
    if (HitsKnown()) {
      advice.gain = Gained(nodes_ + 1);
      if (nodes_ > 1) advice.loss = Gained(nodes_ - 1);
    }
    for (std::size_t n = nodes_ > 1 ? nodes_ - 1 : 1; n <= nodes_ + 2; ++n) {
      advice.forecasts.push_back(Foresee(n));
    }
  }

 private:
  void Add(const NodeStatus& node) {
    ++nodes_;
    const NodeLoad& load = node.load;
    if (load.busy_ratio) busy_.Add(*load.busy_ratio, node);
    if (load.network_bytes_per_second && load.network_limit.value_or(0) > 0) {
      network_.Add(*load.network_bytes_per_second / *load.network_limit, node);
    }
    used_ += node.memory_used.value_or(0);
    limit_ += node.memory_limit.value_or(0);
    evictions_ += load.evictions_per_second.value_or(0);
    const double reads = node.reads_per_second.value_or(0);
    reads_ += reads;
    hits_ += reads * node.hit_ratio.value_or(0);
    sampled_ += load.hits.sampled;
    curves_.push_back({reads, &load.hits});
  }

  // Memory for what a node serves, with `nodes`, in terms of now. While there are fewer nodes than
  // copies, each node more makes a copy more, and may make no room: copies that nobody reads give way
  // first, so this is the least. Likewise it is the least with fewer.
  double FactorOf(std::size_t nodes) const {
    if (nodes < nodes_) return static_cast<double>(nodes) / static_cast<double>(nodes_);
    const auto share = [this](std::size_t count) {
      return static_cast<double>(count) / static_cast<double>(std::min(replicas_, count));
    };
    return share(nodes) / share(nodes_);
  }

  bool HitsKnown() const { return reads_ > 0 && sampled_ >= ScalingAdvisor::kSampledReadsMin; }

  // Hit ratio, of all reads.
  double Gained(std::size_t nodes) const {
    const double factor = FactorOf(nodes);
    double gained = 0;
    for (const Curve& curve : curves_) gained += curve.reads * curve.hits->GainedAt(factor);
    return std::clamp(gained / reads_, -1.0, 1.0);
  }

  // With `nodes`, in what they have.
  double MemoryUse(std::size_t nodes) const {
    return limit_ <= 0 ? 0 : used_ / limit_ / FactorOf(nodes);
  }

  SignalAdvice OfMemory() const {
    SignalAdvice advice;
    advice.nodes = nodes_;
    const bool fits = nodes_ > 1 && MemoryUse(nodes_ - 1) <= ScalingAdvisor::kFullAt;
    if (!HitsKnown()) {
      // What is not read cannot be missed, but it may be all that somebody wrote.
      advice.known = limit_ > 0 && evictions_ <= 0;
      advice.allows_in = fits;
      advice.text =
          Percent(MemoryUse(nodes_)) + " used, too few reads to tell what more would gain";
      return advice;
    }
    advice.known = true;
    const double gain = Gained(nodes_ + 1);
    advice.value = gain;
    const double least = options_.out_hits / static_cast<double>(nodes_);
    if (evictions_ > 0) {
      double before = 0;
      while (advice.nodes < nodes_ * ScalingAdvisor::kGrowthMax) {
        const double more = Gained(advice.nodes + 1);
        if (more - before < options_.out_hits / static_cast<double>(advice.nodes)) break;
        before = more;
        ++advice.nodes;
      }
    }
    advice.text = Percent(MemoryUse(nodes_)) + " used; a node more would gain " + Points(gain) +
                  " points of hit ratio, " + Points(least) + " are worth one";
    if (nodes_ == 1) return advice;
    const double loss = std::max(0.0, -Gained(nodes_ - 1));
    const double most = options_.in_hits / static_cast<double>(nodes_);
    advice.text += "; one fewer would lose " + Points(loss) + ", " + Points(most) + " at most";
    advice.allows_in = loss <= most;
    return advice;
  }

  // Busy time or network. `otherwise`: what to say where nothing is known; empty: who does not tell.
  SignalAdvice OfLoad(const Mean& mean, const char* what, const char* otherwise) const {
    SignalAdvice advice;
    advice.nodes = nodes_;
    advice.known = mean.nodes == nodes_;
    if (!advice.known) {
      advice.text =
          *otherwise != 0 ? otherwise : "unknown: " + Nodes(nodes_ - mean.nodes) + " did not tell";
      return advice;
    }
    const double load = mean.value();
    const auto count = static_cast<double>(nodes_);
    advice.value = load;
    if (load > options_.out_load) {
      const double wanted = std::ceil(count * load / std::max(options_.out_load, 0.01));
      const auto most = count * static_cast<double>(ScalingAdvisor::kGrowthMax);
      advice.nodes = static_cast<std::size_t>(std::min(wanted, most));
    }
    advice.text = std::string(what) + " " + Percent(load);
    if (nodes_ > 1) advice.text += " on average (" + mean.busiest + " " + Percent(mean.most) + ")";
    advice.text += ", more nodes above " + Percent(options_.out_load);
    if (nodes_ == 1) return advice;
    const double after = load * count / (count - 1);
    advice.allows_in = after <= options_.in_load;
    advice.text +=
        "; one fewer makes it " + Percent(after) + ", " + Percent(options_.in_load) + " at most";
    return advice;
  }

  Forecast Foresee(std::size_t nodes) const {
    Forecast forecast;
    forecast.nodes = nodes;
    const double load = static_cast<double>(nodes_) / static_cast<double>(nodes);
    if (HitsKnown()) forecast.hit_ratio = std::clamp(hits_ / reads_ + Gained(nodes), 0.0, 1.0);
    if (busy_.nodes == nodes_) forecast.busy_ratio = busy_.value() * load;
    if (network_.nodes == nodes_) forecast.network_ratio = network_.value() * load;
    if (limit_ > 0) forecast.memory_ratio = std::min(1.0, MemoryUse(nodes));
    return forecast;
  }

  struct Curve {
    double reads;
    const HitCurve* hits;  // of the status, which outlives this
  };

  const ScalingOptions& options_;
  const std::size_t replicas_;
  std::size_t nodes_ = 0;
  Mean busy_;
  Mean network_;
  double used_ = 0;
  double limit_ = 0;
  double evictions_ = 0;
  double reads_ = 0;  // a second
  double hits_ = 0;
  double sampled_ = 0;
  std::vector<Curve> curves_;
};

void Say(Advice& advice, Obstacle obstacle, std::string text,
         std::optional<double> seconds_left = std::nullopt) {
  advice.against.push_back({obstacle, std::move(text), seconds_left});
}

// What must be over before anything can be judged.
void FindUnsettled(const ClusterStatus& status, Advice& advice) {
  bool moving = status.under_replicated > 0;
  std::string who;
  for (const NodeStatus& node : status.nodes) {
    const std::string name = ShownName(node);
    const bool leaves = node.drained && node.complete > 0;
    const bool joins = node.serves() && !node.on_ring && !node.drained;
    if (leaves || joins || (node.serves() && node.filled_percent)) {
      moving = true;
      who += (who.empty() ? " (" : ", ") + name;
    }
    if (!IsMember(node)) continue;
    if (node.state == "suspect") {
      Say(advice, Obstacle::kSuspect, name + " does not answer its peers");
    } else if (!node.serves()) {
      Say(advice, Obstacle::kDead,
          name + " is " + node.state + ": start it, or gyre remove " + name);
    } else if (!node.answered) {
      Say(advice, Obstacle::kSilent,
          name + " does not tell its load" + (node.error.empty() ? "" : ": " + node.error));
    }
  }
  if (status.unowned > 0) {
    Say(advice, Obstacle::kUnowned, std::to_string(status.unowned) + " partitions have no owner");
  }
  if (!moving) return;
  std::string text = "data is moving, or copies are being made" + who + (who.empty() ? "" : ")");
  if (status.moves_paused) text += "; moves are paused: gyre rebalance resume";
  Say(advice, Obstacle::kMoving, text, status.whole_in_seconds);
}

// What the signals ask for together.
std::size_t WantedOf(const Advice& advice, std::size_t copies) {
  std::size_t most = advice.nodes;
  bool all_allow_in = true;
  for (const SignalAdvice& signal : advice.signals) {
    most = std::max(most, signal.nodes);
    all_allow_in = all_allow_in && signal.allows_in;
  }
  if (most > advice.nodes || !all_allow_in) return most;
  return advice.nodes > copies && advice.nodes > 1 ? advice.nodes - 1 : advice.nodes;
}

}  // namespace

Advice ScalingAdvisor::Observe(TimePoint now, const ClusterStatus& status) {
  NoteRing(now, status);
  Advice advice;
  advice.cluster = status.cluster;
  const Sample sample(options_, status);
  sample.Judge(advice);
  advice.wanted = advice.advised = advice.nodes;
  FindUnsettled(status, advice);
  if (advice.nodes == 0) Say(advice, Obstacle::kNoRing, "there is no ring yet");
  const bool settled = advice.against.empty();
  const auto copies = std::max<std::size_t>(status.replicas, 1);
  if (settled) advice.wanted = WantedOf(advice, copies);
  Remember(now, advice.wanted);
  if (settled) Decide(now, advice);
  const bool all_allow_in = std::all_of(advice.signals.begin(), advice.signals.end(),
                                        [](const SignalAdvice& each) { return each.allows_in; });
  if (settled && all_allow_in && advice.nodes > 1 && advice.nodes <= copies) {
    Say(advice, Obstacle::kCopies,
        "one node fewer would be fewer than the " + std::to_string(copies) + " copies");
  }
  return advice;
}

// Who is on the ring. Another ring begins anew: what the old one asked for does not count.
void ScalingAdvisor::NoteRing(TimePoint now, const ClusterStatus& status) {
  std::vector<std::string> ring;
  for (const NodeStatus& node : status.nodes) {
    if (IsMember(node)) ring.push_back(node.id);
  }
  std::sort(ring.begin(), ring.end());
  if (!observed_ || ring != ring_) {
    ring_ = std::move(ring);
    changed_at_ = now;
    history_.clear();
  } else if (now - observed_at_ > kGapMax) {
    history_.clear();
  }
  observed_ = true;
  observed_at_ = now;
}

void ScalingAdvisor::Remember(TimePoint now, std::size_t wanted) {
  if (history_.empty() || history_.back().nodes != wanted) history_.push_back({now, wanted});
  // The one that was in force when the longer window began stays.
  const TimePoint begin = now - std::max(options_.out_window, options_.in_window);
  while (history_.size() > 1 && history_[1].since <= begin) history_.pop_front();
  if (history_.size() > kHistoryMax) history_.pop_front();
}

std::optional<std::size_t> ScalingAdvisor::Over(TimePoint now, ScalingOptions::Duration window,
                                                bool least) const {
  const TimePoint begin = now - window;
  if (history_.empty() || history_.front().since > begin) return std::nullopt;
  std::size_t found = history_.back().nodes;
  for (auto at = history_.rbegin(); at != history_.rend(); ++at) {
    found = least ? std::min(found, at->nodes) : std::max(found, at->nodes);
    if (at->since <= begin) break;
  }
  return found;
}

void ScalingAdvisor::Decide(TimePoint now, Advice& advice) const {
  if (advice.wanted == advice.nodes) return;
  const bool out = advice.wanted > advice.nodes;
  if (const auto since = now - changed_at_; since < options_.cooldown) {
    const double left = Seconds(options_.cooldown - since);
    Say(advice, Obstacle::kCooldown,
        "cooldown after the last change of the ring: " + HumanDuration(std::ceil(left)), left);
  }
  const ScalingOptions::Duration window = out ? options_.out_window : options_.in_window;
  const std::optional<std::size_t> stood = Over(now, window, out);
  if (!stood || (out ? *stood <= advice.nodes : *stood >= advice.nodes)) {
    Say(advice, Obstacle::kStabilizing,
        Nodes(advice.wanted) + " must be asked for during " + HumanDuration(Seconds(window)));
  }
  if (!advice.against.empty()) return;
  advice.advised = *stood;
  advice.direction = out ? Direction::kOut : Direction::kIn;
}

// ---- JSON --------------------------------------------------------------------------------------

namespace {

Json RoundedOrNull(const std::optional<double>& number) {
  return number ? Json(std::round(*number * 1e5) / 1e5) : Json();
}

}  // namespace

Json ToJson(const Advice& advice) {
  Json signals = Json::object();
  for (std::size_t i = 0; i < advice.signals.size(); ++i) {
    const SignalAdvice& signal = advice.signals[i];
    signals[kSignalNames[i]] = {{"known", signal.known},
                                {"value", RoundedOrNull(signal.value)},
                                {"nodes", signal.nodes},
                                {"allows_in", signal.allows_in},
                                {"text", signal.text}};
  }
  Json against = Json::array();
  for (const Against& each : advice.against) {
    against.push_back({{"code", kObstacleNames[static_cast<std::size_t>(each.obstacle)]},
                       {"text", each.text},
                       {"seconds_left", RoundedOrNull(each.seconds_left)}});
  }
  Json forecasts = Json::array();
  for (const Forecast& each : advice.forecasts) {
    forecasts.push_back({{"nodes", each.nodes},
                         {"hit_ratio", RoundedOrNull(each.hit_ratio)},
                         {"busy_ratio", RoundedOrNull(each.busy_ratio)},
                         {"network_ratio", RoundedOrNull(each.network_ratio)},
                         {"memory_ratio", RoundedOrNull(each.memory_ratio)}});
  }
  return {{"cluster", advice.cluster},
          {"direction", kDirectionNames[static_cast<std::size_t>(advice.direction)]},
          {"nodes", advice.nodes},
          {"advised_nodes", advice.advised},
          {"wanted_nodes", advice.wanted},
          {"reads_per_second", std::round(advice.reads_per_second)},
          {"marginal_hit_ratio",
           {{"+1", RoundedOrNull(advice.gain)}, {"-1", RoundedOrNull(advice.loss)}}},
          {"signals", std::move(signals)},
          {"against", std::move(against)},
          {"forecasts", std::move(forecasts)}};
}

}  // namespace gyre
