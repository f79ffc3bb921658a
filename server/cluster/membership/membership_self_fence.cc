// Proof that others hear this node (self_fence.h): answers to its own pings. The failure detector's
// probes give it as a rule; where they fail or slow down, a few pings that accuse nobody stand in.
#include <algorithm>

#include "membership/membership_impl.h"

namespace gyre {
namespace {

constexpr Duration kFencePingAfter = std::chrono::milliseconds(700);
constexpr Duration kFencePingInterval = std::chrono::milliseconds(200);
constexpr std::size_t kFreshPings = 2;      // each time
constexpr std::size_t kFencePingsMax = 16;  // unanswered

}  // namespace

void Membership::Impl::KeepFenceOpen() {
  if (now < fence_ping_at) return;
  fence_ping_at = std::max(confirmed_at + kFencePingAfter, now + kFencePingInterval);
  if (stopping || ServingCount() <= 1 || now - confirmed_at < kFencePingAfter) return;
  for (const NodeId& id : RandomPeers(kFreshPings, state.self)) {
    const std::uint32_t sequence = next_sequence++;
    if (fence_pings.size() == kFencePingsMax) fence_pings.erase(fence_pings.begin());
    fence_pings.push_back({sequence, id, now});
    wire::GossipMessage message;
    message.mutable_ping()->set_sequence(sequence);
    message.mutable_ping()->set_target(std::string(id.raw()));
    SendTo(id, message);
  }
}

bool Membership::Impl::OnFenceAck(const NodeId& id, std::uint32_t sequence) {
  const auto ping = std::find_if(fence_pings.begin(), fence_pings.end(), [&](const auto& each) {
    return each.sequence == sequence && each.target == id;
  });
  if (ping == fence_pings.end()) return false;
  NoteConfirmed(ping->sent_at);
  fence_pings.erase(ping);
  return true;
}

// Where nobody had answered for long, what grew meanwhile proves nothing: the suspects get a term
// in which they can be heard.
void Membership::Impl::NoteConfirmed(TimePoint sent_at) {
  const Duration term = Bounds().min;
  const bool was_cut_off = now - std::max(answered_at, confirmed_at) >= term;
  confirmed_at = std::max(confirmed_at, sent_at);
  if (!was_cut_off) return;
  for (auto& [id, suspicion] : suspicions) {
    suspicion.Postpone(std::max(now + term - suspicion.deadline(), Duration{}));
  }
}

}  // namespace gyre
