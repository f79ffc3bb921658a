// Commands at a node: the dispatcher of production, for clients and for other nodes, on virtual
// time.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "command/recording_slot.h"
#include "proto/result.h"
#include "sim/sim_node.h"
#include "support/native_bytes.h"

namespace gyre::sim {
namespace {

constexpr std::size_t kBytesOfEvicted = 10'000;

// The answer to one request, wherever it is said.
class SlotResponder final : public Responder {
 public:
  explicit SlotResponder(PendingReply reply) : reply_(std::move(reply)) {}
  ReplyWriter& writer() override { return reply_.writer(); }
  PendingReply Defer() override {
    deferred_ = true;
    return reply_;
  }
  // After Handle.
  void Returned() {
    if (!deferred_) reply_.Finish();
  }

 private:
  PendingReply reply_;
  bool deferred_ = false;
};

// Blanks behind a number change nothing for who reads it.
std::string Stored(std::string value, bool large) {
  if (large) value.resize(kBytesOfEvicted, ' ');
  return value;
}

std::vector<std::string> CommandOnAll(const Operation& operation, bool large) {
  const bool sets = operation.kind == Operation::Kind::kSetAll;
  const bool reads = operation.kind == Operation::Kind::kGetAll;
  std::vector<std::string> words = {sets ? "MSET" : reads ? "MGET" : "DEL"};
  for (std::size_t i = 0; i < operation.keys.size(); ++i) {
    words.push_back(operation.keys[i]);
    if (sets) words.push_back(Stored(operation.values[i], large));
  }
  return words;
}

std::vector<std::string> CommandOf(const Operation& operation, bool large) {
  const std::string value = Stored(operation.value, large);
  switch (operation.kind) {
    case Operation::Kind::kGet:
      return {"GET", operation.key};
    case Operation::Kind::kSet:
      return {"SET", operation.key, value};
    case Operation::Kind::kDelete:
      return {"DEL", operation.key};
    case Operation::Kind::kIncrement:
      return {"INCR", operation.key};
    case Operation::Kind::kGetAll:
    case Operation::Kind::kSetAll:
    case Operation::Kind::kDeleteAll:
      return CommandOnAll(operation, large);
    case Operation::Kind::kSwap:
      break;
  }
  if (operation.token == 0) return {"mc.add", operation.key, "0", "0", value};
  return {"mc.cas", operation.key, "0", "0", std::to_string(operation.token), value};
}

Answer AnswerOfError(const Reply& reply) {
  switch (reply.error) {
    case ErrorCode::kUnknownOutcome:
      return {Answer::Kind::kUnknown, reply.bytes};
    // Of these a client is promised that nothing was written.
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kTooFewReplicas:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kClosed:
      return {Answer::Kind::kRefused, reply.bytes};
    default:
      ADD_FAILURE() << "no client should be told " << ErrorCodeName(reply.error) << ": "
                    << reply.bytes;
      return {Answer::Kind::kUnknown, reply.bytes};
  }
}

Answer AnswerOf(const Operation& operation, Reply reply) {
  switch (reply.kind) {
    case Reply::Kind::kError:
      return AnswerOfError(reply);
    case Reply::Kind::kRecord:
      reply.bytes.resize(std::min(reply.bytes.size(), reply.bytes.find(' ')));
      return {Answer::Kind::kValue, std::move(reply.bytes), reply.version};
    case Reply::Kind::kNull:
      return {Answer::Kind::kMiss};
    case Reply::Kind::kBulk: {
      const std::size_t end = std::min(reply.bytes.size(), reply.bytes.find(' '));
      return {Answer::Kind::kValue, reply.bytes.substr(0, end)};
    }
    case Reply::Kind::kList: {
      Answer all{Answer::Kind::kOk};
      for (Reply& each : reply.elements) all.each.push_back(AnswerOf(operation, std::move(each)));
      return all;
    }
    case Reply::Kind::kInteger:
      if (operation.kind == Operation::Kind::kDelete) {
        return {reply.integer == 0 ? Answer::Kind::kMiss : Answer::Kind::kOk};
      }
      return {Answer::Kind::kOk, std::to_string(reply.integer)};
    case Reply::Kind::kOutcome: {
      const bool done = reply.outcome == Outcome::kOk || reply.outcome == Outcome::kStored;
      return {done ? Answer::Kind::kOk : Answer::Kind::kLost};
    }
    default:
      ADD_FAILURE() << "a reply of a kind that no such command gives";
      return {Answer::Kind::kUnknown};
  }
}

}  // namespace

void SimNode::MakeDispatcher(Loop& loop) {
  loop.watched =
      std::make_unique<WatchedReplicator>(*loop.replicator, [this](const SubmittedWrite& write) {
        if (IsLogged(LogLevel::kDebug)) {
          LogDebug("orders", {{"at_ms", world_.unix_now() % 1'000'000},
                              {"of", index_},
                              {"write", write.value ? write.value->substr(0, write.value->find(' '))
                                                    : "a removal"},
                              {"key", write.key},
                              {"partition", write.partition}});
        }
        if (on_write) on_write(write);
      });
  loop.clients.protocol = loop.peers.protocol = Protocol::kNative;
  loop.dispatcher = std::make_unique<Dispatcher>(
      Services{.engine = *engine_,
               .views = views_,
               .sessions = sessions_,
               .replication = *table_,
               .report = report_,
               .settings = settings_,
               .replicator = *loop.watched,
               .transport = loop.links.transport,
               .peers = loop,
               .ring = ring_,
               .unix_now = [this] { return world_.unix_now(index_); },
               .steady_now = [this] { return world_.now(); }},
      DispatcherOptions{.write_acks = options_.write_acks,
                        .replicas_stand_in = !table_->fence.uses_leases()});
}

void SimNode::Loop::Handle(std::string_view payload, std::optional<NodeId>& /*speaker*/,
                           std::function<void(std::string)> reply) {
  service->Handle(payload, std::move(reply));
}

void SimNode::Run(Loop& loop, Session& session, Request& request, std::function<void(Reply)> done) {
  request.waited = world_.waited() && !options_.act_when_stale;
  loop.watched->forgets_removals = options_.delete_only_what_is_here && request.args.size() == 2 &&
                                   request.args[0] == "DEL" &&
                                   Copy(std::string(request.args[1])) == "nothing";
  // What a dead process would have said is never heard.
  SlotResponder responder(
      RecordingSlot::Make([life = std::weak_ptr<bool>(life_), done = std::move(done)](Reply reply) {
        if (!life.expired()) done(std::move(reply));
      }));
  loop.dispatcher->Handle(request, session, responder);
  loop.watched->forgets_removals = false;
  responder.Returned();
  loop.dispatcher->EndOfBatch();
}

void SimNode::Execute(const Operation& operation, TimePoint deadline,
                      std::function<void(Answer)> reply) {
  const std::vector<std::string> words = CommandOf(operation, options_.evicts);
  Request request;
  request.args.assign(words.begin(), words.end());
  request.deadline_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(
      1, std::chrono::duration_cast<milliseconds>(deadline - world_.now()).count()));
  Loop& loop = AnyLoop();
  Run(loop, loop.clients, request, [operation, reply = std::move(reply)](Reply answer) {
    reply(AnswerOf(operation, std::move(answer)));
  });
}

void SimNode::OnForwarded(NodeIndex from, std::string_view payload,
                          std::function<void(std::string)> reply) {
  Loop& loop = AnyLoop();
  loop.peers.peer = IdOf(from);
  const bool whole = testing::WithNativeRequest(payload, [&](Request& request) {
    Run(loop, loop.peers, request, [reply = std::move(reply)](const Reply& answer) {
      reply(testing::EncodeNativeReply(answer));
    });
  });
  EXPECT_TRUE(whole) << "a node sent what is no request";
}

}  // namespace gyre::sim
