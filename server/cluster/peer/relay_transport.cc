#include "peer/relay_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

constexpr Duration kRelayTick = std::chrono::milliseconds(100);

std::string EmptyRequest() {
  wire::PeerRequest request;
  request.mutable_digests();
  return request.SerializeAsString();
}

}  // namespace

RelayTransport::RelayTransport(NodeId self, Transport& direct, ViewPublisher& views,
                               std::function<TimePoint()> clock,
                               std::function<void(const NodeId&)> on_broken)
    : self_(self),
      direct_(direct),
      views_(views),
      clock_(std::move(clock)),
      on_broken_(std::move(on_broken)) {}

RelayTransport::~RelayTransport() { *alive_ = false; }

void RelayTransport::Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                          Done done) {
  const auto peer = peers_.find(to);
  if (peer != peers_.end() && peer->second.broken) [[unlikely]] {
    if (const NodeId* relay = RelayFor(to)) {
      return CallThrough(*relay, to, type, payload, deadline, std::move(done));
    }
  }
  CallDirect(to, type, std::move(payload), deadline, std::move(done));
}

// ---- The link itself --------------------------------------------------------------------------

void RelayTransport::CallDirect(const NodeId& to, FrameType type, std::string payload,
                                Duration deadline, Done done) {
  const std::uint64_t call = next_call_++;
  peers_[to].calls.emplace(call,
                           Outstanding{clock_(), type == FrameType::kPeerRequest, std::move(done)});
  EnsureTick();
  direct_.Call(to, type, std::move(payload), deadline,
               [this, alive = alive_, to, call](Result<std::string_view> reply) {
                 if (*alive) OnDirect(to, call, reply);
               });
}

void RelayTransport::OnDirect(const NodeId& to, std::uint64_t call,
                              Result<std::string_view> reply) {
  Peer& peer = peers_[to];
  if (reply) {
    peer.heard = clock_();
    if (peer.broken) MarkWhole(peer);
  } else if (reply.error().code == ErrorCode::kTimeout ||
             reply.error().code == ErrorCode::kUnavailable) {
    if (clock_() - peer.heard >= kSilence) MarkBroken(to, peer);
  }
  auto node = peer.calls.extract(call);  // gone: it ended when the link fell silent
  if (!node.empty()) node.mapped().done(reply);
}

void RelayTransport::MarkBroken(const NodeId& to, Peer& peer) {
  if (peer.broken) return;
  NoteView();
  peer.broken = true;
  peer.pause = kProbeMin;
  peer.probe_at = clock_() + peer.pause;
  counters_[&RelayStats::links_relayed].Add(1);
  counters_[&RelayStats::breaks].Add(1);
  if (on_broken_) on_broken_(to);
  EnsureTick();
  std::vector<Done> ended;
  std::erase_if(peer.calls, [&ended](auto& call) {
    if (!call.second.repeatable) return false;
    ended.push_back(std::move(call.second.done));
    return true;
  });
  for (Done& done : ended) {
    // Not from within somebody's Call.
    direct_.After(Duration{}, [alive = alive_, done = std::move(done)] {
      if (*alive) done(Fail(ErrorCode::kTimeout, "the link to the node fell silent"));
    });
  }
}

void RelayTransport::MarkWhole(Peer& peer) {
  peer.broken = false;
  counters_[&RelayStats::links_relayed].Subtract(1);
}

void RelayTransport::Probe(const NodeId& to, Peer& peer) {
  peer.probing = true;
  peer.pause = std::min(peer.pause * 2, kProbeMax);
  direct_.Call(to, FrameType::kPeerRequest, EmptyRequest(), kProbeDeadline,
               [this, alive = alive_, to](Result<std::string_view> reply) {
                 if (!*alive) return;
                 Peer& probed = peers_[to];
                 probed.probing = false;
                 probed.probe_at = clock_() + probed.pause;
                 if (!reply) return;
                 probed.heard = clock_();
                 if (probed.broken) MarkWhole(probed);
               });
}

void RelayTransport::EnsureTick() {
  if (ticking_) return;
  ticking_ = true;
  direct_.After(kRelayTick, [this, alive = alive_] {
    if (*alive) Tick();
  });
}

void RelayTransport::Tick() {
  ticking_ = false;
  NoteView();
  const TimePoint now = clock_();
  bool busy = false;
  for (auto& [id, peer] : peers_) {
    if (!peer.calls.empty() && !peer.broken) {
      const TimePoint since = std::max(peer.calls.begin()->second.sent, peer.heard);
      if (now - since >= kSilence) MarkBroken(id, peer);
    }
    if (peer.broken && !peer.probing && now >= peer.probe_at) Probe(id, peer);
    busy = busy || peer.broken || !peer.calls.empty();
  }
  if (busy) EnsureTick();
}

// ---- Round it ---------------------------------------------------------------------------------

void RelayTransport::NoteView() {
  const std::uint64_t revision = views_.revision();
  if (revision == view_revision_) return;
  view_revision_ = revision;
  view_ = views_.Load();
}

const NodeId* RelayTransport::RelayFor(const NodeId& to) {
  NoteView();
  if (view_ == nullptr) return nullptr;
  const MemberIndex target = view_->Find(to);
  if (target == kNoMember || !view_->members[target].serving()) return nullptr;
  for (std::size_t i = 0; i < view_->members.size(); ++i) {
    const MemberInfo& member = view_->members[(next_relay_ + i) % view_->members.size()];
    if (member.state != MemberState::kAlive || member.id == self_ || member.id == to) continue;
    const auto peer = peers_.find(member.id);
    if (peer != peers_.end() && peer->second.broken) continue;
    return &member.id;
  }
  return nullptr;
}

void RelayTransport::CallThrough(const NodeId& relay, const NodeId& to, FrameType type,
                                 const std::string& payload, Duration deadline, Done done) {
  wire::PeerRequest request;
  wire::Relay& body = *request.mutable_relay();
  body.set_to(std::string(to.raw()));
  body.set_type(static_cast<std::uint32_t>(type));
  body.set_payload(payload);
  body.set_deadline_ms(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count()));
  counters_[&RelayStats::calls].Add(1);
  const auto unwrap = [this, done = std::move(done)](Result<std::string_view> bytes) {
    if (!bytes) return done(bytes);
    wire::PeerReply reply;
    if (!reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
      return done(Fail(ErrorCode::kIo, "a relay answered with something else"));
    }
    if (reply.has_relay()) return done(std::string_view(reply.relay().payload()));
    ++next_relay_;
    done(tl::unexpected<Error>(ToError(reply.error())));
  };
  CallDirect(relay, FrameType::kPeerRequest, request.SerializeAsString(), deadline, unwrap);
}

}  // namespace gyre
