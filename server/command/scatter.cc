#include "command/scatter.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "command/command_keys.h"
#include "command/messages.h"
#include "command/recording_slot.h"

namespace gyre {

// A command of very many keys, divided.
struct Scatter::Chunks {
  PendingCommandPtr pending;
  std::shared_ptr<Gather> gather;
  std::uint32_t key_count;
  std::uint32_t next = 0;
};

// Who has which of a command's keys.
struct Scatter::Division {
  PendingCommandPtr pending;
  std::vector<Key> keys;
  std::vector<std::uint32_t> local;  // positions
  std::map<NodeId, std::vector<std::uint32_t>> remote;
};

// The parts of keys that are here. Each list is of one part.
struct Scatter::LocalParts {
  PendingCommandPtr pending;
  std::vector<std::vector<std::uint32_t>> positions;
  std::shared_ptr<Gather> gather;
  std::size_t next = 0;
};

std::shared_ptr<Gather> Scatter::MakeGather(const PendingCommandPtr& pending,
                                            std::size_t key_count) {
  return std::make_shared<Gather>(Gather::KindOf(*pending), key_count, pending->reply,
                                  context_.gathered());
}

PendingCommandPtr Scatter::MakePart(const PendingCommandPtr& whole,
                                    std::vector<std::uint32_t> positions,
                                    const std::shared_ptr<Gather>& gather) {
  const std::vector<std::string_view> args = whole->ArgsAt(positions);
  gather->ExpectPart();
  return whole->Part(
      args, RecordingSlot::Make([gather, positions = std::move(positions)](
                                    Reply reply) { gather->Deliver(positions, std::move(reply)); },
                                context_.gathered()));
}

// ---- By number ----------------------------------------------------------------------------------

std::optional<std::size_t> Scatter::CountOrFail(PendingCommand& pending) const {
  const Command& command = pending.command;
  const std::size_t words = pending.request->args.size() - command.keys.first;
  if (words % command.keys.step == 0) return words / command.keys.step;
  pending.reply.FinishWithError(WrongArgumentCount(command.name));
  return std::nullopt;
}

void Scatter::InChunks(const PendingCommandPtr& pending) {
  const std::optional<std::size_t> key_count = CountOrFail(*pending);
  if (!key_count) return;
  RunChunk(std::make_shared<Chunks>(Chunks{.pending = pending,
                                           .gather = MakeGather(pending, *key_count),
                                           .key_count = static_cast<std::uint32_t>(*key_count)}));
}

void Scatter::RunChunk(const std::shared_ptr<Chunks>& chunks) {
  const std::uint32_t left = chunks->key_count - chunks->next;
  std::vector<std::uint32_t> positions(std::min<std::size_t>(left, kTogetherMax));
  std::iota(positions.begin(), positions.end(), chunks->next);
  chunks->next += static_cast<std::uint32_t>(positions.size());
  start_(MakePart(chunks->pending, std::move(positions), chunks->gather));
  if (chunks->next < chunks->key_count) {
    return context_.NextTurn([this, chunks] { RunChunk(chunks); });
  }
  chunks->gather->Started();
}

// ---- By owner -----------------------------------------------------------------------------------

void Scatter::ByOwner(const PendingCommandPtr& pending, const std::vector<Key>& keys) {
  Division division{.pending = pending, .keys = {}, .local = {}, .remote = {}};
  division.keys.reserve(keys.size());
  for (const Key& key : keys) Divide(division, key);
  RunDivided(division);
}

void Scatter::ByOwnerInSteps(const PendingCommandPtr& pending) {
  const std::optional<std::size_t> key_count = CountOrFail(*pending);
  if (!key_count) return;
  const auto division = std::make_shared<Division>(
      Division{.pending = pending, .keys = {}, .local = {}, .remote = {}});
  division->keys.reserve(*key_count);
  DivideMore(division, *key_count);
}

void Scatter::DivideMore(const std::shared_ptr<Division>& division, std::size_t key_count) {
  const PendingCommand& pending = *division->pending;
  const std::size_t end = std::min(key_count, division->keys.size() + kTogetherMax);
  while (division->keys.size() < end) {
    const std::size_t index =
        pending.command.keys.first + division->keys.size() * pending.command.keys.step;
    const Result<Key> key =
        KeyOf(context_.services().engine, pending.command, pending.request->args[index]);
    if (!key) return division->pending->reply.FinishWithError(key.error());
    Divide(*division, *key);
  }
  if (end < key_count) {
    return context_.NextTurn([this, division, key_count] { DivideMore(division, key_count); });
  }
  RunDivided(*division);
}

void Scatter::Divide(Division& division, const Key& key) {
  const ClusterView* known = context_.view();
  const MemberIndex owner = known == nullptr
                                ? kNoMember
                                : AnswererOf(*known, division.pending->command, key.partition,
                                             context_.options().replicas_stand_in);
  const bool here = owner == kNoMember || owner == known->self || waiting_.Blocks(key.partition);
  (here ? division.local : division.remote[known->members[owner].id])
      .push_back(static_cast<std::uint32_t>(division.keys.size()));
  division.keys.push_back(key);
}

void Scatter::RunDivided(Division& division) {
  counters_[&RouterStats::scattered].Add(1);
  const PendingCommandPtr& pending = division.pending;
  const Command& command = pending->command;
  const std::vector<Key>& keys = division.keys;
  const std::vector<std::uint32_t>& local = division.local;
  std::map<NodeId, std::vector<std::uint32_t>>& remote = division.remote;
  const bool streams = remote.empty() && command.fold == Fold::kArray && command.Is(kReadOnly) &&
                       !command.Is(kPartitionKeys);
  if (streams && streams_.Start(pending, keys.size())) return;
  const std::shared_ptr<Gather> gather = MakeGather(pending, keys.size());
  if (gather->failed()) return gather->Started();
  for (auto& [node, positions] : remote) {
    ForwardPart(pending, node, std::move(positions), keys, gather);
  }
  // Once the keys of other nodes are away, those that are left may be one step.
  const bool together = !remote.empty() && local.size() <= kTogetherMax;
  std::map<PartitionId, std::vector<std::uint32_t>> by_partition;
  const auto parts = std::make_shared<LocalParts>(
      LocalParts{.pending = pending, .positions = {}, .gather = gather});
  for (const std::uint32_t position : local) {
    std::vector<std::uint32_t>& part = by_partition[together ? 0 : keys[position].partition];
    part.push_back(position);
    if (part.size() == kTogetherMax) parts->positions.push_back(std::exchange(part, {}));
  }
  for (auto& [partition, positions] : by_partition) {
    if (!positions.empty()) parts->positions.push_back(std::move(positions));
  }
  gather->ExpectPart();  // stands for the parts that have not begun
  StartLocalParts(parts);
  gather->Started();
}

void Scatter::ForwardPart(const PendingCommandPtr& pending, const NodeId& to,
                          std::vector<std::uint32_t> positions, const std::vector<Key>& keys,
                          const std::shared_ptr<Gather>& gather) {
  const Key& first = keys[positions.front()];
  const PendingCommandPtr part = MakePart(pending, std::move(positions), gather);
  const ClusterView* const known = context_.view();
  const Route route = RouteFor(known, first.partition, Role::kAbsent, *part->request, part->origin);
  const MemberIndex member = known == nullptr ? kNoMember : known->Find(to);
  if (route == Route::kForward && member != kNoMember) {
    return forwarder_.Forward(part, known->members[member], first.partition);
  }
  // Another view came meanwhile.
  if (route == Route::kForward || route == Route::kWait) return start_(part);
  part->reply.FinishWithError(NotOwnerError());
}

void Scatter::StartLocalParts(const std::shared_ptr<LocalParts>& parts) {
  std::size_t keys = 0;
  while (parts->next < parts->positions.size() && !parts->gather->failed()) {
    if (keys >= kTogetherMax) return context_.NextTurn([this, parts] { StartLocalParts(parts); });
    std::vector<std::uint32_t>& positions = parts->positions[parts->next++];
    keys += positions.size();
    start_(MakePart(parts->pending, std::move(positions), parts->gather));
  }
  parts->gather->Started();
}

}  // namespace gyre
