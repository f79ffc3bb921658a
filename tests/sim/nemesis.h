// Composes faults from a seed. A round begins and ends with a cluster that is whole: under load one
// fault happens (some are two things at once) on top of a noisy network and clocks that disagree;
// then all is put right, the cluster must converge by itself, and everything is read through every
// node.
//
// One fault a round, because two copies survive one: a second death before the first is evened out
// may take the last copy of an acknowledged write, which nobody promises to survive.
#pragma once

#include <string>
#include <vector>

#include "sim/sim_cluster.h"

namespace gyre::sim {

enum class Fault : std::uint8_t {
  kCrash,          // kill -9; comes back with nothing, at once or after seconds
  kStop,           // SIGTERM, and back
  kTwoStops,       // at once, and back
  kRolling,        // all nodes stopped and started one after the other, each once the last is ready
  kStopAll,        // all at once, and back; with snapshots only
  kDrain,          // off the ring, process ended, started again, and undrained
  kJoin,           // of a new node
  kTwoJoins,       // at about the same time
  kJoinAndDeath,   // of an old node
  kJoinCancelled,  // the joining node dies half-way, and joins again or is taken off the ring
  kDrainAndDeath,  // of another node or of the same, half-way
  kEviction,       // a dead node is taken off the ring, and comes back
  kClockJump,      // of the wall clock, up to an hour back or forth; with a crash
  kPause,          // SIGSTOP
  kIsolation,      // a node is cut off
  kSplit,          // two parts
  kBrokenLink,     // between two nodes
  kOneWay,         // a node hears and is not heard, or the reverse; or so for one link
};
const char* NameOf(Fault fault);

// Faults of nodes, of clocks, of sleepers, of the network.
const std::vector<Fault>& NodeFaults();
const std::vector<Fault>& PauseFaults();
const std::vector<Fault>& PartitionFaults();

struct NemesisOptions {
  std::vector<Fault> faults;  // of which each round has one
  LoadOptions load;
  bool noise = true;  // lost, doubled and late datagrams; broken links
  // Clocks differ by up to half a second and drift.
  bool clocks = true;
};

class Nemesis {
 public:
  Nemesis(SimCluster& cluster, NemesisOptions options);

  // False: the history has violations.
  bool Round();
  // What happened so far.
  const std::string& story() const { return story_; }

 private:
  void Do(Fault fault);
  void Crash();
  void StayDown();
  void Stop();
  void TwoStops();
  void Rolling();
  void StopAll();
  std::vector<NodeIndex> Live() const;
  void StopNodes(const std::vector<NodeIndex>& nodes);
  void Drain();
  void Join();
  void JoinCancelled();
  void DrainAndDeath();
  void Evict();
  void JumpClock();
  void Pause();
  void Partition(Fault fault);
  void MakeNoise(bool noisy);
  void Restore();

  std::uint64_t Below(std::uint64_t bound) { return cluster_.world().random().Below(bound); }
  // Runs for a random time up to `most`, short ones as likely as long ones.
  void Wait(Duration most);
  std::size_t RingSize();  // as one of the nodes sees it
  NodeIndex AnyLive();
  NodeIndex AnyOther(NodeIndex than);
  NodeIndex AnyNew();  // kNobody: all are there
  void Kill(NodeIndex node);
  void Start(NodeIndex node);
  void Tell(const std::string& what);

  SimCluster& cluster_;
  const NemesisOptions options_;
  std::string story_;
  int round_ = 0;
};

}  // namespace gyre::sim
