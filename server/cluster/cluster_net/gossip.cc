#include "cluster_net/gossip.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.h"
#include "cluster_net/seed_addresses.h"
#include "membership/broadcast_queue.h"
#include "membership/signer.h"
#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

// Shorter than Membership waits, so that it hears of each failure.
constexpr Duration kPushPullDeadline = std::chrono::seconds(4);
// A process that is gone refuses within a round trip; one that is silent is the probes' matter.
constexpr Duration kConfirmDeadline = std::chrono::milliseconds(500);
constexpr Duration kConnectDeadline = std::chrono::milliseconds(300);
// Exchanges at once; beyond, new ones are dropped. Membership tries again.
constexpr std::size_t kExchangesMax = 64;
constexpr char kPushPullTag = 8 << 3 | 2;  // field 8 of PeerRequest, length-delimited

}  // namespace

Gossip::Gossip(EventLoop& loop, Membership& membership, Hooks hooks, Keyring* keys,
               const Signer* signer)
    : loop_(loop),
      membership_(membership),
      hooks_(std::move(hooks)),
      keys_(keys),
      signer_(signer),
      socket_(loop,
              [this](const std::string& ip, std::uint16_t port, std::string_view bytes) {
                if (started_) OnDatagram({ip, port}, bytes);
              }),
      timer_(loop),
      reaper_(loop,
              [this] {
                std::erase_if(exchanges_, [](const auto& exchange) { return exchange->over(); });
              }),
      resolver_(loop) {
  if (keys_ == nullptr) return;
  sealer_.emplace(*keys_);
  opener_.emplace(*keys_);
}

Gossip::~Gossip() = default;

void Gossip::OnDatagram(const Address& from, std::string_view bytes) {
  Result<std::string_view> plain = bytes;
  if (opener_) {
    plain = opener_->Open(bytes, loop_.now(), loop_.unix_now());
  } else if (LooksSealed(bytes)) {
    plain = Fail(ErrorCode::kNotAllowed,
                 "it is sealed and this node has no key: start it with the --gossip-key of the "
                 "cluster");
  }
  if (plain) return Perform(membership_.OnDatagram(loop_.now(), from, *plain));
  if (dropped_log_.Admits(loop_.now())) {
    LogWarn("gossip dropped", {{"from", from.host + ":" + std::to_string(from.port)},
                               {"reason", plain.error().message}});
  }
}

Status Gossip::Bind(const std::string& host, std::uint16_t port) {
  return socket_.Bind(host, port);
}

void Gossip::Start(std::vector<Address> seeds) {
  started_ = true;
  Perform(membership_.SetSeeds(loop_.now(), std::move(seeds)));
}

// ---- Timers -----------------------------------------------------------------------------------

void Gossip::Schedule() {
  const TimePoint due = membership_.next_tick();
  if (!started_ || (timer_.active() && due == timer_due_)) return;
  timer_due_ = due;
  timer_.Start(std::max(due - loop_.now(), Duration{}), Duration{}, [this] { Tick(); });
}

void Gossip::Tick() { Perform(membership_.Tick(loop_.now())); }

// ---- Actions ----------------------------------------------------------------------------------

void Gossip::Perform(MembershipActions actions) {
  std::move(actions.begin(), actions.end(), std::back_inserter(pending_));
  if (performing_) return;
  performing_ = true;
  while (!pending_.empty()) {
    MembershipAction action = std::move(pending_.front());
    pending_.pop_front();
    std::visit([this](auto& each) { Do(each); }, action);
  }
  performing_ = false;
  if (hooks_.on_performed) hooks_.on_performed();
  Schedule();
}

void Gossip::Do(SendDatagram& action) {
  if (sealer_) action.bytes = sealer_->Seal(action.bytes, loop_.unix_now());
  socket_.Send(action.to.host, action.to.port, action.bytes);
}

void Gossip::Do(StateChanged&) {
  if (hooks_.on_state_changed) hooks_.on_state_changed();
}

void Gossip::Do(SettingsChanged&) {
  if (hooks_.on_settings_changed) hooks_.on_settings_changed();
}

void Gossip::Do(DeclaredDead&) {
  if (hooks_.on_declared_dead) hooks_.on_declared_dead();
}

void Gossip::Do(LeaseHeard& action) {
  if (hooks_.on_lease) hooks_.on_lease(action.from, action.payload);
}

void Gossip::Do(LogEvent& action) { Log(action); }

void Gossip::Do(StartPushPull& action) {
  resolver_.Resolve(
      action.to.host, action.to.port,
      [this, to = action.to,
       payload = std::move(action.payload)](const Result<std::vector<SocketAddress>>& found) {
        if (!found) return Perform(membership_.OnPushPullFailed(loop_.now(), to, found.error()));
        const auto& state = membership_.state();
        const MemberInfo& self = state.members.at(state.self);
        const std::vector<Address> addresses = SeedAddresses(*found, {self.host, self.port});
        const std::size_t turn = addresses.size() == 1 ? 0 : next_seed_address_++;
        PushPullWith({to, addresses[turn % addresses.size()], addresses.size() > 1}, payload);
      });
}

void Gossip::PushPullWith(const PushPullRoute& route, const std::string& payload) {
  std::string request;
  AppendField(kPushPullTag, payload, request);
  Exchange(route.reached, nullptr, request, kPushPullDeadline,
           [this, route, asked = LifeAt(route.to)](const PeerExchange::Outcome& outcome) {
             OnPushPullDone(route, asked, outcome);
           });
}

std::optional<Gossip::Life> Gossip::LifeAt(const Address& address) const {
  for (const auto& [id, member] : membership_.state().members) {
    if (member.serving() && Address{member.host, member.port} == address) {
      return Life{id, member.epoch};
    }
  }
  return std::nullopt;
}

void Gossip::OnPushPullDone(const PushPullRoute& route, const std::optional<Life>& asked,
                            const PeerExchange::Outcome& outcome) {
  const Address& to = route.to;
  const TimePoint now = loop_.now();
  if (outcome.reply) {
    wire::PeerReply reply;
    if (!reply.ParseFromArray(outcome.reply->data(), static_cast<int>(outcome.reply->size())) ||
        !(reply.has_push_pull() || reply.has_error())) {
      const Error error{ErrorCode::kProtocol, "the answer is not of this protocol"};
      return Perform(membership_.OnPushPullFailed(now, to, error));
    }
    if (reply.has_error()) {
      return Perform(membership_.OnPushPullFailed(now, to, ToError(reply.error())));
    }
    return Perform(membership_.OnPushPullReply(now, to, reply.push_pull().SerializeAsString(),
                                               route.leads_elsewhere));
  }
  Perform(membership_.OnPushPullFailed(now, to, outcome.reply.error()));
  if (outcome.gone && asked) LinkDown(asked->id, asked->epoch);
}

void Gossip::Do(AskConfirmDown& action) {
  const auto via = membership_.state().members.find(action.via);
  if (via == membership_.state().members.end()) return;
  wire::PeerRequest request;
  request.mutable_confirm_down()->set_id(std::string(action.suspect.raw()));
  request.mutable_confirm_down()->set_incarnation(action.incarnation);
  Exchange({via->second.host, via->second.port}, &action.via, request.SerializeAsString(),
           kConfirmDeadline, [this, action](const PeerExchange::Outcome& outcome) {
             wire::PeerReply reply;
             if (!outcome.reply || !reply.ParseFromArray(outcome.reply->data(),
                                                         static_cast<int>(outcome.reply->size()))) {
               return;
             }
             if (!reply.has_confirm_down() || !reply.confirm_down().down()) return;
             Perform(membership_.OnConfirmedDown(loop_.now(), action.suspect, action.incarnation));
           });
}

void Gossip::Exchange(const Address& to, const NodeId* member, const std::string& request,
                      Duration deadline, PeerExchange::Done done) {
  if (exchanges_.size() >= kExchangesMax) return;
  std::string greeting;
  if (signer_ != nullptr && member != nullptr) {
    greeting = EncodeIdentify(*signer_, membership_.state().self, *member);
  }
  exchanges_.push_back(std::make_unique<PeerExchange>(
      loop_, to, request, deadline, keys_, std::move(greeting),
      [this, done = std::move(done)](const PeerExchange::Outcome& outcome) {
        reaper_.Schedule();
        done(outcome);
      }));
}

// ---- What peers and other loops say -----------------------------------------------------------

Result<std::string> Gossip::HandlePushPull(std::string_view payload) {
  Result<std::string> reply;
  Perform(membership_.OnPushPull(loop_.now(), payload, reply));
  // Its own operator is told by the answer.
  if (!reply && refused_log_.Admits(loop_.now())) {
    LogWarn("a node was not let in", {{"told", reply.error().message}});
  }
  return reply;
}

void Gossip::HandleConfirmDown(const NodeId& id, std::uint64_t incarnation,
                               std::function<void(bool down)> done) {
  const auto member = membership_.state().members.find(id);
  if (member == membership_.state().members.end() || member->second.incarnation != incarnation ||
      exchanges_.size() >= kExchangesMax) {
    return done(false);
  }
  if (membership_.SeemsDown(loop_.now(), id)) return done(true);
  Exchange({member->second.host, member->second.port}, nullptr, {}, kConnectDeadline,
           [done = std::move(done)](const PeerExchange::Outcome& outcome) { done(outcome.gone); });
}

void Gossip::LinkDown(const NodeId& id, std::uint64_t epoch) {
  Perform(membership_.OnLinkDown(loop_.now(), id, epoch));
}
void Gossip::LinkSilent(const NodeId& id) { Perform(membership_.OnLinkSilent(loop_.now(), id)); }

}  // namespace gyre
