// Membership at work: its datagrams, timers and exchanges on one loop.
//
// Membership decides, this performs: datagrams over UDP on the node's own port number; push/pulls
// and questions about dead links as peer requests over TCP, each on a connection of its own, which
// is rare enough to be worth the certainty that a refused connection is fresh news. All on the
// loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_limit.h"
#include "cluster_net/peer_exchange.h"
#include "crypto/datagram_seal.h"
#include "membership/membership.h"
#include "net/event_loop.h"
#include "net/resolver.h"
#include "net/udp_socket.h"
#include "proto/result.h"

namespace gyre {

// Loop thread, or before the loop runs; the loop and the machine outlive it.
class Gossip {
 public:
  struct Hooks {
    // membership.state() has changed. May call Perform.
    std::function<void()> on_state_changed;
    // membership.settings() has.
    std::function<void()> on_settings_changed;
    // Others had declared this node dead while it was alive.
    std::function<void()> on_declared_dead;
    // Everything that an event gave rise to has been performed.
    std::function<void()> on_performed;
    // A LeaseMessage came. May call Perform.
    std::function<void(const NodeId& from, const std::string& payload)> on_lease;
  };

  // With `keys`, which outlive it, datagrams are sealed and exchanges encrypted. With `signer`
  // likewise, members that are asked know who asks.
  Gossip(EventLoop& loop, Membership& membership, Hooks hooks, Keyring* keys = nullptr,
         const Signer* signer = nullptr);
  ~Gossip();
  Gossip(const Gossip&) = delete;
  Gossip& operator=(const Gossip&) = delete;

  // Binds the UDP port; datagrams are answered as soon as the loop runs. Port 0: any. The message
  // of an error is complete but for the flag to change.
  Status Bind(const std::string& host, std::uint16_t port);
  std::uint16_t bound_port() const { return socket_.bound_port(); }

  // Begins to probe, and to join through `seeds`. Once, on the loop's thread.
  void Start(std::vector<Address> seeds);

  // Performs what a method of Membership returned, in order; the hooks are called from within. A
  // call from within a hook only queues its actions: they follow at once after the hook's.
  void Perform(MembershipActions actions);

  // A peer's PushPull (encoded, without the request around it): the PushPull to answer, or why it
  // is refused.
  Result<std::string> HandlePushPull(std::string_view payload);
  // A peer asks whether this node, too, finds `id` gone. Tries to connect unless that is known;
  // `done` gets the answer once, from within the call or later, and never if the gossip ends
  // before.
  void HandleConfirmDown(const NodeId& id, std::uint64_t incarnation,
                         std::function<void(bool down)> done);
  // A link of this node to `id` was refused or reset; `epoch` as for Membership::OnLinkDown.
  void LinkDown(const NodeId& id, std::uint64_t epoch);
  // Nothing comes over a link of this node to `id`.
  void LinkSilent(const NodeId& id);

  const UdpStats& udp_stats() const { return socket_.stats(); }

 private:
  void OnDatagram(const Address& from, std::string_view bytes);
  void Do(SendDatagram& action);
  void Do(StartPushPull& action);
  void Do(AskConfirmDown& action);
  void Do(StateChanged& action);
  void Do(SettingsChanged& action);
  void Do(DeclaredDead& action);
  void Do(LeaseHeard& action);
  void Do(LogEvent& action);

  struct Life {
    NodeId id;
    std::uint64_t epoch = 0;
  };
  // Of the serving member there, if there is one.
  std::optional<Life> LifeAt(const Address& address) const;
  // What a push/pull goes to: where it was sent, and where that led.
  struct PushPullRoute {
    Address to;
    Address reached;
    bool leads_elsewhere = false;  // `to` is a name of further addresses
  };
  void PushPullWith(const PushPullRoute& route, const std::string& payload);
  void OnPushPullDone(const PushPullRoute& route, const std::optional<Life>& asked,
                      const PeerExchange::Outcome& outcome);
  // Begins an exchange and keeps it until it is over. `member`: who is asked as a member; else the
  // request speaks for itself.
  void Exchange(const Address& to, const NodeId* member, const std::string& request,
                Duration deadline, PeerExchange::Done done);
  void Schedule();
  void Tick();

  EventLoop& loop_;
  Membership& membership_;
  Hooks hooks_;
  Keyring* const keys_;
  const Signer* const signer_;
  std::optional<DatagramSealer> sealer_;  // with keys
  std::optional<DatagramOpener> opener_;
  LogLimit dropped_log_;
  LogLimit refused_log_;
  UdpSocket socket_;
  Timer timer_;
  TimePoint timer_due_{};
  bool started_ = false;
  bool performing_ = false;
  std::deque<MembershipAction> pending_;
  std::vector<std::unique_ptr<PeerExchange>> exchanges_;
  EndOfIteration reaper_;
  Resolver resolver_;
  std::size_t next_seed_address_ = 0;  // of a name: which it is this time
};

}  // namespace gyre
