// Answers what other nodes ask of this one. One for each worker loop, on its thread.
//
// The data messages (replicate in both forms, pull, digests, versions, fetch, compare and what follows it) act on
// the engine here, under the shards' locks; the others decide something and go to the control
// thread through `ControlPort`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/statistic.h"
#include "base/tally.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "membership/signer.h"
#include "peer/pull_codec.h"
#include "repair/difference_service.h"
#include "repair/load_gauge.h"
#include "replication/group_receiver.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

// The way to the control thread.
class ControlPort {
 public:
  // The encoded PeerReply.
  using Done = std::function<void(std::string)>;

  virtual ~ControlPort() = default;
  // Passes an encoded PeerRequest on; `done` comes back on the caller's loop, later or from within
  // the call.
  virtual void Handle(std::string payload, Done done) = 0;
};

struct PeerServiceStats {
  std::uint64_t requests_malformed = 0;
  std::uint64_t requests_strange = 0;
  std::uint64_t versions_refused = 0;

  static constexpr Statistic<PeerServiceStats> kStatistics[] = {
      {&PeerServiceStats::requests_malformed,
       {.name = "gyre_peer_requests_malformed_total",
        .help = "Requests of other nodes that made no sense."}},
      {&PeerServiceStats::requests_strange,
       {.name = "gyre_peer_requests_strange_total",
        .help = "Requests between nodes refused: who asked had not proven to be a member."}},
      {&PeerServiceStats::versions_refused,
       {.name = "gyre_peer_versions_refused_total",
        .help = "Records of other nodes refused because their versions are more than a week ahead "
                "of this node's clock: set the clocks."}},
  };
};
static_assert(AllDescribed<PeerServiceStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class PeerService {
 public:
  using Reply = std::function<void(std::string)>;
  using WallClock = std::function<UnixMillis()>;

  // All of them outlive the service. No `load`: pulls are not measured.
  PeerService(Engine& engine, ReplicationTable& table, ViewPublisher& views, ControlPort& control,
              WallClock wall_clock = UnixNow, LoadGauge* load = nullptr);
  ~PeerService();

  // How to come back to this loop; without it no group waits for its predecessor.
  void set_tasks(GroupReceiver::Tasks tasks) { groups_.set_tasks(std::move(tasks)); }
  GroupReceiver& groups() { return groups_; }
  // Of the same loop: sends on what another node offers.
  void set_replicator(Replicator& replicator) { differences_.set_replicator(replicator); }

  // From now on Receive believes only nodes that prove who they are to `self`. Outlives the service.
  void RequireProof(const Signer& signer, const NodeId& self) {
    signer_ = &signer;
    self_ = self;
  }

  // `payload` is an encoded PeerRequest, borrowed for the call. `reply` gets the encoded PeerReply
  // exactly once, from within the call or later; what is malformed is answered with a PeerError.
  void Handle(std::string_view payload, Reply reply);
  // The same, as it came over a connection: refused there before `speaker`, the node that proved to
  // speak on it, is known and a member. What each node says signed, it may say anywhere.
  void Receive(std::string_view payload, std::optional<NodeId>& speaker, Reply reply);

  // From now on calls nodes directly for others whose links to them are broken (relay_transport.h).
  // Outlives the service's loop.
  void RelayThrough(Transport& direct) { direct_ = &direct; }

  // Any thread.
  PeerServiceStats stats() const {
    PeerServiceStats stats = counters_.Read();
    stats.versions_refused += differences_.versions_refused() + groups_.stats().versions_refused;
    return stats;
  }

 private:
  // Calls on their way for others, at once.
  static constexpr std::size_t kRelayedMax = 1024;

  std::string Malformed(ErrorCode code, std::string message);
  std::string OnIdentify(std::string_view identify, std::optional<NodeId>& speaker);
  bool IsMember(const NodeId& id);
  bool RefusesVersion(Version version, UnixMillis now);
  std::string OnReplicate(std::string_view replicate);
  std::string OnPull(std::string_view pull);
  void NotePullCost(TimePoint begin, PullPageWriter& page);
  std::string OnDigests(std::string_view digests);
  std::string OnVersions(std::string_view versions);
  std::string OnFetch(std::string_view fetch);
  void OnRelay(std::string_view relay, Reply reply);

  Engine& engine_;
  ReplicationTable& table_;
  ViewPublisher& views_;
  ControlPort& control_;
  WallClock wall_clock_;
  LoadGauge* load_;
  Transport* direct_ = nullptr;
  std::size_t relayed_ = 0;
  Tally<PeerServiceStats> counters_;
  const Signer* signer_ = nullptr;
  NodeId self_;
  ClusterViewPtr members_;  // the newest view that Receive looked at
  std::uint64_t members_revision_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  DifferenceService differences_;
  GroupReceiver groups_;
};

}  // namespace gyre
