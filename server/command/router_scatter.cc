// The router's commands of several keys: on several nodes, or very many.

#include <algorithm>
#include <map>
#include <new>
#include <numeric>
#include <utility>

#include "command/messages.h"
#include "command/recording_slot.h"
#include "command/router.h"

namespace gyre {
namespace {

// Keys run here in one turn of the loop.
constexpr std::size_t kKeysPerTurn = 1024;

// The reply to one key as the reply to a command with that key alone.
Reply Folded(const Command& command, Reply reply) {
  if (command.fold != Fold::kArray || reply.kind == Reply::Kind::kError) return reply;
  Reply list;
  list.kind = Reply::Kind::kList;
  list.elements.push_back(std::move(reply));
  return list;
}

Reply FailureOf(const Error& error) {
  Reply failure;
  failure.kind = Reply::Kind::kError;
  failure.error = error.code;
  failure.bytes = error.message;
  return failure;
}

}  // namespace

// Keys that are run here one by one, over several turns where they are many.
struct Router::LocalWork {
  PendingCommandPtr pending;
  std::vector<Key> keys;  // of the whole command; their bytes are those of the pending command
  std::vector<std::uint32_t> positions;
  std::shared_ptr<Gather> gather;
  std::size_t next = 0;
};

// A command of very many keys, divided.
struct Router::Chunks {
  PendingCommandPtr pending;
  std::shared_ptr<Gather> gather;
  std::uint32_t key_count;
  std::uint32_t next = 0;
};

// Values are gathered in one list, whoever reads them; what is written or counted is not.
bool Router::NeedsChunks(const Command& command, Arguments args) {
  if (command.fold != Fold::kSum && command.fold != Fold::kAllOk) return false;
  return args.size() > command.keys.first + kTogetherMax * command.keys.step;
}

void Router::BeginChunks(const PendingCommandPtr& pending) {
  const Command& command = pending->command;
  const std::size_t words = pending->request->args.size() - command.keys.first;
  if (words % command.keys.step != 0) {
    return pending->reply.FinishWithError(WrongArgumentCount(command.name));
  }
  const std::size_t key_count = words / command.keys.step;
  auto chunks = std::make_shared<Chunks>();
  chunks->pending = pending;
  chunks->gather = std::make_shared<Gather>(command.fold, key_count, pending->reply, gathered());
  chunks->key_count = static_cast<std::uint32_t>(key_count);
  RunChunk(chunks);
}

void Router::RunChunk(const std::shared_ptr<Chunks>& chunks) {
  const std::uint32_t left = chunks->key_count - chunks->next;
  std::vector<std::uint32_t> positions(std::min<std::size_t>(left, kTogetherMax));
  std::iota(positions.begin(), positions.end(), chunks->next);
  chunks->next += static_cast<std::uint32_t>(positions.size());
  Resume(MakePart(chunks->pending, std::move(positions), chunks->gather));
  if (chunks->next < chunks->key_count) return NextTurn([this, chunks] { RunChunk(chunks); });
  chunks->gather->Started();
}

void Router::Scatter(const PendingCommandPtr& pending, std::vector<Key> keys) {
  ++stats_.scattered;
  auto work = std::make_shared<LocalWork>();
  std::map<NodeId, std::vector<std::uint32_t>> remote;
  const ClusterView* known = view();
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    const PartitionId partition = keys[i].partition;
    const MemberIndex owner =
        known == nullptr ? kNoMember : AnswererOf(*known, pending->command, partition);
    const bool here = owner == kNoMember || owner == known->self || waiting_.Blocks(partition);
    (here ? work->positions : remote[known->members[owner].id]).push_back(i);
  }
  const bool streams = remote.empty() && pending->command.fold == Fold::kArray &&
                       pending->command.Is(kReadOnly) && !pending->command.Is(kPartitionKeys);
  if (streams && StreamKeys(pending, keys.size())) return;
  auto gather =
      std::make_shared<Gather>(pending->command.fold, keys.size(), pending->reply, gathered());
  if (gather->failed()) return gather->Started();
  for (auto& [node, positions] : remote) {
    ForwardPart(pending, node, std::move(positions), keys, gather);
  }
  if (!work->positions.empty()) {
    gather->ExpectPart();  // stands for the keys that have not begun
    work->pending = pending;
    work->keys = std::move(keys);
    work->gather = gather;
    RunLocalParts(work);
  }
  gather->Started();
}

void Router::ForwardPart(const PendingCommandPtr& pending, const NodeId& to,
                         std::vector<std::uint32_t> positions, const std::vector<Key>& keys,
                         const std::shared_ptr<Gather>& gather) {
  const Key& first = keys[positions.front()];
  const PendingCommandPtr part = MakePart(pending, std::move(positions), gather);
  const Route route = RouteFor(first.partition, Role::kAbsent, *part->request, part->origin);
  if (route == Route::kForward) return Forward(part, to, first.partition);
  if (route == Route::kWait) return Resume(part);  // another view came meanwhile
  part->reply.FinishWithError(Refusal(Route::kNotOwner, first));
}

PendingCommandPtr Router::MakePart(const PendingCommandPtr& whole,
                                   std::vector<std::uint32_t> positions,
                                   const std::shared_ptr<Gather>& gather) {
  const std::vector<std::string_view>& args = whole->request->args;
  const std::size_t first = whole->command.keys.first;
  const std::size_t step = whole->command.keys.step;
  std::vector<std::string_view> part_args(args.begin(), args.begin() + first);
  for (const std::uint32_t position : positions) {
    const auto key = args.begin() + first + position * step;
    part_args.insert(part_args.end(), key, key + step);
  }
  gather->ExpectPart();
  const auto part = std::make_shared<PendingCommand>(
      PendingCommand::Charge(), whole->command, OwnedRequest(*whole->request, part_args),
      whole->origin, whole->deadline,
      RecordingSlot::Make([gather, positions = std::move(positions)](
                              Reply reply) { gather->Deliver(positions, std::move(reply)); },
                          gathered()));
  part->maybe_applied = whole->maybe_applied;
  return part;
}

void Router::RunLocalParts(const std::shared_ptr<LocalWork>& work) {
  if (work->gather->failed()) return work->gather->Started();
  for (std::size_t i = 0; i < kKeysPerTurn && work->next < work->positions.size(); ++i) {
    RunLocalPart(*work, work->positions[work->next++]);
  }
  if (work->next < work->positions.size()) {
    return NextTurn([this, work] { RunLocalParts(work); });
  }
  work->gather->Started();  // closes the part that stood for them
}

void Router::RunLocalPart(LocalWork& work, std::uint32_t position) {
  const Command& command = work.pending->command;
  const Request& request = *work.pending->request;
  const Key& key = work.keys[position];
  Executor::Execution done;
  ReplyRecorder recorder(gathered());
  const std::uint32_t acks = AcksOf(request);
  if (!waiting_.Blocks(key.partition)) {
    const std::size_t key_index = command.keys.first + position * command.keys.step;
    try {
      done = executor_.Run(command, request.args, key_index, key, work.pending->origin, acks, now(),
                           recorder, Executor::Says::kElement);
    } catch (const std::bad_alloc&) {
      work.gather->ExpectPart();
      return work.gather->Deliver({position}, FailureOf(ReplyTooLarge()));
    }
  }
  if (!done.executed) return Resume(MakePart(work.pending, {position}, work.gather));

  work.gather->ExpectPart();
  if (done.overrun) {
    return work.gather->Deliver({position}, FailureOf(executor_.first_error()));
  }
  Reply reply = Folded(command, recorder.Take());
  if (done.ticket != 0) newest_pending_ticket_ = done.ticket;
  if (done.ticket == 0 || acks <= 1) return work.gather->Deliver({position}, std::move(reply));
  services_.replicator.Await(
      done.ticket, acks,
      [gather = work.gather, position, reply = std::move(reply)](const Status& status) {
        gather->Deliver({position}, status ? reply : FailureOf(status.error()));
      });
}

}  // namespace gyre
