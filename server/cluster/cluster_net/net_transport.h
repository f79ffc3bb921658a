// Transport over sockets: one link to each node, from one loop.
//
// Addresses come from the published view; a node whose address changed gets a new link, one that
// was started again (higher incarnation) is tried at once. Request ids count up for each link, so
// that after a break the frames that never left are known: only their calls fail as kUnavailable,
// the others' outcome is unknown (kIo). A link on which calls ran out of time and nothing came for
// kSilenceMax is reset and made anew: TCP by itself would go on repeating into a cut cable, so
// slowly that it would not notice for a minute that it carries again, and then deliver calls that
// were given up long ago. For the same reason a silent link to a node that was declared dead goes
// at once, before another takes over from it.
//
// When the key to send with changes, each link is made again with the new one between two calls:
// what was sent before is answered first, what comes meanwhile waits. So no call is lost and none
// overtakes another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "cluster/transport.h"
#include "cluster/view.h"
#include "membership/signer.h"
#include "net/event_loop.h"
#include "net/frame_link.h"

namespace gyre {

struct NetTransportOptions {
  std::size_t queue_bytes_max = std::size_t{64}
                                << 20;  // for each peer, not yet taken by the kernel
  std::size_t calls_max = 65536;        // unanswered, for each peer
  // Where set, links are encrypted; outlives the transport.
  Keyring* keys = nullptr;
  // Where set, this node proves to each peer that it is `self`; outlives the transport.
  const Signer* signer = nullptr;
  NodeId self;
  // See FrameLinkOptions.
  ClientMemory* client_memory = nullptr;
};

class NetTransport final : public Transport {
 public:
  // Sooner than any node is declared dead (membership.h).
  static constexpr Duration kSilenceMax = std::chrono::milliseconds(1500);
  // Of a dead node.
  static constexpr Duration kDeadSilenceMax = std::chrono::milliseconds(100);

  // The peer's port refused the connection or reset it, so its process may be gone. `epoch`: the
  // peer's, as the view had it when the link began to connect (0: not known).
  using OnLinkDown = std::function<void(const NodeId& id, std::uint64_t epoch)>;

  // `loop` and `views` outlive it; all on the loop's thread.
  NetTransport(EventLoop& loop, ViewPublisher& views, NetTransportOptions options,
               OnLinkDown on_link_down);
  // Pending calls are forgotten, not answered.
  ~NetTransport() override;

  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override;
  void After(Duration delay, std::function<void()> done) override;

  // Breaks all links; pending calls end with kClosed, later ones too.
  void Close();

 private:
  struct Pending {
    TimePoint deadline{};
    Done done;
  };
  struct Peer {
    std::string host;
    std::uint16_t port = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t epoch = 0;       // as the view has it
    std::uint64_t link_epoch = 0;  // as it had it when the link began to connect
    std::uint64_t last_id = 0;
    TimePoint heard{};      // the last frame, or when the link was made, or used again
    bool given_up = false;  // a call since then: it may still be under way
    bool dead = false;
    std::unordered_map<std::uint64_t, Pending> pending;
    // While the link is held (FrameLink::Hold): the last call before, and how many up to it are
    // pending.
    std::uint64_t held_after = 0;
    std::size_t before_hold = 0;
    bool held = false;
    std::unique_ptr<FrameLink> link;  // last: its callbacks use the rest
  };

  void NoteView();
  Peer* PeerOf(const NodeId& id);
  void Connect(const NodeId& id, Peer& peer);
  void RenewIfOutdated(Peer& peer);
  void NoteEnded(Peer& peer, std::uint64_t call);
  void FailSoon(Done done, ErrorCode code, std::string message);
  void OnFrame(Peer& peer, const FrameHeader& header, std::string_view payload);
  void OnDown(const NodeId& id, Peer& peer, const FrameLink::Down& down);
  void FailPending(Peer& peer, const std::function<Error(std::uint64_t id)>& why);
  void CheckDeadlines();
  void BreakSilent(const NodeId& id, Peer& peer, TimePoint now);

  EventLoop& loop_;
  ViewPublisher& views_;
  const NetTransportOptions options_;
  const OnLinkDown on_link_down_;
  std::uint64_t view_revision_ = 0;
  ClusterViewPtr view_;
  std::unordered_map<NodeId, std::unique_ptr<Peer>> peers_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Timer>> timers_;  // of After
  std::uint64_t next_timer_ = 1;
  Timer deadline_timer_;
  bool closed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gyre
