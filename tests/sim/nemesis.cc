#include "sim/nemesis.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace gyre::sim {
namespace {

// A death is known after 4 s at most, and evened out soon after.
constexpr Duration kDowntimeMax = seconds(8);
constexpr Duration kRestartMax = milliseconds(20);
constexpr Duration kConvergeMax = seconds(60);
constexpr Duration kRejoined = seconds(4);  // who starts is on the ring, if it may
constexpr Duration kHealed = seconds(5);    // from then on nothing stale is read
// With three copies and two deaths at once, one is left.
constexpr std::size_t kRingLeast = 3;
constexpr std::int64_t kClockOffsetMs = 500;
constexpr std::int64_t kClockDriftPpm = 200;
constexpr std::int64_t kClockJumpMs = 3'600'000;

std::string Name(NodeIndex node) { return "n" + std::to_string(node); }

}  // namespace

const char* NameOf(Fault fault) {
  static constexpr const char* kNames[] = {
      "crash",      "stop",      "two stops",      "rolling restart", "stop of all",     "drain",
      "join",       "two joins", "join and death", "join cancelled",  "drain and death", "eviction",
      "clock jump", "pause",     "isolation",      "split",           "broken link",     "one way"};
  return kNames[static_cast<std::size_t>(fault)];
}

const std::vector<Fault>& NodeFaults() {
  static const std::vector<Fault> kTroubles = {
      Fault::kCrash,        Fault::kStop,          Fault::kTwoStops,      Fault::kRolling,
      Fault::kStopAll,      Fault::kDrain,         Fault::kJoin,          Fault::kTwoJoins,
      Fault::kJoinAndDeath, Fault::kJoinCancelled, Fault::kDrainAndDeath, Fault::kEviction,
      Fault::kClockJump};
  return kTroubles;
}

const std::vector<Fault>& PauseFaults() {
  static const std::vector<Fault> kTroubles = {Fault::kPause};
  return kTroubles;
}

const std::vector<Fault>& PartitionFaults() {
  static const std::vector<Fault> kTroubles = {Fault::kIsolation, Fault::kSplit, Fault::kBrokenLink,
                                               Fault::kOneWay};
  return kTroubles;
}

Nemesis::Nemesis(SimCluster& cluster, NemesisOptions options)
    : cluster_(cluster), options_(std::move(options)) {
  if (!options_.clocks) return;
  World& world = cluster_.world();
  for (NodeIndex node = 0; node < world.size(); ++node) {
    world.JumpClock(node, static_cast<std::int64_t>(Below(2 * kClockOffsetMs)) - kClockOffsetMs);
    world.SetClockDrift(node,
                        static_cast<std::int64_t>(Below(2 * kClockDriftPpm)) - kClockDriftPpm);
  }
}

bool Nemesis::Round() {
  const Fault fault = options_.faults[Below(options_.faults.size())];
  const bool asleep = fault >= Fault::kPause;
  static constexpr Fault kNobodyDies[] = {Fault::kStop,    Fault::kTwoStops, Fault::kRolling,
                                          Fault::kStopAll, Fault::kDrain,    Fault::kJoin,
                                          Fault::kTwoJoins};
  const bool dies =
      std::find(std::begin(kNobodyDies), std::end(kNobodyDies), fault) == std::end(kNobodyDies);
  story_ += "round " + std::to_string(++round_) + ", " + NameOf(fault) + ":";
  const bool noisy = options_.noise && Below(2) == 0;
  // Who is cut off or asleep may answer reads with what it has until it hears of it; and so may a
  // copy that stands in for a suspect, where fewer copies than all acknowledge a write.
  const ClusterOptions& options = cluster_.options();
  const bool majority = options.membership.majority;
  const bool all_acknowledge = options.write_acks >= options.replicas;
  cluster_.JudgeReads(majority || (!asleep && all_acknowledge));
  cluster_.JudgeOwners(majority || (!dies && !noisy));
  MakeNoise(noisy);
  if (noisy) cluster_.BeginCut();  // who is not heard of may be taken for dead
  cluster_.BeginLoad(options_.load);
  Wait(seconds(1));
  if (dies) cluster_.BeginCut();
  // What was written just before the fault is often overwritten before it is judged: not always.
  if (dies && Below(3) == 0) cluster_.RestLoad(milliseconds(static_cast<int>(Below(60))));
  Do(fault);
  Restore();
  cluster_.EndCut();
  if (!cluster_.history().violations().empty()) return false;
  cluster_.ReadAll("after " + story_);
  story_ += " ";
  return cluster_.history().violations().empty();
}

void Nemesis::Do(Fault fault) {
  switch (fault) {
    case Fault::kCrash:
      return Crash();
    case Fault::kStop:
      return Stop();
    case Fault::kTwoStops:
      return TwoStops();
    case Fault::kRolling:
      return Rolling();
    case Fault::kStopAll:
      return StopAll();
    case Fault::kDrain:
      return Drain();
    case Fault::kTwoJoins:
      Join();
      Wait(milliseconds(200));
      return Join();
    case Fault::kJoin:
      return Join();
    case Fault::kJoinAndDeath: {
      const NodeIndex victim = AnyLive();
      Join();
      Wait(milliseconds(500));
      Kill(victim);
      StayDown();
      return Start(victim);
    }
    case Fault::kJoinCancelled:
      return JoinCancelled();
    case Fault::kDrainAndDeath:
      return DrainAndDeath();
    case Fault::kEviction:
      return Evict();
    case Fault::kClockJump:
      return JumpClock();
    case Fault::kPause:
      return Pause();
    default:
      return Partition(fault);
  }
}

// ---- Faults -----------------------------------------------------------------------------------

// Often so short that nobody noticed, or that news of the death come after the new life's.
void Nemesis::StayDown() { Wait(Below(3) == 0 ? kRestartMax : kDowntimeMax); }

void Nemesis::Crash() {
  const NodeIndex victim = AnyLive();
  Kill(victim);
  StayDown();
  if (Below(4) == 0) cluster_.ForgetIncarnation(victim);
  Start(victim);
}

void Nemesis::Stop() {
  const NodeIndex victim = AnyLive();
  StopNodes({victim});
  StayDown();
  Start(victim);
}

void Nemesis::StopNodes(const std::vector<NodeIndex>& nodes) {
  for (const NodeIndex node : nodes) Tell("stop " + Name(node));
  if (!cluster_.Stop(nodes)) {
    cluster_.history().Violate(history::Fault::kOther, "", "a stop takes too long: " + story_);
  }
}

void Nemesis::TwoStops() {
  const NodeIndex one = AnyLive();
  const NodeIndex other = AnyOther(one);
  StopNodes({one, other});
  StayDown();
  Start(other);
  StayDown();
  Start(one);
}

void Nemesis::Rolling() {
  for (const NodeIndex node : Live()) {
    StopNodes({node});
    Start(node);
    if (cluster_.world().RunUntil([&] { return cluster_.Ready(node); }, seconds(60))) continue;
    cluster_.history().Violate(history::Fault::kOther, "",
                               Name(node) + " does not get ready: " + story_);
  }
}

void Nemesis::StopAll() {
  if (!cluster_.options().snapshots) return Rolling();
  const std::vector<NodeIndex> nodes = Live();
  StopNodes(nodes);
  // Once most of the ring is back, it goes on without the rest, and what only those have reads as
  // missing until they come. So from then on nobody takes long.
  for (std::size_t started = 0; started < nodes.size(); ++started) {
    if (started <= nodes.size() / 2) StayDown();
    Start(nodes[started]);
  }
}

void Nemesis::Drain() {
  const NodeIndex leaver = AnyLive();
  const NodeIndex via = AnyLive();
  Tell("drain " + Name(leaver) + " via " + Name(via));
  if (!cluster_.Drain(leaver, via)) {
    cluster_.history().Violate(history::Fault::kOther, "",
                               Name(leaver) + " does not get empty: " + story_);
  }
  Wait(seconds(2));
  Kill(leaver);
  StayDown();
  Start(leaver);
  cluster_.world().Run(kRejoined);
  if (cluster_.IsDrained(leaver, AnyLive())) return;
  cluster_.history().Violate(history::Fault::kOther, "",
                             Name(leaver) + " does not stay off the ring: " + story_);
}

void Nemesis::Join() {
  const NodeIndex fresh = AnyNew();
  if (fresh != kNobody) Start(fresh);
}

void Nemesis::JoinCancelled() {
  const NodeIndex fresh = AnyNew();
  if (fresh == kNobody) return Crash();
  Start(fresh);
  Wait(milliseconds(800));
  Kill(fresh);
  StayDown();
  if (Below(2) == 0) return Start(fresh);
  Tell("remove " + Name(fresh));
  cluster_.Remove(fresh, AnyLive());
}

// The drained node is off the ring until the end of the round: where that would leave a ring whose
// death of one node is that of all copies, it is not done.
void Nemesis::DrainAndDeath() {
  if (RingSize() <= kRingLeast) return Crash();
  const NodeIndex leaver = AnyLive();
  const NodeIndex via = AnyOther(leaver);
  const NodeIndex victim = Below(3) == 0 ? leaver : AnyOther(leaver);
  Tell("drain " + Name(leaver) + " via " + Name(via));
  cluster_.node(via).coordinator().Drain(IdOf(leaver), [](const Status&) {});
  Wait(milliseconds(500));
  Kill(victim);
  StayDown();
  Start(victim);
}

void Nemesis::Evict() {
  const NodeIndex victim = AnyLive();
  Kill(victim);
  StayDown();
  const NodeIndex via = AnyLive();
  Tell("remove " + Name(victim) + " via " + Name(via));
  cluster_.Remove(victim, via);  // refused where the death is not known yet
  Wait(seconds(3));
  Start(victim);
}

void Nemesis::JumpClock() {
  const NodeIndex node = AnyLive();
  const auto ms = static_cast<std::int64_t>(Below(2 * kClockJumpMs)) - kClockJumpMs;
  Tell("clock of " + Name(node) + " jumps by " + std::to_string(ms) + " ms");
  cluster_.world().JumpClock(node, ms);
  Wait(seconds(2));
  Crash();
}

void Nemesis::Pause() {
  const NodeIndex node = AnyLive();
  const auto span = milliseconds(100 + static_cast<std::int64_t>(Below(9000)));
  Tell("pause " + Name(node) + " for " + std::to_string(span.count()) + " ms");
  cluster_.world().Pause(node, span);
  cluster_.world().Run(span);
  Wait(seconds(2));
}

void Nemesis::Partition(Fault fault) {
  World& world = cluster_.world();
  const NodeIndex node = AnyLive();
  const NodeIndex other = AnyOther(node);
  Tell("cut " + Name(node));
  if (fault == Fault::kIsolation) world.Isolate(node);
  if (fault == Fault::kBrokenLink) {
    Tell("and " + Name(other));
    world.CutBoth(node, other);
  }
  if (fault == Fault::kOneWay) {
    const bool deaf = Below(2) == 0;
    const bool all = Below(2) == 0;
    Tell(std::string(deaf ? "from" : "to") + (all ? " all" : " " + Name(other)));
    for (NodeIndex each = 0; each < world.size(); ++each) {
      if (each == node || (!all && each != other)) continue;
      deaf ? world.Cut(each, node) : world.Cut(node, each);
    }
  }
  if (fault == Fault::kSplit) {
    const std::uint64_t side = Below(std::uint64_t{1} << world.size());
    Tell("sides " + std::to_string(side));
    for (NodeIndex a = 0; a < world.size(); ++a) {
      for (NodeIndex b = 0; b < a; ++b) {
        if (((side >> a) & 1) != ((side >> b) & 1)) world.CutBoth(a, b);
      }
    }
  }
  Wait(kDowntimeMax + seconds(2));
}

// ---- Around them ------------------------------------------------------------------------------

void Nemesis::MakeNoise(bool noisy) {
  NetworkOptions& network = cluster_.world().network();
  network = {};
  if (!noisy) return;
  Tell("noise");
  network.datagram_loss = 0.01 * static_cast<double>(Below(6));
  network.datagram_twice = 0.05;
  network.datagram_slow = 0.05;
  network.link_break = 0.002 * static_cast<double>(Below(4));
  if (Below(4) == 0) network.delay_max = milliseconds(20);
}

void Nemesis::Restore() {
  cluster_.world().Heal();
  MakeNoise(false);
  Wait(seconds(1));
  cluster_.UndrainAll();
  cluster_.EndLoad();
  bool whole = cluster_.Converge(kConvergeMax);
  // A drain that was still under way, and was told to the others only now.
  if (cluster_.UndrainAll()) whole = cluster_.Converge(kConvergeMax) && whole;
  if (!whole) {
    cluster_.history().Violate(
        history::Fault::kOther, "",
        "it does not converge after " + story_ + ": " + cluster_.NotConverged());
  }
  cluster_.world().Run(kHealed);
}

void Nemesis::Wait(Duration most) {
  const auto span = static_cast<std::uint64_t>(most.count());
  cluster_.world().Run(Duration(static_cast<std::int64_t>(Below(span >> Below(5)))));
}

std::size_t Nemesis::RingSize() {
  const ClusterViewPtr view = cluster_.node(AnyLive()).view();
  return static_cast<std::size_t>(std::count(view->on_ring.begin(), view->on_ring.end(), true));
}

std::vector<NodeIndex> Nemesis::Live() const {
  std::vector<NodeIndex> live;
  for (NodeIndex node = 0; node < cluster_.world().size(); ++node) {
    if (cluster_.alive(node)) live.push_back(node);
  }
  return live;
}

NodeIndex Nemesis::AnyLive() { return AnyOther(kNobody); }

NodeIndex Nemesis::AnyOther(NodeIndex than) {
  for (;;) {
    const auto node = static_cast<NodeIndex>(Below(cluster_.world().size()));
    if (node != than && cluster_.alive(node)) return node;
  }
}

NodeIndex Nemesis::AnyNew() {
  for (NodeIndex node = 0; node < cluster_.world().size(); ++node) {
    if (!cluster_.alive(node)) return node;
  }
  return kNobody;
}

void Nemesis::Kill(NodeIndex node) {
  Tell("kill " + Name(node));
  cluster_.Kill(node);
}

void Nemesis::Start(NodeIndex node) {
  Tell("start " + Name(node));
  cluster_.Start(node);
}

void Nemesis::Tell(const std::string& what) {
  const auto ms = cluster_.world().unix_now() % 1'000'000;
  story_ += " " + what + " at " + std::to_string(ms) + ",";
  LogDebug("nemesis", {{"at_ms", ms}, {"does", what}});
}

}  // namespace gyre::sim
