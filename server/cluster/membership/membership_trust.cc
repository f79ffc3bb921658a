// What is believed of whom. See "Who is believed" in membership.h.
#include <algorithm>
#include <string>
#include <utility>

#include "membership/membership_impl.h"

namespace gyre {
namespace {

// Between two calls to one newcomer.
constexpr Duration kCallBackInterval = std::chrono::seconds(1);
// One of which nobody has spoken for longer is forgotten.
constexpr Duration kNewcomerMemory = std::chrono::seconds(10);
constexpr std::size_t kWitnessesEnough = 2;

bool IsUnspecified(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

// For the operator of the newcomer.
std::string NotFound(const Address& address, const std::string& why) {
  return "this node tells others the address " + address.ToString() + ", where it is not found (" +
         why + "): start it with --advertise HOST[:PORT], an address at which the others reach it";
}

}  // namespace

// ---- Who says so ------------------------------------------------------------------------------

bool Membership::Impl::IsFromMember(const wire::GossipMessage& message, const NodeId& from,
                                    std::string_view bytes) {
  if (options.signer == nullptr) return true;
  const auto peer = peers.find(from);
  if (peer == peers.end()) {
    ++stats.datagrams_strange;
    return false;
  }
  if (message.to() != state.self.raw() || message.to_epoch() < life_start ||
      message.epoch() < peer->second.epoch ||
      !IsProven(*options.signer, from, Said::kDatagram, bytes)) {
    ++stats.datagrams_forged;
    return false;
  }
  peer->second.newest_epoch = std::max(peer->second.newest_epoch, message.epoch());
  return true;
}

std::optional<MemberState> Membership::Impl::SaidByItself(const MemberRecord& record) {
  const auto says = [&](MemberState state) {
    return IsProof(record.info.id, Said::kMember, WordsOf(record, state), record.proof);
  };
  const MemberState told = record.info.state;
  if (told != MemberState::kStopped && says(MemberState::kAlive)) return MemberState::kAlive;
  if (says(MemberState::kStopped)) return MemberState::kStopped;
  Refuse("a record of a member that is not its own",
         {{"name", record.info.name}, {"id", record.info.id.ToString()}});
  return std::nullopt;
}

MemberRecord Membership::Impl::SelfRecord() {
  MemberRecord record{self(), epoch, {}};
  record.proof = Sign(Said::kMember, WordsOf(record, self().state));
  return record;
}

// ---- Newcomers --------------------------------------------------------------------------------

bool Membership::Impl::IsFound(const MemberInfo& told, const NodeId& teller) {
  const Address address = AddressOf(told);
  const auto known = state.members.find(told.id);
  const bool in_place = known != state.members.end() && AddressOf(known->second) == address;
  const bool called = found && found->first == told.id && found->second == address;
  if (options.signer == nullptr || newcomer || in_place || called) {
    newcomers.erase(told.id);
    return true;
  }
  if (newcomers.size() >= kNewcomersMax && !newcomers.contains(told.id)) return false;
  Newcomer& entry = newcomers[told.id];
  if (entry.address != address) {
    entry = {};
    entry.address = address;
  }
  entry.told_at = now;
  if (teller != told.id && peers.contains(teller)) entry.witnesses.insert(teller);
  if (entry.witnesses.size() >= kWitnessesEnough) {
    newcomers.erase(told.id);
    return true;
  }
  CallBack(entry);
  return false;
}

void Membership::Impl::CallBack(Newcomer& entry) {
  if (now < entry.call_at) return;
  if (IsUnspecified(entry.address.host) || IsSelf(entry.address)) {
    ++stats.newcomers_refused;
    entry.call_at = now + kCallBackInterval;
    entry.failure = NotFound(entry.address, IsUnspecified(entry.address.host)
                                                ? "it is no address of one host"
                                                : "it is the address of the node that was asked");
    return;
  }
  const auto calls =
      std::count_if(syncs.begin(), syncs.end(), [](const Sync& sync) { return sync.calls_back; });
  if (static_cast<std::size_t>(calls) >= kCallBacksMax) return;
  entry.call_at = now + kCallBackInterval;
  StartSync(entry.address, /*second=*/false, /*sections=*/{}, /*calls_back=*/true);
}

// `who` answered there.
void Membership::Impl::OnCalled(const Address& address, const NodeId& who) {
  for (auto& [id, entry] : newcomers) {
    if (entry.address != address || id == who) continue;
    ++stats.newcomers_refused;
    entry.failure = NotFound(address, "another node answers there");
  }
}

void Membership::Impl::OnCallFailed(const Address& address, const std::string& why) {
  for (auto& [id, entry] : newcomers) {
    if (entry.address != address) continue;
    ++stats.newcomers_refused;
    const bool news = entry.failure.empty();
    entry.failure = NotFound(address, why);
    if (!news) continue;
    Log(LogLevel::kWarn,
        "not let in: a node tells an address where it is not found; start it with --advertise",
        {{"id", id.ToString()}, {"address", address.ToString()}, {"error", why}});
  }
}

bool Membership::Impl::IsIntroduced(const NodeId& id) const {
  return options.signer == nullptr || (peers.contains(id) && !newcomers.contains(id));
}

void Membership::Impl::ForgetNewcomers() {
  std::erase_if(newcomers,
                [this](const auto& each) { return now - each.second.told_at > kNewcomerMemory; });
}

// ---- Deaths -----------------------------------------------------------------------------------

bool Membership::Impl::SeesDown(const NodeId& id) const {
  return accused.contains(id) || SeemsDown(now, id);
}

// Of its death in the incarnation that is known here, or of later news than that: none.
std::size_t Membership::Impl::Witnesses(const NodeId& id) const {
  const std::uint64_t incarnation = state.members.at(id).incarnation;
  const auto& said = peers.at(id).witnesses;
  return static_cast<std::size_t>(std::count_if(
      said.begin(), said.end(), [&](const auto& each) { return each.second == incarnation; }));
}

void Membership::Impl::HearDeath(const SuspicionRecord& record, const NodeId& teller) {
  if (!IsCredible(record.id, record.incarnation)) return;
  if (record.id == state.self) return OnSelfDead(record.incarnation, teller);
  const auto member = state.members.find(record.id);
  // Of a later life than is known, its own word comes first.
  if (member == state.members.end() || record.incarnation > member->second.incarnation) return;
  Peer& peer = peers.at(record.id);
  const bool known = member->second.state == MemberState::kDead &&
                     record.incarnation == member->second.incarnation;
  if (known || record.incarnation < peer.epoch) return Dead(record);
  std::uint64_t& said = peer.witnesses[teller];
  said = std::max(said, record.incarnation);
  const auto agree =
      std::count_if(peer.witnesses.begin(), peer.witnesses.end(),
                    [&](const auto& each) { return each.second >= record.incarnation; });
  if (static_cast<std::size_t>(agree) >= kWitnessesEnough) return Dead(record);
  if (record.incarnation < member->second.incarnation || !member->second.serving()) return;
  JudgeDeath(record.id);
  if (!member->second.serving()) return;
  // See for oneself: a process that is gone refuses at once, the next probe tells the rest.
  Suspect({record.id, record.incarnation, teller});
  StartSync(AddressOf(record.id));
  ProbeSoon(record.id);
}

void Membership::Impl::JudgeDeath(const NodeId& id) {
  const MemberInfo& member = state.members.at(id);
  if (!member.serving() || !SeesDown(id) || IsCutOff(id)) return;
  const auto& said = peers.at(id).witnesses;
  const auto witness = std::find_if(said.begin(), said.end(), [&](const auto& each) {
    return each.second == member.incarnation;
  });
  if (witness != said.end()) Dead({id, member.incarnation, witness->first});
}

// ---- The ring ---------------------------------------------------------------------------------

bool Membership::Impl::MayEnter(const RingEntry& entry) {
  if (IsProof(entry.id, Said::kRingEntry, WordsOf(entry), entry.proof)) return true;
  if (!entry.removed || !entry.proof.empty()) {
    Refuse("a ring entry of a member that is not its own", Describe(entry.id));
    return false;
  }
  if (entry.id == state.self) return true;
  const auto member = state.members.find(entry.id);
  return member == state.members.end() ? !OnRing(entry.id) : !member->second.serving();
}

void Membership::Impl::Enter(RingEntry entry) {
  ++entry.revision;
  entry.proof.clear();
  if (entry.id == state.self) entry.proof = Sign(Said::kRingEntry, WordsOf(entry));
  MergeRing(entry, state.self);
}

}  // namespace gyre
