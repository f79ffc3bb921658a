// The dispatcher's rule and the commands, on virtual time: what server/command does for SET, GET,
// DEL, INCR and memcached's cas.
#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <utility>

#include "sim/sim_node.h"

namespace gyre::sim {
namespace {

std::string Join(std::initializer_list<std::string_view> fields) {
  std::string bytes;
  for (std::string_view field : fields) {
    if (!bytes.empty()) bytes += '\n';
    bytes += field;
  }
  return bytes;
}

std::string_view Next(std::string_view& bytes) {
  const std::size_t end = bytes.find('\n');
  const std::string_view field = bytes.substr(0, end);
  bytes = end == std::string_view::npos ? std::string_view() : bytes.substr(end + 1);
  return field;
}

std::uint64_t NextNumber(std::string_view& bytes) {
  const std::string_view field = Next(bytes);
  std::uint64_t number = 0;
  std::from_chars(field.data(), field.data() + field.size(), number);
  return number;
}

constexpr std::size_t kBytesOfEvicted = 10'000;
constexpr Duration kOwnerPause = milliseconds(2);
constexpr Duration kForwardPause = milliseconds(5);
constexpr Duration kForwardTimeout = seconds(2);

}  // namespace

std::string Encode(const Operation& operation) {
  return Join({std::string(1, static_cast<char>(operation.kind)), std::to_string(operation.hops),
               std::to_string(operation.id), std::to_string(operation.token), operation.key,
               operation.value});
}

Operation DecodeOperation(const std::string& bytes) {
  std::string_view rest = bytes;
  Operation operation;
  operation.kind = static_cast<Operation::Kind>(Next(rest)[0]);
  operation.hops = static_cast<std::uint32_t>(NextNumber(rest));
  operation.id = NextNumber(rest);
  operation.token = NextNumber(rest);
  operation.key = Next(rest);
  operation.value = Next(rest);
  return operation;
}

std::string Encode(const Answer& answer) {
  return Join({std::string(1, static_cast<char>(answer.kind)), std::to_string(answer.token),
               answer.value, answer.by});
}

Answer DecodeAnswer(std::string_view bytes) {
  Answer answer;
  answer.kind = static_cast<Answer::Kind>(Next(bytes)[0]);
  answer.token = NextNumber(bytes);
  answer.value = Next(bytes);
  answer.by = Next(bytes);
  return answer;
}

void SimNode::Execute(const Operation& operation, TimePoint deadline,
                      const std::function<void(Answer)>& reply) {
  if (world_.now() >= deadline) return reply({Answer::Kind::kRefused, "late"});
  Loop& loop = AnyLoop();
  const ClusterViewPtr view = views_.Load();
  const Key key = engine_->KeyOf(operation.key);
  const MemberIndex owner = view == nullptr ? kNoMember : view->owner[key.partition];
  Duration pause = kForwardPause;
  if (owner != kNoMember && owner == view->self) {
    if (Run(operation, key, loop, reply)) return;
    pause = kOwnerPause;
  } else if (owner != kNoMember) {
    if (operation.hops >= kForwardHopsMax) return reply({Answer::Kind::kNotOwner});
    return Forward(operation, view->members[owner].id, loop, deadline, reply);
  }
  loop.links.transport.After(
      pause, [this, operation, deadline, reply] { Execute(operation, deadline, reply); });
}

void SimNode::Forward(const Operation& operation, const NodeId& owner, Loop& loop,
                      TimePoint deadline, const std::function<void(Answer)>& reply) {
  const auto retry = [this, &loop, operation, deadline, reply](Duration pause) {
    loop.links.transport.After(
        pause, [this, operation, deadline, reply] { Execute(operation, deadline, reply); });
  };
  Operation forwarded = operation;
  ++forwarded.hops;
  loop.links.transport.Call(owner, FrameType::kRequest, Encode(forwarded), kForwardTimeout,
                            [retry, operation, reply](Result<std::string_view> bytes) {
                              if (!bytes) {
                                const bool unsent = bytes.error().code == ErrorCode::kUnavailable;
                                if (unsent || operation.is_read()) return retry(kForwardPause);
                                return reply({Answer::Kind::kUnknown, bytes.error().message});
                              }
                              const Answer answer = DecodeAnswer(*bytes);
                              if (answer.kind == Answer::Kind::kNotOwner) return retry(kOwnerPause);
                              reply(answer);
                            });
}

// `answer`, or a write that waits for its acknowledgements and is then answered with `result`.
struct SimNode::Done {
  std::optional<Answer> answer;
  Replicator::Ticket ticket = 0;
  Answer result = {};
};

// False: this node does not order the partition's writes now.
bool SimNode::Run(const Operation& operation, const Key& key, Loop& loop,
                  const std::function<void(Answer)>& reply) {
  Done done;
  {
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    if (shard.info(key.partition).role != Role::kOwner) return false;
    if (!operation.is_read() && !options_.act_when_stale && !table_->self_fence.Holds()) {
      return false;
    }
    // Virtual time stands still while a command runs, so what holds before holds after.
    const UnixMillis stamp = std::max(world_.unix_now(index_), shard.clock_millis() + 1);
    if (leases_ && !(leases_->Holds(key.partition, world_.now()) && leases_->MayStamp(stamp))) {
      return false;
    }
    done = Apply(operation, key, shard, *loop.replicator);
  }
  if (done.answer) {
    reply(*done.answer);
    return true;
  }
  if (on_write) on_write(key.partition, operation);
  loop.replicator->Await(done.ticket, 0, [reply, result = done.result](const Status& status) {
    if (status) return reply(result);
    reply({Answer::Kind::kUnknown, status.error().message});
  });
  loop.replicator->Flush();
  return true;
}

SimNode::Done SimNode::Apply(const Operation& operation, const Key& key, Shard& shard,
                             Replicator& replicator) {
  const UnixMillis now = world_.unix_now(index_);
  const std::string by = By(key.partition);
  const RecordView record = shard.Find(key, now);
  if (operation.is_read()) {
    if (!record) return {Answer{Answer::Kind::kMiss, "", 0, by}};
    std::string value;
    record.ForEachChunk([&value](std::string_view chunk) { value += chunk; });
    value.resize(std::min(value.size(), value.find(' ')));
    return {Answer{Answer::Kind::kValue, value, record.version(), by}};
  }
  if (!replicator.Check(key.partition, 0)) {
    return {Answer{Answer::Kind::kRefused, "too few replicas", 0, by}};
  }
  if (operation.kind == Operation::Kind::kDelete) {
    const Version version = shard.NextVersion(now);
    const bool existed = shard.Remove(key, version, now);
    Done done;
    if (existed || !options_.delete_only_what_is_here) {
      done.ticket = replicator.SubmitRemoval(key, version);
    }
    done.result = {existed ? Answer::Kind::kOk : Answer::Kind::kMiss, "", 0, by};
    return done;
  }
  std::string value = operation.value;
  if (operation.kind == Operation::Kind::kIncrement) {
    value = std::to_string((record ? std::stoull(std::string(record.value())) : 0) + 1);
  }
  if (operation.kind == Operation::Kind::kSwap) {
    const Version version = record ? record.version() : 0;
    if (version != operation.token) return {Answer{Answer::Kind::kLost, "", 0, by}};
  }
  // Blanks behind a number change nothing for who reads it.
  if (options_.evicts) value.resize(kBytesOfEvicted, ' ');
  const Result<RecordView> stored =
      shard.Store(key, value, kNeverExpires, 0, shard.NextVersion(now));
  if (!stored) return {Answer{Answer::Kind::kRefused, stored.error().message, 0, by}};
  Done done;
  done.ticket = replicator.Submit(key.partition, *stored);
  done.result = {Answer::Kind::kOk, value, stored->version(), by};
  return done;
}

std::string SimNode::By(PartitionId partition) const {
  return "n" + std::to_string(index_) + " for partition " + std::to_string(partition);
}

}  // namespace gyre::sim
