// Membership's shell, on virtual time.
#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.h"
#include "proto_gen/cluster.pb.h"
#include "sim/sim_node.h"

namespace gyre::sim {
namespace {

constexpr Duration kCallTimeout = seconds(1);
constexpr Duration kTickMax = milliseconds(50);

}  // namespace

void SimNode::OnDatagram(NodeIndex from, const std::string& bytes) {
  Perform(membership_->OnDatagram(world_.now(), AddressOf(from), bytes));
}

void SimNode::OnLinkDown(NodeIndex to, std::uint64_t epoch) {
  Perform(membership_->OnLinkDown(world_.now(), IdOf(to), epoch));
}

std::uint64_t SimNode::EpochOf(NodeIndex other) const {
  const auto& members = membership_->state().members;
  const auto known = members.find(IdOf(other));
  return known == members.end() ? 0 : known->second.epoch;
}

void SimNode::OnLinkSilent(const NodeId& to) {
  Perform(membership_->OnLinkSilent(world_.now(), to));
}

void SimNode::Perform(MembershipActions actions) {
  ++performing_;
  for (MembershipAction& action : actions) {
    std::visit([this](auto& each) { Perform(each); }, action);
  }
  // The fault: who is never told when it was heard last takes itself for alive.
  if (--performing_ == 0 && !options_.act_when_stale) {
    table_->fence.self().Confirm(membership_->confirmed_at());
  }
}

void SimNode::Perform(SendDatagram& action) {
  world_.SendDatagram(index_, NodeAt(action.to), std::move(action.bytes));
}

void SimNode::Perform(const StartPushPull& action) {
  wire::PeerRequest request;
  (void)request.mutable_push_pull()->ParseFromString(action.payload);
  const Address to = action.to;
  world_.Call(index_, kControlLink, NodeAt(to), FrameType::kPeerRequest,
              request.SerializeAsString(), kCallTimeout,
              [this, to](Result<std::string_view> bytes) {
                if (!bytes) {
                  return Perform(membership_->OnPushPullFailed(world_.now(), to, bytes.error()));
                }
                wire::PeerReply reply;
                (void)reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()));
                if (!reply.has_push_pull()) {
                  return Perform(membership_->OnPushPullFailed(
                      world_.now(), to, Error{ErrorCode::kInternal, reply.error().message()}));
                }
                Perform(membership_->OnPushPullReply(world_.now(), to,
                                                     reply.push_pull().SerializeAsString()));
              });
}

void SimNode::Perform(const AskConfirmDown& action) {
  wire::PeerRequest request;
  request.mutable_confirm_down()->set_id(std::string(action.suspect.raw()));
  request.mutable_confirm_down()->set_incarnation(action.incarnation);
  control_.transport.Call(
      action.via, FrameType::kPeerRequest, request.SerializeAsString(), kCallTimeout,
      [this, action](Result<std::string_view> bytes) {
        wire::PeerReply reply;
        if (bytes && reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())) &&
            reply.confirm_down().down()) {
          Perform(membership_->OnConfirmedDown(world_.now(), action.suspect, action.incarnation));
        }
      });
}

void SimNode::Perform(const StateChanged&) { coordinator_->OnStateChanged(); }

void SimNode::Perform(const SettingsChanged&) {}

void SimNode::Perform(const DeclaredDead&) {
  LogDebug("declared dead", {{"of", index_}, {"at_ms", world_.unix_now() % 1'000'000}});
  coordinator_->OnDeclaredDead();
}

void SimNode::Perform(const LeaseHeard& action) {
  coordinator_->OnLeaseMessage(action.from, action.payload);
}

void SimNode::Perform(const LogEvent& event) {
  if (!IsLogged(LogLevel::kDebug)) return;
  LogFields fields = event.fields;
  fields.insert(fields.end(), {{"of", index_}, {"at_ms", world_.unix_now() % 1'000'000}});
  LogDebug(event.message, fields);
}

Status SimNode::ChangeSetting(const std::string& name, std::optional<std::string> value) {
  Status outcome;
  Perform(membership_->ChangeSettings(world_.now(), {{name, std::move(value)}}, outcome));
  return outcome;
}

void SimNode::TickMembership() {
  if (world_.now() >= membership_->next_tick()) Perform(membership_->Tick(world_.now()));
  const Duration wait = membership_->next_tick() - world_.now();
  world_.At(index_, std::clamp(wait, Duration(milliseconds(1)), kTickMax),
            [this] { TickMembership(); });
}

}  // namespace gyre::sim
