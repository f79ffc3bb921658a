// The router's scattered commands: keys on several nodes.

#include <map>
#include <utility>

#include "command/recording_slot.h"
#include "command/router.h"

namespace gyre {
namespace {

// Keys run here in one turn of the loop.
constexpr std::size_t kKeysPerTurn = 1024;
constexpr std::size_t kSlowKeysPerTurn = 4;
// Keys of a slow command in one part sent to another node, so that each reply fits a frame.
constexpr std::size_t kSlowKeysPerPart = 32;

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
  ErrandPtr errand;
  std::vector<Key> keys;  // of the whole command; their bytes are the errand's
  std::vector<std::uint32_t> positions;
  std::shared_ptr<Gather> gather;
  std::size_t next = 0;
};

void Router::Scatter(const ErrandPtr& errand, std::vector<Key> keys) {
  ++stats_.scattered;
  auto gather = std::make_shared<Gather>(errand->command, keys.size(), errand->reply);
  auto work = std::make_shared<LocalWork>();
  std::map<MemberIndex, std::vector<std::uint32_t>> remote;
  const ClusterView* known = view();
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    const PartitionId partition = keys[i].partition;
    const MemberIndex owner = AnswererOf(errand->command, partition);
    const bool here = owner == kNoMember || owner == known->self || waiting_.Blocks(partition);
    (here ? work->positions : remote[owner]).push_back(i);
  }
  for (const auto& [owner, positions] : remote) {
    ForwardParts(errand, owner, positions, keys, gather);
  }
  if (!work->positions.empty()) {
    gather->ExpectPart();  // stands for the keys that have not begun
    work->errand = errand;
    work->keys = std::move(keys);
    work->gather = gather;
    RunLocalParts(work);
  }
  gather->Started();
}

void Router::ForwardParts(const ErrandPtr& errand, MemberIndex owner,
                          const std::vector<std::uint32_t>& positions, const std::vector<Key>& keys,
                          const std::shared_ptr<Gather>& gather) {
  const std::size_t part_size = errand->command.Is(kSlow) ? kSlowKeysPerPart : positions.size();
  for (std::size_t begin = 0; begin < positions.size(); begin += part_size) {
    const std::size_t end = std::min(begin + part_size, positions.size());
    const Key& first = keys[positions[begin]];
    const ErrandPtr part = MakePart(
        errand, std::vector<std::uint32_t>(positions.begin() + begin, positions.begin() + end),
        gather);
    const Road road = RoadFor(first.partition, Role::kAbsent, *part->request, part->origin);
    if (road == Road::kForward) {
      Forward(part, owner, first.partition);
    } else {
      part->reply.FinishWithError(Refusal(Road::kNotOwner, first));
    }
  }
}

ErrandPtr Router::MakePart(const ErrandPtr& whole, std::vector<std::uint32_t> positions,
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
  auto part = std::make_shared<Errand>(
      whole->command, OwnedRequest(*whole->request, part_args), whole->origin, whole->deadline,
      RecordingSlot::Make([gather, positions = std::move(positions)](Reply reply) {
        gather->Deliver(positions, std::move(reply));
      }));
  part->maybe_applied = whole->maybe_applied;
  return part;
}

void Router::RunLocalParts(const std::shared_ptr<LocalWork>& work) {
  const std::size_t budget = work->errand->command.Is(kSlow) ? kSlowKeysPerTurn : kKeysPerTurn;
  for (std::size_t i = 0; i < budget && work->next < work->positions.size(); ++i) {
    RunLocalPart(*work, work->positions[work->next++]);
  }
  if (work->next < work->positions.size()) {
    return Later(Duration(0), [this, work] { RunLocalParts(work); });
  }
  work->gather->Started();  // closes the part that stood for them
}

void Router::RunLocalPart(LocalWork& work, std::uint32_t position) {
  const Command& command = work.errand->command;
  const Request& request = *work.errand->request;
  const Key& key = work.keys[position];
  Executor::Execution done;
  ReplyRecorder recorder;
  const std::uint32_t acks = AcksOf(request);
  if (!waiting_.Blocks(key.partition)) {
    const std::size_t key_index = command.keys.first + position * command.keys.step;
    done = executor_.Run(command, request.args, key_index, key, work.errand->origin, acks, now(),
                         recorder, Executor::Says::kElement);
  }
  if (!done.executed) return Resume(MakePart(work.errand, {position}, work.gather));

  work.gather->ExpectPart();
  if (done.overrun) {
    return work.gather->Deliver({position}, FailureOf(executor_.first_error()));
  }
  Reply reply = Folded(command, recorder.Take());
  if (done.ticket != 0) newest_errand_ticket_ = done.ticket;
  if (done.ticket == 0 || acks <= 1) return work.gather->Deliver({position}, std::move(reply));
  services_.replicator.Await(
      done.ticket, acks,
      [gather = work.gather, position, reply = std::move(reply)](const Status& status) {
        gather->Deliver({position}, status ? reply : FailureOf(status.error()));
      });
}

}  // namespace gyre
