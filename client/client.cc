// The typed calls: each builds a command, submits it, and reads its reply. All of them, blocking or
// not, go through `Impl::Send`; blocking ones wait for the callback.
#include "gyre/client.h"

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "client/client_core.h"
#include "client/command_traits.h"
#include "client/reply_reader.h"
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

  // Requires that it is usable.
  ClientCore& core() { return *core_; }

  // `read` turns the Value into a Result<T>. Owns nothing of `args` once it returns.
  template <typename T>
  void Send(const Args& args, const std::string& pinned, const CallOptions& call, bool wait,
            Result<T> (*read)(Value), Callback<T> done) {
    if (auto error = Unusable()) return done(std::move(*error));
    if (auto error = core_->CheckAcks(call.write_acks)) return done(std::move(*error));
    const Options& options = core_->options();
    Result<std::string> request =
        EncodeRequest(args, call.write_acks != 0 ? call.write_acks : options.write_acks);
    if (!request) return done(request.error());
    auto operation = std::make_unique<Operation>();
    operation->request = std::move(*request);
    const CommandTraits traits = TraitsOf(args);
    operation->effect = traits.effect;
    if (traits.key_index != 0) operation->slot = SlotOf(args[traits.key_index]);
    operation->pinned = pinned;
    operation->started = std::chrono::steady_clock::now();
    const Milliseconds deadline = call.deadline.count() > 0 ? call.deadline : options.deadline;
    operation->deadline = operation->started + std::min(deadline, ClientCore::kDurationMax);
    operation->done = [read, done = std::move(done)](Result<Value> reply) {
      done(reply ? read(std::move(*reply)) : Result<T>(reply.error()));
    };
    core_->Submit(std::move(operation), wait);
  }

  template <typename T>
  std::future<Result<T>> SendForFuture(const Args& args, const std::string& pinned,
                                       const CallOptions& call, bool wait,
                                       Result<T> (*read)(Value)) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    std::future<Result<T>> future = promise->get_future();
    if (wait && !Unusable() && core_->OnIoThread()) {
      promise->set_value(Error{ErrorCode::kNotAllowed,
                               "a blocking call inside a callback would wait for itself: use the "
                               "Async form"});
      return future;
    }
    Send<T>(args, pinned, call, wait, read,
            [promise](Result<T> result) { promise->set_value(std::move(result)); });
    return future;
  }

  template <typename T>
  Result<T> Call(const Args& args, const CallOptions& call, Result<T> (*read)(Value)) {
    return SendForFuture<T>(args, {}, call, true, read).get();
  }

 private:
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

template <typename T>
std::vector<Result<T>> WaitForAll(std::vector<std::future<Result<T>>> futures) {
  std::vector<Result<T>> results;
  results.reserve(futures.size());
  for (auto& future : futures) results.push_back(future.get());
  return results;
}

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

Result<std::optional<Record>> Client::Get(std::string_view key, const CallOptions& call) {
  return impl().Call({"GET", key}, call, ReadRecord);
}

Result<bool> Client::Set(std::string_view key, std::string_view value, const SetOptions& set,
                         const CallOptions& call) {
  if (auto error = SetCommand::Check(set)) return std::move(*error);
  const SetCommand command(key, value, set);
  return impl().Call(command.args(), call, ReadDone);
}

Result<bool> Client::CompareAndSet(std::string_view key, std::string_view value,
                                   std::uint64_t version, const SetOptions& set,
                                   const CallOptions& call) {
  if (auto error = SetCommand::Check(set, true)) return std::move(*error);
  const SetCommand command(key, value, set, version);
  return impl().Call(command.args(), call, ReadDone);
}

Result<bool> Client::Del(std::string_view key, const CallOptions& call) {
  return impl().Call({"DEL", key}, call, ReadDone);
}

Result<bool> Client::Exists(std::string_view key, const CallOptions& call) {
  return impl().Call({"EXISTS", key}, call, ReadDone);
}

Result<std::int64_t> Client::Incr(std::string_view key, std::int64_t delta,
                                  const CallOptions& call) {
  return impl().Call({"INCRBY", key, std::to_string(delta)}, call, ReadInteger);
}

Result<std::int64_t> Client::Append(std::string_view key, std::string_view suffix,
                                    const CallOptions& call) {
  return impl().Call({"APPEND", key, suffix}, call, ReadInteger);
}

Result<std::int64_t> Client::Strlen(std::string_view key, const CallOptions& call) {
  return impl().Call({"STRLEN", key}, call, ReadInteger);
}

Result<bool> Client::Expire(std::string_view key, Milliseconds ttl, const CallOptions& call) {
  if (ttl.count() <= 0) return Error{ErrorCode::kInvalidArgument, "a TTL must be positive"};
  if (ttl > kTtlMax) {
    return Error{ErrorCode::kInvalidArgument, "a TTL is at most 1000 years: see Persist"};
  }
  return impl().Call({"PEXPIRE", key, std::to_string(ttl.count())}, call, ReadDone);
}

Result<bool> Client::Persist(std::string_view key, const CallOptions& call) {
  return impl().Call({"PERSIST", key}, call, ReadDone);
}

Result<bool> Client::Touch(std::string_view key, const CallOptions& call) {
  return impl().Call({"TOUCH", key}, call, ReadDone);
}

Result<TimeToLive> Client::Ttl(std::string_view key, const CallOptions& call) {
  return impl().Call({"PTTL", key}, call, ReadTimeToLive);
}

// ---- Many keys --------------------------------------------------------------------------------

// One request a key: they leave together, one write for each node, and each is routed and retried
// for itself, so that a node that dies in the middle costs nobody else's result.

std::vector<Result<std::optional<Record>>> Client::MGet(const std::vector<std::string>& keys,
                                                        const CallOptions& call) {
  std::vector<std::future<Result<std::optional<Record>>>> futures;
  futures.reserve(keys.size());
  for (const std::string& key : keys) {
    futures.push_back(impl().SendForFuture({"GET", key}, {}, call, true, ReadRecord));
  }
  return WaitForAll(std::move(futures));
}

std::vector<Result<bool>> Client::MSet(const std::vector<KeyValue>& entries, const SetOptions& set,
                                       const CallOptions& call) {
  if (const auto error = SetCommand::Check(set)) {
    return std::vector<Result<bool>>(entries.size(), Result<bool>(*error));
  }
  std::vector<std::future<Result<bool>>> futures;
  futures.reserve(entries.size());
  for (const KeyValue& entry : entries) {
    const SetCommand command(entry.key, entry.value, set);
    futures.push_back(impl().SendForFuture(command.args(), {}, call, true, ReadDone));
  }
  return WaitForAll(std::move(futures));
}

std::vector<Result<bool>> Client::MDel(const std::vector<std::string>& keys,
                                       const CallOptions& call) {
  std::vector<std::future<Result<bool>>> futures;
  futures.reserve(keys.size());
  for (const std::string& key : keys) {
    futures.push_back(impl().SendForFuture({"DEL", key}, {}, call, true, ReadDone));
  }
  return WaitForAll(std::move(futures));
}

// ---- Any command -------------------------------------------------------------------------------

Result<Value> Client::Execute(const std::vector<std::string>& args, const CallOptions& call) {
  return impl().SendForFuture(ViewsOf(args), {}, call, true, ReadValue).get();
}

Result<Value> Client::ExecuteOn(const std::string& address, const std::vector<std::string>& args,
                                const CallOptions& call) {
  const Result<NodeAddress> parsed = NodeAddress::Parse(address);
  if (!parsed) return parsed.error();
  return impl().SendForFuture(ViewsOf(args), parsed->ToString(), call, true, ReadValue).get();
}

// ---- Asynchronous ------------------------------------------------------------------------------

void Client::GetAsync(std::string_view key, Callback<std::optional<Record>> done,
                      const CallOptions& call) {
  impl().Send({"GET", key}, {}, call, false, ReadRecord, std::move(done));
}

void Client::SetAsync(std::string_view key, std::string_view value, const SetOptions& set,
                      Callback<bool> done, const CallOptions& call) {
  if (auto error = SetCommand::Check(set)) return done(std::move(*error));
  const SetCommand command(key, value, set);
  impl().Send(command.args(), {}, call, false, ReadDone, std::move(done));
}

void Client::DelAsync(std::string_view key, Callback<bool> done, const CallOptions& call) {
  impl().Send({"DEL", key}, {}, call, false, ReadDone, std::move(done));
}

void Client::IncrAsync(std::string_view key, std::int64_t delta, Callback<std::int64_t> done,
                       const CallOptions& call) {
  impl().Send({"INCRBY", key, std::to_string(delta)}, {}, call, false, ReadInteger,
              std::move(done));
}

void Client::ExecuteAsync(const std::vector<std::string>& args, Callback<Value> done,
                          const CallOptions& call) {
  impl().Send(ViewsOf(args), {}, call, false, ReadValue, std::move(done));
}

std::future<Result<std::optional<Record>>> Client::GetAsync(std::string_view key,
                                                            const CallOptions& call) {
  return impl().SendForFuture({"GET", key}, {}, call, false, ReadRecord);
}

std::future<Result<bool>> Client::SetAsync(std::string_view key, std::string_view value,
                                           const SetOptions& set, const CallOptions& call) {
  if (auto error = SetCommand::Check(set)) {
    std::promise<Result<bool>> promise;
    promise.set_value(std::move(*error));
    return promise.get_future();
  }
  const SetCommand command(key, value, set);
  return impl().SendForFuture(command.args(), {}, call, false, ReadDone);
}

std::future<Result<bool>> Client::DelAsync(std::string_view key, const CallOptions& call) {
  return impl().SendForFuture({"DEL", key}, {}, call, false, ReadDone);
}

std::future<Result<std::int64_t>> Client::IncrAsync(std::string_view key, std::int64_t delta,
                                                    const CallOptions& call) {
  return impl().SendForFuture({"INCRBY", key, std::to_string(delta)}, {}, call, false, ReadInteger);
}

std::future<Result<Value>> Client::ExecuteAsync(const std::vector<std::string>& args,
                                                const CallOptions& call) {
  return impl().SendForFuture(ViewsOf(args), {}, call, false, ReadValue);
}

// ---- The cluster -------------------------------------------------------------------------------

RingInfo Client::Ring() const {
  return impl().Unusable() ? RingInfo{} : impl().core().table()->Describe();
}

KeyLocation Client::Locate(std::string_view key) const {
  KeyLocation location;
  location.slot = SlotOf(key);
  if (impl().Unusable()) return location;
  const auto table = impl().core().table();
  location.partition = table->PartitionOfSlot(static_cast<Slot>(location.slot));
  for (const NodeIndex holder : table->Holders(location.partition)) {
    location.holders.push_back(table->nodes()[holder].address.ToString());
  }
  return location;
}

Result<RingInfo> Client::RefreshRing(const CallOptions& call) {
  if (!impl().Unusable() && impl().core().OnIoThread()) {
    return Error{ErrorCode::kNotAllowed, "RefreshRing inside a callback would wait for itself"};
  }
  const auto adopted = std::make_shared<std::promise<Result<RingInfo>>>();
  auto future = adopted->get_future();
  // Adopted on the I/O thread, from where the reply arrives.
  impl().Send<Value>({"RING"}, {}, call, true, ReadValue,
                     [&impl = impl(), adopted](Result<Value> reply) {
                       if (!reply) return adopted->set_value(reply.error());
                       adopted->set_value(impl.core().AdoptRing(*reply));
                     });
  return future.get();
}

Stats Client::GetStats() const { return impl().Unusable() ? Stats{} : impl().core().stats(); }

void Client::CancelAll() {
  if (!impl().Unusable()) impl().core().Cancel();
}

}  // namespace gyre::client
