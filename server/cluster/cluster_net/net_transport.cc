#include "cluster_net/net_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "membership/signer.h"

namespace gyre {
namespace {

// Deadlines are checked so often; they are of the order of a second.
constexpr Duration kDeadlineResolution = std::chrono::milliseconds(20);

}  // namespace

NetTransport::NetTransport(EventLoop& loop, ViewPublisher& views, NetTransportOptions options,
                           OnLinkDown on_link_down)
    : loop_(loop),
      views_(views),
      options_(options),
      on_link_down_(std::move(on_link_down)),
      deadline_timer_(loop) {}

NetTransport::~NetTransport() { *alive_ = false; }

void NetTransport::Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                        Done done) {
  if (closed_) return FailSoon(std::move(done), ErrorCode::kClosed, "this node is stopping");
  NoteView();
  Peer* peer = PeerOf(to);
  if (peer == nullptr) {
    return FailSoon(std::move(done), ErrorCode::kUnavailable, "no address is known for the node");
  }
  if (options_.keys != nullptr) RenewIfOutdated(*peer);
  if (peer->link->state() == FrameLink::State::kDown) peer->link_epoch = peer->epoch;
  if (peer->pending.size() >= options_.calls_max ||
      !peer->link->Send(type, peer->last_id + 1, payload)) {
    return FailSoon(
        std::move(done), ErrorCode::kUnavailable,
        "the link to " + peer->host + ":" + std::to_string(peer->port) + " is down or full");
  }
  const std::uint64_t id = ++peer->last_id;
  // The silence of an idle link counts from the first call on.
  if (peer->pending.empty() && !peer->given_up) peer->heard = loop_.now();
  peer->pending.emplace(id, Pending{loop_.now() + deadline, std::move(done)});
  if (!deadline_timer_.active()) {
    deadline_timer_.Start(kDeadlineResolution, kDeadlineResolution, [this] { CheckDeadlines(); });
  }
}

void NetTransport::After(Duration delay, std::function<void()> done) {
  if (closed_) return;
  if (delay <= Duration{}) {
    loop_.Post([alive = alive_, done = std::move(done)] {
      if (*alive) done();
    });
    return;
  }
  const std::uint64_t id = next_timer_++;
  auto timer = std::make_unique<Timer>(loop_);
  timer->Start(delay, Duration{}, [this, id, done = std::move(done)] {
    const auto node = timers_.extract(id);  // lives until `done` has returned
    done();
  });
  timers_.emplace(id, std::move(timer));
}

void NetTransport::Close() {
  closed_ = true;
  deadline_timer_.Stop();
  timers_.clear();
  for (auto& [id, peer] : peers_) {
    peer->held = false;
    peer->link->Close();
  }
  for (auto& [id, peer] : peers_) {
    FailPending(*peer, [](std::uint64_t) {
      return Error{ErrorCode::kClosed, "this node is stopping"};
    });
  }
}

void NetTransport::NoteView() {
  const std::uint64_t revision = views_.revision();
  if (revision == view_revision_) return;
  view_revision_ = revision;
  view_ = views_.Load();
  if (view_ == nullptr) return;
  for (const MemberInfo& member : view_->members) {
    const auto found = peers_.find(member.id);
    if (found == peers_.end()) continue;
    Peer& peer = *found->second;
    const bool moved = peer.host != member.host || peer.port != member.port;
    if (moved) {
      // Soon, not now: this may run within a Call.
      for (auto& [id, pending] : std::exchange(peer.pending, {})) {
        FailSoon(std::move(pending.done), ErrorCode::kIo, "the node moved to another address");
      }
      peer.host = member.host;
      peer.port = member.port;
      peer.last_id = 0;
      Connect(member.id, peer);
    } else if (member.incarnation > peer.incarnation && member.serving()) {
      peer.link->ResetBackoff();
    }
    peer.incarnation = member.incarnation;
    peer.epoch = member.epoch;
    peer.dead = member.state == MemberState::kDead;
  }
}

NetTransport::Peer* NetTransport::PeerOf(const NodeId& id) {
  const auto found = peers_.find(id);
  if (found != peers_.end()) return found->second.get();
  const MemberIndex member = view_ == nullptr ? kNoMember : view_->Find(id);
  if (member == kNoMember) return nullptr;
  auto peer = std::make_unique<Peer>();
  peer->host = view_->members[member].host;
  peer->port = view_->members[member].port;
  peer->incarnation = view_->members[member].incarnation;
  peer->epoch = view_->members[member].epoch;
  Connect(id, *peer);
  return peers_.emplace(id, std::move(peer)).first->second.get();
}

void NetTransport::Connect(const NodeId& id, Peer& peer) {
  peer.heard = loop_.now();
  peer.given_up = false;
  FrameLinkOptions options;
  options.queue_bytes_max = options_.queue_bytes_max;
  options.keys = options_.keys;
  if (options_.signer != nullptr) {
    options.greeting = EncodeIdentify(*options_.signer, options_.self, id);
  }
  options.memory = options_.client_memory;
  peer.held = false;
  FrameLink::Callbacks callbacks;
  callbacks.on_frame = [this, &peer](const FrameHeader& header, std::string_view payload) {
    OnFrame(peer, header, payload);
  };
  callbacks.on_down = [this, id, &peer](const FrameLink::Down& down) { OnDown(id, peer, down); };
  peer.link =
      std::make_unique<FrameLink>(loop_, peer.host, peer.port, options, std::move(callbacks));
}

void NetTransport::RenewIfOutdated(Peer& peer) {
  if (peer.held || !peer.link->outdated() || !peer.link->Hold()) return;
  peer.held = true;
  peer.held_after = peer.last_id;
  peer.before_hold = peer.pending.size();
  if (peer.before_hold == 0) NoteEnded(peer, 0);
}

// `call` was answered or given up, or is none (0).
void NetTransport::NoteEnded(Peer& peer, std::uint64_t call) {
  if (!peer.held) return;
  if (call != 0 && call <= peer.held_after) --peer.before_hold;
  if (peer.before_hold > 0) return;
  peer.held = false;
  peer.link_epoch = peer.epoch;
  peer.link->Renew();
}

void NetTransport::OnFrame(Peer& peer, const FrameHeader& header, std::string_view payload) {
  peer.heard = loop_.now();
  peer.given_up = false;
  if (header.type != FrameType::kReply && header.type != FrameType::kPeerReply) return;
  auto node = peer.pending.extract(header.request_id);
  if (node.empty()) return;            // it is too late for this one
  NoteEnded(peer, header.request_id);  // before what `done` may call
  node.mapped().done(payload);
}

void NetTransport::OnDown(const NodeId& id, Peer& peer, const FrameLink::Down& down) {
  peer.held = false;
  const bool none_carried_out = !down.was_up || down.goodbye;
  const std::uint64_t sent =
      none_carried_out ? 0 : peer.last_id - std::min(peer.last_id, down.frames_unsent);
  if ((down.refused || down.reset) && on_link_down_) on_link_down_(id, peer.link_epoch);
  FailPending(peer, [&down, sent](std::uint64_t call) {
    return call > sent ? Error{ErrorCode::kUnavailable, down.error.message}
                       : Error{ErrorCode::kIo, down.error.message};
  });
}

// A callback may call again, which adds to `pending`.
void NetTransport::FailPending(Peer& peer, const std::function<Error(std::uint64_t)>& why) {
  std::unordered_map<std::uint64_t, Pending> failed = std::exchange(peer.pending, {});
  for (auto& [id, pending] : failed) pending.done(tl::unexpected<Error>(why(id)));
}

void NetTransport::FailSoon(Done done, ErrorCode code, std::string message) {
  loop_.Post([done = std::move(done), error = Error{code, std::move(message)}] {
    done(tl::unexpected<Error>(error));
  });
}

void NetTransport::BreakSilent(const NodeId& id, Peer& peer, TimePoint now) {
  if (peer.link->state() != FrameLink::State::kUp) {
    peer.given_up = false;  // nothing is under way
    return;
  }
  const bool concerned = peer.given_up || (peer.dead && !peer.pending.empty());
  const Duration silence_max = peer.dead ? kDeadSilenceMax : kSilenceMax;
  if (!concerned || now - peer.heard < silence_max) return;
  // Soon, not now: callers of CheckDeadlines' calls are told first.
  for (auto& [call, pending] : std::exchange(peer.pending, {})) {
    FailSoon(std::move(pending.done), ErrorCode::kIo, "the link to the node fell silent");
  }
  peer.last_id = 0;
  Connect(id, peer);
}

void NetTransport::CheckDeadlines() {
  NoteView();  // so that a link learns of a restart though nobody calls
  const TimePoint now = loop_.now();
  std::vector<Done> late;
  std::size_t left = 0;
  for (auto& [id, owned] : peers_) {
    Peer& peer = *owned;
    const std::size_t late_before = late.size();
    std::erase_if(peer.pending, [&](auto& entry) {
      if (now < entry.second.deadline) return false;
      late.push_back(std::move(entry.second.done));
      if (peer.held && entry.first <= peer.held_after) --peer.before_hold;
      return true;
    });
    if (late.size() != late_before) peer.given_up = true;
    BreakSilent(id, peer, now);
    if (peer.held && peer.before_hold == 0) NoteEnded(peer, 0);
    left += peer.pending.size() + (peer.given_up ? 1 : 0);
  }
  if (left == 0) deadline_timer_.Stop();
  for (Done& done : late) {
    done(Fail(ErrorCode::kTimeout, "the node did not answer in time"));
  }
}

}  // namespace gyre
