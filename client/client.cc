// The typed calls: each builds a command, submits it, and has its reply read into an Operation. The
// blocking forms wait for that of the asynchronous one.
#include "gyre/client.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "client/client_core.h"
#include "client/command_traits.h"
#include "client/feed_connections.h"
#include "client/operation_state.h"
#include "client/reply_reader.h"
#include "client/reply_sink.h"
#include "client/wire.h"
#include "proto/result.h"

namespace gyre::client {

static_assert(static_cast<int>(ErrorCode::kNotAllowed) ==
                  static_cast<int>(gyre::ErrorCode::kNotAllowed),
              "the first block of client codes has the numbers of the native protocol");

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCannotConnect:
      return "cannot_connect";
    case ErrorCode::kOverloaded:
      return "overloaded";
    case ErrorCode::kCancelled:
      return "cancelled";
    default:
      return gyre::ErrorCodeName(static_cast<gyre::ErrorCode>(code));
  }
}

using Args = std::vector<std::string_view>;

namespace {

// Turns the Value of a reply into what the call promises.
template <typename T>
using Read = Result<T> (*)(Value);

// The state of an operation that is at the same time who its requests report to.
template <typename Outcome, typename Reader>
class Replies final : public OperationState<Outcome>, public ReplySink {
 public:
  Replies(std::size_t count, const ClientCore& core, Reader reader)
      : OperationState<Outcome>(count, core.io_thread()), reader_(std::move(reader)) {}

  void OnReply(std::size_t index, Result<Value> reply) override {
    if (!reply) return this->Set(index, reply.error());
    this->Set(index, reader_(std::move(*reply)));
  }

 private:
  Reader reader_;
};

// An operation that failed before anything was sent.
template <typename Outcome>
Operation<Outcome> Failed(const Error& error, std::size_t count = 1) {
  return Operation<Outcome>(std::make_shared<OperationState<Outcome>>(count, error));
}

// As blocking calls have it.
CallOptions Blocking(const CallOptions& call) {
  CallOptions blocking = call;
  blocking.wait_for_room = true;
  return blocking;
}

}  // namespace

class Client::Impl {
 public:
  explicit Impl(std::shared_ptr<ClientCore> core) : core_(std::move(core)) {}
  ~Impl() {
    if (core_ == nullptr) return;
    core_->forked() ? Abandon() : core_->Stop();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Why nothing can be asked of it; nothing: it is well.
  std::optional<Error> Unusable() const {
    if (core_ == nullptr) {
      return Error{ErrorCode::kNotAllowed,
                   "this client was moved from: use the one that it was moved to"};
    }
    if (core_->forked()) {
      return Error{ErrorCode::kNotAllowed,
                   "this client belongs to the parent process: call Connect again behind fork()"};
    }
    return {};
  }

  // Null where it was moved from.
  ClientCore* core() const { return core_.get(); }

  // One command. Owns nothing of `args` once it returns. `reader`: Value -> Result<T>, called on the
  // I/O thread.
  template <typename T, typename Reader>
  Operation<Result<T>> Start(const Args& args, const CallOptions& call, Reader reader,
                             const std::string& pinned = {}) {
    using Outcome = Result<T>;
    if (auto error = Refusal(call)) return Failed<Outcome>(*error);
    Result<std::unique_ptr<Request>> request = MakeRequest(args, call, Clock::now(), pinned);
    if (!request) return Failed<Outcome>(request.error());
    const auto replies = std::make_shared<Replies<Outcome, Reader>>(1, *core_, std::move(reader));
    (*request)->sink = replies;
    core_->Submit({&*request, 1}, call.wait_for_room);
    return Operation<Outcome>(replies);
  }
  template <typename T>
  Operation<Result<T>> Start(const Args& args, const CallOptions& call, Read<T> read) {
    return Start<T, Read<T>>(args, call, read);
  }

  // `count` commands; `command(index, add)` calls add(Args) with each. Each is a request of its own,
  // so that it is routed and retried for itself, but they are handed over together.
  template <typename T, typename Commands>
  Operation<std::vector<Result<T>>> StartMany(std::size_t count, const CallOptions& call,
                                              Read<T> read, Commands&& command) {
    using Outcome = std::vector<Result<T>>;
    if (auto error = Refusal(call)) return Failed<Outcome>(*error, count);
    const auto replies = std::make_shared<Replies<Outcome, Read<T>>>(count, *core_, read);
    const TimePoint started = Clock::now();
    std::vector<std::unique_ptr<Request>> gathered;
    gathered.reserve(std::min(count, kGatheredMax));
    std::size_t gathered_bytes = 0;
    std::optional<Error> error;  // of what is submitted, and so of all behind it
    for (std::size_t index = 0; index < count; ++index) {
      if (error) {
        replies->OnReply(index, *error);
        continue;
      }
      command(index, [&](const Args& args) {
        Result<std::unique_ptr<Request>> request = MakeRequest(args, call, started, {});
        if (!request) return replies->OnReply(index, request.error());
        (*request)->sink = replies;
        (*request)->index = index;
        gathered_bytes += (*request)->encoded.size();
        gathered.push_back(std::move(*request));
      });
      if (index + 1 < count && gathered.size() < kGatheredMax &&
          gathered_bytes < kGatheredBytesMax) {
        continue;
      }
      error = core_->Submit(gathered, call.wait_for_room);
      gathered.clear();
      gathered_bytes = 0;
    }
    return Operation<Outcome>(replies);
  }

 private:
  using Clock = std::chrono::steady_clock;

  // A larger batch is handed over in parts of so many requests or bytes, so that it is not in memory
  // twice while it waits for room.
  static constexpr std::size_t kGatheredMax = 4096;
  static constexpr std::size_t kGatheredBytesMax = std::size_t{1} << 20;

  // Why a call cannot even begin.
  std::optional<Error> Refusal(const CallOptions& call) const {
    if (auto error = Unusable()) return error;
    if (call.wait_for_room && core_->OnIoThread()) {
      return Error{ErrorCode::kNotAllowed,
                   "a blocking call inside a callback would wait for itself: use the Async form"};
    }
    return core_->CheckAcks(call.write_acks);
  }

  // Without its sink.
  Result<std::unique_ptr<Request>> MakeRequest(const Args& args, const CallOptions& call,
                                               TimePoint started, const std::string& pinned) const {
    const Options& options = core_->options();
    const CommandTraits traits = TraitsOf(args);
    if (traits.subscribes) {
      return Error{ErrorCode::kNotAllowed,
                   "all calls of a client share its connections, which cannot be subscribed: use "
                   "Client::Watch"};
    }
    Result<std::string> encoded =
        EncodeRequest(args, call.write_acks != 0 ? call.write_acks : options.write_acks);
    if (!encoded) return encoded.error();
    auto request = std::make_unique<Request>();
    request->encoded = std::move(*encoded);
    request->effect = traits.effect;
    if (traits.key_index != 0) request->slot = SlotOf(args[traits.key_index]);
    request->pinned = pinned;
    request->started = started;
    const Milliseconds deadline = call.deadline.count() > 0 ? call.deadline : options.deadline;
    request->deadline = started + std::min(deadline, ClientCore::kDurationMax);
    return request;
  }

  // In a forked child: the thread to join is not there, and closing the loop would reach into the
  // parent's, with which it shares the kernel's part. It stays, reachable, until the child ends.
  void Abandon() {
    struct Orphan {
      std::shared_ptr<ClientCore> core;
      Orphan* next = nullptr;
    };
    static std::atomic<Orphan*> orphans{nullptr};
    auto* orphan = new Orphan{core_};
    orphan->next = orphans.exchange(orphan);
  }

  const std::shared_ptr<ClientCore> core_;
};

namespace {

// So that no sum with the time of day overflows, here or at a node.
constexpr Milliseconds kTtlMax = std::chrono::hours(24 * 365 * 1000);

// The command of a Set, with the numbers that its arguments point to.
//
// SET knows neither flags nor versions; the commands behind memcached's storage lines do (mc.set
// key flags exptime value; mc.cas has the version before the value), but count expiry in seconds.
class SetCommand {
 public:
  using Condition = SetOptions::Condition;

  SetCommand(std::string_view key, std::string_view value, const SetOptions& set,
             std::optional<std::uint64_t> if_version = {}) {
    if (!if_version && set.flags == 0) {
      ttl_ = std::to_string(set.ttl.count());
      args_ = {"SET", key, value};
      if (set.condition == Condition::kIfAbsent) args_.emplace_back("NX");
      if (set.condition == Condition::kIfPresent) args_.emplace_back("XX");
      if (set.ttl.count() > 0) args_.insert(args_.end(), {"PX", ttl_});
      if (set.keep_ttl) args_.emplace_back("KEEPTTL");
      return;
    }
    flags_ = std::to_string(set.flags);
    ttl_ = MemcachedExpiry(set.ttl);
    if (if_version) {
      version_ = std::to_string(*if_version);
      args_ = {"mc.cas", key, flags_, ttl_, version_, value};
    } else {
      args_ = {set.condition == Condition::kIfAbsent    ? "mc.add"
               : set.condition == Condition::kIfPresent ? "mc.replace"
                                                        : "mc.set",
               key, flags_, ttl_, value};
    }
  }
  SetCommand(const SetCommand&) = delete;
  SetCommand& operator=(const SetCommand&) = delete;

  const Args& args() const { return args_; }

  static std::optional<Error> Check(const SetOptions& set, bool by_version = false) {
    const auto bad = [](std::string message) {
      return Error{ErrorCode::kInvalidArgument, "SetOptions: " + std::move(message)};
    };
    if (set.ttl.count() < 0) return bad("ttl is negative");
    if (set.ttl > kTtlMax) return bad("ttl is over 1000 years: 0 never expires");
    if (set.ttl.count() > 0 && set.keep_ttl) return bad("either ttl or keep_ttl");
    if (set.keep_ttl && (set.flags != 0 || by_version)) {
      return bad("keep_ttl goes neither with flags nor with CompareAndSet: give the ttl");
    }
    if (by_version && set.condition != Condition::kAlways) {
      return bad("CompareAndSet is a condition already");
    }
    return {};
  }

 private:
  // Seconds from now, rounded up; from 30 days on the protocol wants unix time. 0: never.
  static std::string MemcachedExpiry(Milliseconds ttl) {
    constexpr std::chrono::seconds kRelativeMax = std::chrono::hours(24 * 30);
    const auto left = std::chrono::ceil<std::chrono::seconds>(ttl);
    if (left <= kRelativeMax) return std::to_string(left.count());
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(now + ttl).count());
  }

  std::string version_;
  std::string ttl_;
  std::string flags_;
  Args args_;
};

Args ViewsOf(const std::vector<std::string>& args) { return {args.begin(), args.end()}; }

}  // namespace

// ---- Life --------------------------------------------------------------------------------------

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Client::Impl& Client::impl() const {
  static Impl& none = *new Impl(nullptr);  // for ever: clients may be static
  return impl_ == nullptr ? none : *impl_;
}

Result<Client> Client::Connect(Options options) {
  Result<std::shared_ptr<ClientCore>> core = ClientCore::Start(std::move(options));
  if (!core) return core.error();
  return Client(std::make_shared<Impl>(std::move(*core)));
}

// ---- One key -----------------------------------------------------------------------------------

using RecordOrNothing = std::optional<Record>;

Operation<Result<RecordOrNothing>> Client::GetAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"GET", key}, call, ReadRecord);
}

Operation<Result<bool>> Client::SetAsync(std::string_view key, std::string_view value,
                                         const SetOptions& set, const CallOptions& call) {
  if (auto error = SetCommand::Check(set)) return Failed<Result<bool>>(*error);
  const SetCommand command(key, value, set);
  return impl().Start(command.args(), call, ReadDone);
}

Operation<Result<bool>> Client::CompareAndSetAsync(std::string_view key, std::string_view value,
                                                   std::uint64_t version, const SetOptions& set,
                                                   const CallOptions& call) {
  if (auto error = SetCommand::Check(set, true)) return Failed<Result<bool>>(*error);
  const SetCommand command(key, value, set, version);
  return impl().Start(command.args(), call, ReadDone);
}

Operation<Result<bool>> Client::DelAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"DEL", key}, call, ReadDone);
}

Operation<Result<bool>> Client::ExistsAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"EXISTS", key}, call, ReadDone);
}

Operation<Result<std::int64_t>> Client::IncrAsync(std::string_view key, std::int64_t delta,
                                                  const CallOptions& call) {
  return impl().Start({"INCRBY", key, std::to_string(delta)}, call, ReadInteger);
}

Operation<Result<std::int64_t>> Client::AppendAsync(std::string_view key, std::string_view suffix,
                                                    const CallOptions& call) {
  return impl().Start({"APPEND", key, suffix}, call, ReadInteger);
}

Operation<Result<std::int64_t>> Client::StrlenAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"STRLEN", key}, call, ReadInteger);
}

Operation<Result<bool>> Client::ExpireAsync(std::string_view key, Milliseconds ttl,
                                            const CallOptions& call) {
  const auto bad = [](const char* message) {
    return Failed<Result<bool>>({ErrorCode::kInvalidArgument, message});
  };
  if (ttl.count() <= 0) return bad("a TTL must be positive");
  if (ttl > kTtlMax) return bad("a TTL is at most 1000 years: see Persist");
  return impl().Start({"PEXPIRE", key, std::to_string(ttl.count())}, call, ReadDone);
}

Operation<Result<bool>> Client::PersistAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"PERSIST", key}, call, ReadDone);
}

Operation<Result<bool>> Client::TouchAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"TOUCH", key}, call, ReadDone);
}

Operation<Result<TimeToLive>> Client::TtlAsync(std::string_view key, const CallOptions& call) {
  return impl().Start({"PTTL", key}, call, ReadTimeToLive);
}

// ---- Any command -------------------------------------------------------------------------------

Operation<Result<Value>> Client::ExecuteAsync(const Command& command, const CallOptions& call) {
  return impl().Start(ViewsOf(command), call, ReadValue);
}

Operation<Result<Value>> Client::ExecuteOnAsync(const std::string& address, const Command& command,
                                                const CallOptions& call) {
  const Result<NodeAddress> parsed = NodeAddress::Parse(address);
  if (!parsed) return Failed<Result<Value>>(parsed.error());
  return impl().Start<Value>(ViewsOf(command), call, ReadValue, parsed->ToString());
}

// ---- Batches -----------------------------------------------------------------------------------

Operation<std::vector<Result<RecordOrNothing>>> Client::MGetAsync(
    const std::vector<std::string>& keys, const CallOptions& call) {
  return impl().StartMany(keys.size(), call, ReadRecord, [&](std::size_t index, const auto& add) {
    add({"GET", keys[index]});
  });
}

Operation<std::vector<Result<bool>>> Client::MSetAsync(const std::vector<KeyValue>& entries,
                                                       const SetOptions& set,
                                                       const CallOptions& call) {
  if (const auto error = SetCommand::Check(set)) {
    return Failed<std::vector<Result<bool>>>(*error, entries.size());
  }
  return impl().StartMany(entries.size(), call, ReadDone, [&](std::size_t index, const auto& add) {
    add(SetCommand(entries[index].key, entries[index].value, set).args());
  });
}

Operation<std::vector<Result<bool>>> Client::MDelAsync(const std::vector<std::string>& keys,
                                                       const CallOptions& call) {
  return impl().StartMany(keys.size(), call, ReadDone, [&](std::size_t index, const auto& add) {
    add({"DEL", keys[index]});
  });
}

Operation<std::vector<Result<Value>>> Client::ExecuteManyAsync(const std::vector<Command>& commands,
                                                               const CallOptions& call) {
  return impl().StartMany(
      commands.size(), call, ReadValue,
      [&](std::size_t index, const auto& add) { add(ViewsOf(commands[index])); });
}

// ---- Blocking forms ----------------------------------------------------------------------------

Result<RecordOrNothing> Client::Get(std::string_view key, const CallOptions& call) {
  return GetAsync(key, Blocking(call)).Get();
}

Result<bool> Client::Set(std::string_view key, std::string_view value, const SetOptions& set,
                         const CallOptions& call) {
  return SetAsync(key, value, set, Blocking(call)).Get();
}

Result<bool> Client::CompareAndSet(std::string_view key, std::string_view value,
                                   std::uint64_t version, const SetOptions& set,
                                   const CallOptions& call) {
  return CompareAndSetAsync(key, value, version, set, Blocking(call)).Get();
}

Result<bool> Client::Del(std::string_view key, const CallOptions& call) {
  return DelAsync(key, Blocking(call)).Get();
}

Result<bool> Client::Exists(std::string_view key, const CallOptions& call) {
  return ExistsAsync(key, Blocking(call)).Get();
}

Result<std::int64_t> Client::Incr(std::string_view key, std::int64_t delta,
                                  const CallOptions& call) {
  return IncrAsync(key, delta, Blocking(call)).Get();
}

Result<std::int64_t> Client::Append(std::string_view key, std::string_view suffix,
                                    const CallOptions& call) {
  return AppendAsync(key, suffix, Blocking(call)).Get();
}

Result<std::int64_t> Client::Strlen(std::string_view key, const CallOptions& call) {
  return StrlenAsync(key, Blocking(call)).Get();
}

Result<bool> Client::Expire(std::string_view key, Milliseconds ttl, const CallOptions& call) {
  return ExpireAsync(key, ttl, Blocking(call)).Get();
}

Result<bool> Client::Persist(std::string_view key, const CallOptions& call) {
  return PersistAsync(key, Blocking(call)).Get();
}

Result<bool> Client::Touch(std::string_view key, const CallOptions& call) {
  return TouchAsync(key, Blocking(call)).Get();
}

Result<TimeToLive> Client::Ttl(std::string_view key, const CallOptions& call) {
  return TtlAsync(key, Blocking(call)).Get();
}

Result<Value> Client::Execute(const Command& command, const CallOptions& call) {
  return ExecuteAsync(command, Blocking(call)).Get();
}

Result<Value> Client::ExecuteOn(const std::string& address, const Command& command,
                                const CallOptions& call) {
  return ExecuteOnAsync(address, command, Blocking(call)).Get();
}

std::vector<Result<RecordOrNothing>> Client::MGet(const std::vector<std::string>& keys,
                                                  const CallOptions& call) {
  return MGetAsync(keys, Blocking(call)).Get();
}

std::vector<Result<bool>> Client::MSet(const std::vector<KeyValue>& entries, const SetOptions& set,
                                       const CallOptions& call) {
  return MSetAsync(entries, set, Blocking(call)).Get();
}

std::vector<Result<bool>> Client::MDel(const std::vector<std::string>& keys,
                                       const CallOptions& call) {
  return MDelAsync(keys, Blocking(call)).Get();
}

std::vector<Result<Value>> Client::ExecuteMany(const std::vector<Command>& commands,
                                               const CallOptions& call) {
  return ExecuteManyAsync(commands, Blocking(call)).Get();
}

Result<RingInfo> Client::RefreshRing(const CallOptions& call) {
  return RefreshRingAsync(Blocking(call)).Get();
}

// ---- The cluster -------------------------------------------------------------------------------

RingInfo Client::Ring() const {
  return impl().Unusable() ? RingInfo{} : impl().core()->table()->Describe();
}

KeyLocation Client::Locate(std::string_view key) const {
  KeyLocation location;
  location.slot = SlotOf(key);
  if (impl().Unusable()) return location;
  const auto table = impl().core()->table();
  location.partition = table->PartitionOfSlot(static_cast<Slot>(location.slot));
  for (const NodeIndex holder : table->Holders(location.partition)) {
    location.holders.push_back(table->nodes()[holder].address.ToString());
  }
  return location;
}

Operation<Result<RingInfo>> Client::RefreshRingAsync(const CallOptions& call) {
  // The reply is read on the I/O thread, which has a share of the core.
  return impl().Start<RingInfo>({"RING"}, call, [core = impl().core()](const Value& reply) {
    return core->AdoptRing(reply);
  });
}

Result<Feed> Client::Watch(const FeedOptions& options) const {
  if (auto error = impl().Unusable()) return *error;
  // The feed may outlive the client.
  const std::weak_ptr<Impl> client = impl_;
  return OpenFeed(options, {.unusable = [client]() -> std::optional<Error> {
                              const std::shared_ptr<Impl> impl = client.lock();
                              if (impl != nullptr) return impl->Unusable();
                              return Error{ErrorCode::kClosed, "the feed's client is gone"};
                            },
                            .table =
                                [client] {
                                  const std::shared_ptr<Impl> impl = client.lock();
                                  return impl == nullptr ? std::make_shared<const RoutingTable>()
                                                         : impl->core()->table();
                                },
                            .refresh =
                                [client] {
                                  const std::shared_ptr<Impl> impl = client.lock();
                                  if (impl == nullptr) return;
                                  // The core lives as long as its thread, on which this is called.
                                  (void)impl->Start<RingInfo>(
                                      {"RING"}, {}, [core = impl->core()](const Value& reply) {
                                        return core->AdoptRing(reply);
                                      });
                                },
                            .connect_timeout = impl().core()->options().connect_timeout});
}

Stats Client::GetStats() const { return impl().Unusable() ? Stats{} : impl().core()->stats(); }

void Client::CancelAll() {
  if (!impl().Unusable()) impl().core()->Cancel();
}

}  // namespace gyre::client
