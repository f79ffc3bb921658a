// A Transport that goes round a link that does not carry, through a third node.
//
//   self ----- direct --X--> to      a cable cut, a firewall that drops one way, between two nodes
//     \                     ^         that both reach a third
//      +-----> relay --------+
//
// SWIM's indirect probes go round such a link, so both ends are rightly alive for everybody;
// without this, the writes that one of them replicates to the other would never be acknowledged,
// and no ownership would move.
//
// A link counts as broken once calls are outstanding on it and nothing was heard from the other end
// for kSilence, or no connection can be made. Then
//   - the peer requests on it end as kTimeout at once: all of them may be repeated, and whoever
//     asked does so; a forwarded command keeps its deadline, since only its sender knows what it
//     may do;
//   - new calls travel inside a Relay request to another serving member, which calls directly: one
//     hop, never two. Relays are taken in turn; one that does not get through is passed over next
//     time;
//   - after a pause that doubles up to kProbeMax the link itself is tried with an empty request,
//     and used again as soon as that is answered;
//   - membership is told, which probes the node out of turn: most silent links end at a node that
//     is cut off or stopped, and the sooner it is suspected, the sooner another takes over.
// A process that is gone breaks its links as well, but then it is dead to membership within
// milliseconds, and nothing is relayed to who does not serve.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/statistic.h"
#include "base/tally.h"
#include "cluster/transport.h"
#include "cluster/view.h"

namespace gyre {

struct RelayStats {
  std::uint64_t links_relayed = 0;
  std::uint64_t breaks = 0;
  std::uint64_t calls = 0;

  static constexpr Statistic<RelayStats> kStatistics[] = {
      {&RelayStats::links_relayed,
       {.kind = StatKind::kGauge,
        .name = "gyre_links_relayed",
        .help = "Links to other nodes that are silent now, counted once a loop: calls to them go "
                "through a third node until the link carries again."}},
      {&RelayStats::breaks,
       {.name = "gyre_link_breaks_total", .help = "Links to other nodes that fell silent."}},
      {&RelayStats::calls,
       {.name = "gyre_relayed_calls_total", .help = "Calls to other nodes sent through a third."}},
  };
};
static_assert(AllDescribed<RelayStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class RelayTransport final : public Transport {
 public:
  // Longer than a busy loop pauses, shorter than anybody's patience.
  static constexpr Duration kSilence = std::chrono::milliseconds(600);
  static constexpr Duration kProbeMin = std::chrono::milliseconds(500);
  static constexpr Duration kProbeMax = std::chrono::seconds(4);
  static constexpr Duration kProbeDeadline = std::chrono::seconds(1);

  // One loop, that of `direct`, whose callbacks may come after this is gone; both outlive it.
  // `on_broken`: the link to a node does not carry; from within a call or a timer of this loop.
  RelayTransport(NodeId self, Transport& direct, ViewPublisher& views,
                 std::function<TimePoint()> clock, std::function<void(const NodeId&)> on_broken);
  ~RelayTransport() override;

  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override;
  void After(Duration delay, std::function<void()> done) override {
    direct_.After(delay, std::move(done));
  }

  // Any thread.
  RelayStats stats() const { return counters_.Read(); }

 private:
  struct Outstanding {
    TimePoint sent{};
    bool repeatable = false;
    Done done;
  };
  struct Peer {
    std::map<std::uint64_t, Outstanding> calls;  // direct ones, oldest first
    TimePoint heard{};
    bool broken = false;
    bool probing = false;
    TimePoint probe_at{};
    Duration pause{};
  };

  void CallDirect(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                  Done done);
  void CallThrough(const NodeId& relay, const NodeId& to, FrameType type,
                   const std::string& payload, Duration deadline, Done done);
  void OnDirect(const NodeId& to, std::uint64_t call, Result<std::string_view> reply);
  void MarkBroken(const NodeId& to, Peer& peer);
  void MarkWhole(Peer& peer);
  void Probe(const NodeId& to, Peer& peer);
  void EnsureTick();
  void Tick();
  void NoteView();
  // Null: nobody can relay now, or `to` does not serve.
  const NodeId* RelayFor(const NodeId& to);

  const NodeId self_;
  Transport& direct_;
  ViewPublisher& views_;
  const std::function<TimePoint()> clock_;
  const std::function<void(const NodeId&)> on_broken_;
  std::uint64_t view_revision_ = 0;
  ClusterViewPtr view_;
  std::unordered_map<NodeId, Peer> peers_;
  std::uint64_t next_call_ = 1;
  std::size_t next_relay_ = 0;
  bool ticking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  Tally<RelayStats> counters_;
};

}  // namespace gyre
