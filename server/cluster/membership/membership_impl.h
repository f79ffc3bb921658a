// The inside of Membership, divided by concept:
//
//   membership.cc            events, timers, the state's digest
//   membership_datagrams.cc  what comes in one, and what goes out to whom
//   membership_probe.cc      who is alive: probes, suspicion, links that are down; what answers prove besides: that
//                            others hear this node, how far their clocks are off
//   membership_trust.cc      what is believed of whom
//   membership_merge.cc      what others say: members, holdings, ring
//   membership_sync.cc       push/pull, seeds, the dead
//   membership_ring.cc       this node's own entries; eviction
//   membership_settings.cc   the ring's settings: changed here, heard, exchanged
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "membership/awareness.h"
#include "membership/broadcast_queue.h"
#include "membership/membership.h"
#include "membership/probe_list.h"
#include "membership/state_codec.h"
#include "membership/suspicion.h"
#include "settings/change_rate.h"
#include "settings/settings_codec.h"

namespace gyre {

// A bit for each section whose entries are in a message, of the state and of the settings.
struct StateSections {
  std::uint64_t state = 0;
  SettingsSections settings = 0;
  bool any() const { return state != 0 || settings != 0; }
};

struct Membership::Impl {
  using Sections = StateSections;
  // Larger datagrams are none of ours (UDP cannot carry more).
  static constexpr std::size_t kDatagramBytesHardMax = 65'536;

  Impl(MembershipOptions options, MemberInfo self, std::uint32_t partition_count,
       std::uint32_t replicas);

  // This node declared a member dead while nobody answered it.
  struct BlindVerdict {
    std::uint64_t dead_incarnation_before = 0;
    // It knew that the others had declared it dead itself: it is the one that was lost. If not, it
    // may be the last one left, took over, and whoever comes back must hear of it.
    bool as_outcast = false;
  };

  // What is known of another member beyond its MemberInfo.
  struct Peer {
    std::uint64_t epoch = 0;
    std::uint64_t newest_epoch = 0;  // of its datagrams: its record may be on the way still
    std::string proof;               // of its MemberInfo
    // Who says that it is dead, and with which incarnation.
    std::map<NodeId, std::uint64_t> witnesses;
    std::uint64_t dead_incarnation =
        0;              // the highest with which it was declared dead, as known here
    TimePoint since{};  // of its present state
    TimePoint heard{};  // its last datagram
    std::optional<TimePoint> differs_since;  // its state digest
    std::uint32_t level = 0;                 // as it said last (cluster/level.h)
    KeyHashId key_hash;                      // likewise
    std::uint64_t settings_digest = 0;       // likewise; 0: it does not know settings
    TimePoint settings_heard{};
    std::optional<TimePoint> settings_differ_since;
    ChangeRate settings_rate{kSettingsMax, kSettingsHeardPerSecond};  // of those that it tells
    TimePoint told_dead{};    // last reminder that it is dead
    bool taken_over = false;  // another identity has its address
    std::optional<BlindVerdict> blind_verdict;
    // Its wall clock by the last probes that it answered itself.
    std::vector<ClockOffset> clock_samples;
    bool clock_alarm = false;
    TimePoint clock_warned{};
  };

  // The one probe of this interval.
  struct Probe {
    NodeId target;
    std::uint64_t incarnation = 0;  // when the probe began: a later life is not its matter
    std::uint32_t sequence = 0;
    TimePoint sent_at{};
    std::chrono::microseconds sent_wall{};
    TimePoint ask_others_at{};
    bool asked_others = false;
    TimePoint deadline{};
    std::set<NodeId> helpers;
    std::set<NodeId> nacked;
  };

  // A ping that accuses nobody.
  struct FencePing {
    std::uint32_t sequence = 0;
    NodeId target;
    TimePoint sent_at{};
  };

  // A ping for somebody else.
  struct Relay {
    NodeId target;
    Address requester;
    NodeId requester_id;
    std::uint32_t requester_sequence = 0;
    TimePoint deadline{};
  };

  struct LinkDown {
    TimePoint at{};  // the last one
    int attempts = 0;
    TimePoint counted_at{};
    int rounds = 0;  // of asking others
    TimePoint ask_at{};
  };

  struct Sync {
    Address with;
    TimePoint deadline{};
    bool second = false;  // brings what the first one showed to be missing there
    bool calls_back = false;
    std::uint64_t nonce = 0;
  };

  // A node that is not let in yet: unknown, or known at another address.
  struct Newcomer {
    Address address;
    std::set<NodeId> witnesses;  // members that say so
    TimePoint told_at{};
    TimePoint call_at{};  // not before
    std::string failure;  // of the last call, in words for its operator
  };

  // ---- membership.cc ----
  void Begin(TimePoint now);
  // Ends an event: the actions that it gave rise to.
  MembershipActions Finish();
  void Tick(TimePoint now);
  TimePoint next_tick() const;
  void Log(LogLevel level, std::string message, LogFields fields = {});
  // Who it is, for a line of the log: name and address, or the id of one that is not known.
  LogFields Describe(const NodeId& id) const;
  std::string NameOf(const NodeId& id) const;

  // ---- membership_datagrams.cc ----
  void OnDatagram(TimePoint now, const Address& from, std::string_view bytes);
  void OnBroadcast(const wire::Broadcast& broadcast, const NodeId& from);
  // Whether what `from` says of `about` counts.
  bool MayTell(const NodeId& from, const NodeId& about) const;
  void Gossip();
  void SendTo(const Address& to, const NodeId& id, wire::GossipMessage& message);
  void SendTo(const NodeId& id, wire::GossipMessage& message);
  void SendLease(const NodeId& id, const std::string& payload);
  void Send(const Address& to, std::string bytes);
  // What every datagram to `id` says.
  void SealFor(const NodeId& id, wire::GossipMessage& message);
  // News about `id` that it must hear before others: it is suspected, or was declared dead.
  std::optional<wire::Broadcast> NewsForItself(const NodeId& id) const;
  void Queue(BroadcastQueue::Kind kind, const NodeId& id, const wire::Broadcast& broadcast);
  int TransmitsMax();

  // ---- membership_probe.cc ----
  void RunProbe();
  void StartProbe();
  void ProbeSoon(const NodeId& id);
  void AskOthers();
  void ProbeFailed();
  void OnPing(const Address& from, const NodeId& id, const wire::Ping& ping);
  void OnIndirectPing(const Address& from, const NodeId& id, const wire::IndirectPing& ping);
  void OnAck(const NodeId& id, const wire::Ack& ack);
  void OnNack(const NodeId& id, std::uint32_t sequence);
  void ExpireRelays();
  void ExpireSuspicions();
  void OnLinkDown(const NodeId& id, std::uint64_t epoch);
  void OnLinkSilent(const NodeId& id);
  void AskWhetherDown(const NodeId& id);
  void RunLinkDowns();
  void OnConfirmedDown(const NodeId& id, std::uint64_t incarnation);
  bool SeemsDown(TimePoint now, const NodeId& id) const;
  void Heard(const NodeId& id);
  bool IsCutOff(const NodeId& but);
  bool IsOutcast() const;
  void TakeBackBlindVerdicts();
  void TakeBackBlindVerdict(const NodeId& id, Peer& peer);
  void NoteClock(const NodeId& id, std::chrono::microseconds theirs);
  std::optional<ClockOffset> ClockOf(const NodeId& id) const;
  void KeepFenceOpen();
  // An answer to a ping that was sent then.
  void NoteConfirmed(TimePoint sent_at);
  // Whether it answers one of these pings.
  bool OnFenceAck(const NodeId& id, std::uint32_t sequence);

  // ---- membership_trust.cc ----
  // Whether the message is one of a member to this node.
  bool IsFromMember(const wire::GossipMessage& message, const NodeId& from, std::string_view bytes);
  bool IsProof(const NodeId& id, Said what, std::string_view words,
               const std::string& proof) const {
    return options.signer == nullptr || options.signer->Verify(id, what, words, proof);
  }
  std::string Sign(Said what, std::string_view words) const {
    return options.signer == nullptr ? std::string() : options.signer->Sign(what, words);
  }
  // kAlive or kStopped, as the member said; nothing if it did not say this. Logs.
  std::optional<MemberState> SaidByItself(const MemberRecord& record);
  // Whether a node may be taken in as it was told.
  bool IsFound(const MemberInfo& told, const NodeId& teller);
  void CallBack(Newcomer& newcomer);
  void OnCalled(const Address& address, const NodeId& who);
  void OnCallFailed(const Address& address, const std::string& why);
  // Whether it is a member, at the address that it tells; to others no more is said than a name.
  bool IsIntroduced(const NodeId& id) const;
  void ForgetNewcomers();
  void HearDeath(const SuspicionRecord& record, const NodeId& teller);
  bool SeesDown(const NodeId& id) const;
  std::size_t Witnesses(const NodeId& id) const;
  // Declares it dead if it has been seen down and another says so.
  void JudgeDeath(const NodeId& id);
  bool MayEnter(const RingEntry& entry);
  void Enter(RingEntry entry);  // this node's own word, signed if it is about itself

  // ---- membership_level.cc ----
  std::uint32_t LevelOfAll() const;
  void RaiseLevel();
  void NoteAbilities(const NodeId& id, std::uint32_t level, const KeyHashId& hash);
  // Whether its release can what the ring does. If not, that is logged once for each node.
  Status CheckLevel(const NodeId& id, std::uint32_t level);

  // ---- membership_merge.cc ----
  // False: counted, and logged now and then.
  bool IsCredible(const NodeId& id, std::uint64_t incarnation);
  bool IsCredibleStep(const NodeId& id, std::uint64_t before, std::uint64_t after);
  void Refuse(std::string_view why, LogFields fields);
  void MergeMember(const MemberRecord& record, const NodeId& from);
  bool AddMember(const MemberRecord& record, MemberState told);
  void ReplaceMember(const MemberRecord& record);
  bool MakeRoom();
  void Forget(const NodeId& id);
  void Suspect(const SuspicionRecord& record);
  void Confirm(const SuspicionRecord& record);
  void Dead(const SuspicionRecord& record);
  void Stopped(const MemberRecord& record);
  void SetState(const NodeId& id, MemberState state);
  // Somebody says something of this node.
  void OnSelfRecord(const MemberRecord& record, const NodeId& from);
  void OnSelfSuspect(std::uint64_t incarnation, const NodeId& from);
  void OnSelfDead(std::uint64_t incarnation, const NodeId& from);
  // `new_epoch`: what this node said to hold before no longer counts. Said in the same record, or
  // the others would not take it from a later one of the same incarnation.
  void RaiseIncarnation(std::uint64_t above, bool new_epoch = false);
  void TellSelf(const NodeId& to);  // sends this node's own record to one member, now
  void CheckAddress(const NodeId& newcomer);
  void MergeHoldings(const HoldingsRecord& record);
  void ExportHoldings(const NodeId& id);
  void MergeRing(const RingEntry& entry, const NodeId& from);
  void MergeRebalance(const RebalanceSetting& setting);
  SuspicionBounds Bounds();

  // ---- membership_sync.cc ----
  void StartSync(const Address& with, bool second = false, Sections sections = {},
                 bool calls_back = false);
  void EndSync(const Address& with);
  void RunSyncs();
  void Rejoin();
  // `settings_digest`: 0, the sender does not know settings.
  void OnDigest(const NodeId& id, const Address& from, std::uint64_t digest,
                std::uint64_t settings_digest);
  std::string EncodeState(Sections sections, const std::vector<NodeId>& readers,
                          std::uint64_t nonce);
  // Only who this node is.
  std::string EncodeIntroduction(std::uint64_t nonce);
  wire::PushPull StateHeader(std::uint64_t nonce);
  std::string Finish(const wire::PushPull& message);
  // Its sender and that this node can work with it, or why it cannot; nothing is taken over.
  Result<NodeId> ReadState(std::string_view payload, wire::PushPull& message);
  // `differing` gets the sections in which the sender still differs afterwards.
  void MergeState(const wire::PushPull& message, const NodeId& from, bool outdated,
                  Sections& differing);
  // What the sender says of itself. `outdated`: it is known better.
  Status MergeSender(const wire::PushPull& message, const NodeId& from, bool& outdated);
  void OnPushPull(std::string_view payload, Result<std::string>& reply);
  void OnPushPullReply(const Address& from, std::string_view payload, bool leads_elsewhere);
  void OnPushPullFailed(const Address& to, const Error& error);
  bool IsSelf(const Address& address) const;
  Duration PushPullInterval();
  bool joined() const;

  // ---- membership_ring.cc ----
  void SetHoldings(PartitionSet complete, PartitionSet owned, RestoredCopies restored);
  void Leave();
  void TellHoldings();
  void JoinRing();
  void Remember(const RememberedMember& member);
  bool IsWholeRing() const;
  // Something was heard of it in this life; else it is only remembered, and not told to others.
  bool Met(const NodeId& id) const { return state.members.at(id).incarnation != 0; }
  void LeaveRing(const NodeId& id, bool evicted);
  void Drain(const NodeId& id);
  void Undrain(const NodeId& id);
  // `wanted`, or the next byte that no other entry of the ring has; nothing: all are taken.
  std::optional<std::uint8_t> FreeVersionNode(std::uint8_t wanted) const;
  // No two nodes of the ring may have the same: this one may have to take another.
  void SettleVersionNode();
  void SetRebalance(const RebalanceChange& change);
  void Stop();
  void Evict();
  bool SeesRingMajority() const;
  Duration EvictAfter(const Peer& peer) const;
  std::vector<DeadMember> DeadMembers() const;
  bool OnRing(const NodeId& id) const;

  // ---- membership_settings.cc ----
  std::optional<UnixMillis> WallNow() const;
  void RememberSettings();
  Status ChangeSettings(const std::vector<SettingChange>& changes);
  void MergeSetting(const Setting& setting, const NodeId& from);
  // What the sender of a push/pull says of settings; null: it does not know them.
  static const wire::SettingsPart* SettingsOf(const wire::PushPull& message);
  void MergeSettings(const wire::PushPull& message, const NodeId& from,
                     SettingsSections& differing);
  void TakeSetting(Setting setting);
  void NoteSettingsDigest(Peer& peer, std::uint64_t digest);
  bool MadeSetting(const NodeId& id) const;
  void ForgetSettings();
  SettingsStats SettingsFigures() const;

  // ---- small ones ----
  MemberInfo& self() { return state.members.at(state.self); }
  MemberRecord SelfRecord();
  // As others may hear of it.
  MemberRecord RecordOf(const NodeId& id) const;
  MemberRecord RecordForItself(const NodeId& id) const;
  std::vector<NodeId> MembersAt(const Address& address) const;
  void QueueSelf();
  std::size_t ServingCount();  // this node included
  // Up to `count` serving members but this node and `without`, at random.
  std::vector<NodeId> RandomPeers(std::size_t count, const NodeId& without);
  std::uint64_t Digest();
  // Something about `id`: its member record, holdings or ring entry.
  void Changed(const NodeId& id) {
    changed = true;
    digest_stale.push_back(id);
  }
  static std::size_t SectionOf(const NodeId& id);
  void NoteAddress(const MemberInfo& info, bool known);
  Address AddressOf(const NodeId& id) const {
    const MemberInfo& info = state.members.at(id);
    return {info.host, info.port};
  }
  static Address AddressOf(const MemberInfo& info) { return {info.host, info.port}; }

  // Fixed.
  MembershipOptions options;
  std::uint32_t cluster_hash = 0;
  std::uint64_t life_start = 0;  // the incarnation of this process's beginning

  // What is replicated.
  ClusterState state;
  std::map<NodeId, Peer> peers;  // all members but this node
  std::map<NodeId, Holdings>
      known_holdings;       // `incarnation` is the epoch; state.holdings has the valid ones
  std::uint64_t epoch = 0;  // this node's
  std::uint64_t acknowledged_death =
      0;  // the highest incarnation with which this node was declared dead
  std::optional<TimePoint> declared_dead_at;  // when it last heard so
  bool stopping = false;
  bool leaving = false;
  bool wants_ring = false;
  bool ring_full = false;                        // so that this node, which wants a place, has none
  std::map<NodeId, std::uint64_t> digest_parts;  // what each id adds to the digest
  std::array<std::uint64_t, kStateSections> section_digests{};
  std::uint64_t rebalance_part = 0;                             // what the rebalance setting adds
  std::vector<NodeId> digest_stale;                             // ids whose part must be renewed
  std::set<std::tuple<std::uint16_t, std::string, NodeId>> at;  // who is at each address

  // The ring's settings.
  SettingsMap settings;
  KeyHashId key_hash;         // as this node says it
  bool settings_met = false;  // as another node had them
  TimePoint settings_changed_at{};
  ChangeRate change_rate{kSettingChangesMax, kSettingChangesPerSecond};
  SettingsStats settings_stats;

  // The failure detector.
  Prng prng;
  Awareness awareness;
  ProbeList probe_list;
  std::optional<Probe> probe;
  std::uint32_t next_sequence = 0;
  std::map<std::uint32_t, Relay> relays;
  std::map<NodeId, Suspicion> suspicions;
  std::set<NodeId> accused;  // the suspects whose probe failed here
  std::map<NodeId, LinkDown> link_downs;
  TimePoint confirmed_at{};  // when the newest ping that was answered was sent
  TimePoint fence_ping_at{};
  std::vector<FencePing> fence_pings;

  // Dissemination.
  BroadcastQueue queue;
  std::vector<Address> seeds;
  std::size_t next_seed = 0;
  std::set<std::pair<std::string, std::uint16_t>> self_addresses;
  std::vector<Sync> syncs;
  std::map<NodeId, Newcomer> newcomers;
  std::uint32_t ring_level = 0;  // what the ring does, as far as it is agreed
  std::set<NodeId> too_old;      // so that it is logged once
  // While the answer of a node is merged that was called there: it is found.
  std::optional<std::pair<NodeId, Address>> found;
  // By address: what was logged since it answered last. A name has several nodes behind it.
  std::map<std::string, std::set<std::string>> seed_errors;
  std::optional<TimePoint> refusal_logged_at;
  bool met_another = false;
  bool newcomer =
      false;  // what is being merged is a whole cluster's state, news to this node alone

  // Timers.
  bool started = false;
  TimePoint now{};  // of the event in progress
  TimePoint probe_at{};
  TimePoint gossip_at{};
  TimePoint gossiped_at{};
  TimePoint push_pull_at{};
  TimePoint rejoin_at{};
  TimePoint evict_at{};
  TimePoint sync_allowed_at{};  // the next push/pull for a differing digest
  TimePoint changed_at{};       // this node's digest

  // The event in progress.
  MembershipActions actions;
  bool changed = false;
  bool settings_changed = false;
  std::optional<std::size_t> serving_count;
  std::vector<NodeId> serving_ids;  // with it: all but this node, in order
  TimePoint answered_at{};          // the last answer to a probe of this node
  MembershipStats stats;
};

}  // namespace gyre
