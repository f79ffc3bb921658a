// Proof that others hear this node (freshness.h): answers to its own pings. The failure detector's
// probes give it as a rule; where they fail or slow down, a few pings that accuse nobody stand in.
#include <algorithm>

#include "cluster/membership_impl.h"

namespace gyre {
namespace {

constexpr Duration kFreshAfter = std::chrono::milliseconds(700);
constexpr Duration kFreshInterval = std::chrono::milliseconds(200);
constexpr std::size_t kFreshPings = 2;      // each time
constexpr std::size_t kFreshPingsMax = 16;  // unanswered

}  // namespace

void Membership::Impl::KeepFresh() {
  if (now < fresh_at) return;
  fresh_at = std::max(confirmed_at + kFreshAfter, now + kFreshInterval);
  if (stopping || ServingCount() <= 1 || now - confirmed_at < kFreshAfter) return;
  for (const NodeId& id : RandomPeers(kFreshPings, state.self)) {
    const std::uint32_t sequence = next_sequence++;
    if (fresh_pings.size() == kFreshPingsMax) fresh_pings.erase(fresh_pings.begin());
    fresh_pings.push_back({sequence, id, now});
    wire::GossipMessage message;
    message.mutable_ping()->set_sequence(sequence);
    message.mutable_ping()->set_target(std::string(id.raw()));
    SendTo(id, message);
  }
}

bool Membership::Impl::OnFreshAck(const NodeId& id, std::uint32_t sequence) {
  const auto ping = std::find_if(fresh_pings.begin(), fresh_pings.end(), [&](const auto& each) {
    return each.sequence == sequence && each.target == id;
  });
  if (ping == fresh_pings.end()) return false;
  NoteConfirmed(ping->sent_at);
  fresh_pings.erase(ping);
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
