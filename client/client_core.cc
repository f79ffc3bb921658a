#include "client/client_core.h"

#include <netdb.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <future>
#include <iterator>
#include <system_error>
#include <utility>

#include "client/signals_blocked.h"
#include "client/wire.h"

namespace gyre::client {
namespace {

template <typename Handle>
uv_handle_t* AsHandle(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

// Signals are the application's business, and SIGPIPE nobody's: a broken link is an error value.
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

bool ParseNumeric(const NodeAddress& address, sockaddr_storage& out) {
  const char* host = address.host.c_str();
  return uv_ip4_addr(host, address.port, reinterpret_cast<sockaddr_in*>(&out)) == 0 ||
         uv_ip6_addr(host, address.port, reinterpret_cast<sockaddr_in6*>(&out)) == 0;
}

std::unique_ptr<Request> MakeRingRequest(TimePoint now, Milliseconds deadline) {
  auto request = std::make_unique<Request>();
  request->encoded = std::move(*EncodeRequest({"RING"}, 0));
  AppendLineEnd(request->encoded);
  request->effect = Effect::kRead;
  request->asks_ring = true;
  request->started = now;
  request->deadline = now + deadline;
  return request;
}

}  // namespace

// ---- Start and stop ----------------------------------------------------------------------------

Result<std::vector<NodeAddress>> ClientCore::Check(const Options& options) {
  const auto bad = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  if (options.seeds.empty()) return bad("Options::seeds is empty: name at least one HOST:PORT");
  const auto outside = [](Milliseconds duration, Milliseconds least) {
    return duration < least || duration > kDurationMax;
  };
  if (outside(options.deadline, Milliseconds{1})) {
    return bad("Options::deadline must be at least 1 ms, and at most 24 days");
  }
  if (outside(options.connect_timeout, Milliseconds{1})) {
    return bad("Options::connect_timeout must be at least 1 ms, and at most 24 days");
  }
  if (outside(options.retry.hedge_after, Milliseconds{0})) {
    return bad("RetryPolicy::hedge_after must be 0, or at most 24 days");
  }
  if (options.connections_per_node < 1 || options.connections_per_node > 64) {
    return bad("Options::connections_per_node must be 1 to 64");
  }
  if (options.in_flight_bytes_max == 0) return bad("Options::in_flight_bytes_max must be positive");
  if (options.retry.attempts_max < 1) return bad("RetryPolicy::attempts_max must be at least 1");
  if (outside(options.retry.backoff_min, Milliseconds{1}) ||
      outside(options.retry.backoff_max, options.retry.backoff_min)) {
    return bad("RetryPolicy::backoff_min must be positive and at most backoff_max");
  }
  if (outside(options.ring_refresh_interval, Milliseconds{1})) {
    return bad("Options::ring_refresh_interval must be at least 1 ms, and at most 24 days");
  }
  std::vector<NodeAddress> seeds;
  for (const std::string& seed : options.seeds) {
    Result<NodeAddress> address = NodeAddress::Parse(seed);
    if (!address) return address.error();
    seeds.push_back(std::move(*address));
  }
  return seeds;
}

ClientCore::ClientCore(Options options)
    : options_(std::move(options)),
      selector_(options_, *this),
      ring_(selector_, options_.ring_refresh_interval, Now()),
      wheel_(Millis(Now())),
      budget_(options_.in_flight_bytes_max) {}

ClientCore::~ClientCore() = default;

Result<std::shared_ptr<ClientCore>> ClientCore::Start(Options options) {
  const Result<std::vector<NodeAddress>> seeds = Check(options);
  if (!seeds) return seeds.error();
  const std::shared_ptr<ClientCore> core(new ClientCore(std::move(options)));
  for (const NodeAddress& seed : *seeds) core->selector_.AddSeed(seed);

  int error = uv_loop_init(&core->loop_);
  if (error == 0) {
    error = uv_async_init(&core->loop_, &core->wake_, [](uv_async_t* handle) {
      static_cast<ClientCore*>(handle->data)->DrainQueue();
    });
    if (error != 0) uv_loop_close(&core->loop_);
  }
  if (error != 0) {
    return Error{ErrorCode::kIo, std::string("no event loop: ") + uv_strerror(error) +
                                     "; too many open files? see ulimit -n"};
  }
  core->wake_.data = core.get();
  for (uv_timer_t* timer : {&core->tick_, &core->maintenance_, &core->ring_timer_}) {
    uv_timer_init(&core->loop_, timer);
    timer->data = core.get();
  }
  try {
    const SignalsBlocked blocked;
    core->thread_ = std::thread([core] { core->Run(); });
  } catch (const std::system_error& failure) {
    core->CloseAll();
    uv_run(&core->loop_, UV_RUN_DEFAULT);
    uv_loop_close(&core->loop_);
    return Error{ErrorCode::kInternal, std::string("no thread: ") + failure.what()};
  }
  Result<bool> learned = core->LearnFirstRing(*seeds);
  if (learned) {
    if (auto error = core->CheckAcks(core->options_.write_acks)) learned = std::move(*error);
  }
  if (!learned) {
    core->Stop();
    return learned.error();
  }
  return core;
}

Result<bool> ClientCore::LearnFirstRing(const std::vector<NodeAddress>& seeds) {
  struct Answers {  // the I/O thread's only, but for the promise
    std::promise<Result<bool>> first;
    std::size_t awaited = 0;
    bool told = false;
    std::string failures;
  };
  const auto answers = std::make_shared<Answers>();
  answers->awaited = seeds.size();
  std::future<Result<bool>> first = answers->first.get_future();
  for (const NodeAddress& seed : seeds) {
    auto request = MakeRingRequest(Now(), options_.connect_timeout + options_.deadline);
    request->pinned = seed.ToString();
    request->sink = SinkOf([this, answers, name = seed.ToString()](const Result<Value>& reply) {
      --answers->awaited;
      std::string why;
      if (reply) {
        const Result<RingInfo> ring = AdoptRing(*reply);
        if (!ring) why = ring.error().message;
      } else {
        why = reply.error().message;
      }
      if (!why.empty()) {
        // Messages of a lost link begin with the address already.
        answers->failures += "\n  ";
        if (!why.starts_with(name)) answers->failures.append(name).append(": ");
        answers->failures += why;
      }
      if (answers->told || (!why.empty() && answers->awaited > 0)) return;
      answers->told = true;
      if (why.empty()) return answers->first.set_value(true);
      answers->first.set_value(
          Error{ErrorCode::kCannotConnect,
                "no node answers; is gyred running there?" + answers->failures});
    });
    Submit({&request, 1}, false);
  }
  return first.get();
}

std::optional<Error> ClientCore::CheckAcks(std::uint32_t write_acks) const {
  if (write_acks <= 1) return {};
  const std::uint32_t copies = table()->replicas();
  if (write_acks <= copies) return {};
  return Error{ErrorCode::kInvalidArgument,
               "write_acks is " + std::to_string(write_acks) + ", but the nodes keep " +
                   std::to_string(copies) +
                   " copies of each key (gyred --replicas): ask for as many at most"};
}

void ClientCore::Cancel() {
  cancel_.store(true);
  uv_async_send(&wake_);
}

void ClientCore::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    uv_async_send(&wake_);
  }
  if (OnIoThread()) {
    thread_.detach();  // the thread owns a share of the core
  } else {
    thread_.join();
  }
}

void ClientCore::Run() {
  thread_id_.store(std::this_thread::get_id());
  BlockSignals();
  uv_timer_start(
      &maintenance_,
      [](uv_timer_t* timer) { static_cast<ClientCore*>(timer->data)->OnMaintenance(); },
      kMaintenanceInterval.count(), kMaintenanceInterval.count());
  ArmRingTimer();
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

void ClientCore::EndAll(const Error& error) {
  while (TimerEntry* entry = wheel_.Any()) {
    auto& request = static_cast<Request&>(*entry);
    for (std::uint32_t i = 0; i < request.attempt_count; ++i) {
      const Request::Attempt& attempt = request.attempts[i];
      request.maybe_applied |=
          request.effect != Effect::kRead && attempt.link->WasSent(attempt.request_id);
    }
    FailNow(request, error);
  }
}

void ClientCore::CloseAll() {
  closing_ = true;
  EndAll({ErrorCode::kClosed, "the client is being destroyed"});
  dirty_.clear();
  selector_.Clear();
  uv_close(AsHandle(wake_), nullptr);
  for (uv_timer_t* timer : {&tick_, &maintenance_, &ring_timer_}) {
    uv_close(AsHandle(*timer), nullptr);
  }
}

// ---- The queue between callers and the loop ----------------------------------------------------

std::optional<Error> ClientCore::Submit(std::span<std::unique_ptr<Request>> requests, bool wait) {
  const auto bytes_of = [&requests](std::size_t index) {
    return requests[index]->encoded.size() + sizeof(Request);
  };
  std::optional<Error> error;
  while (!requests.empty()) {
    const std::size_t taken = wait
                                  ? budget_.TakeBy(requests[0]->deadline, requests.size(), bytes_of)
                                  : budget_.Take(requests.size(), bytes_of);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < taken; ++i) {
      requests[i]->charged_bytes = bytes_of(i);
      bytes += requests[i]->charged_bytes;
    }
    if (taken == 0) {
      error = {ErrorCode::kOverloaded,
               "requests of " + std::to_string(options_.in_flight_bytes_max) +
                   " bytes wait for answers already: wait for some, or raise "
                   "Options::in_flight_bytes_max"};
      break;
    }
    counters_.requests.fetch_add(taken, std::memory_order_relaxed);
    if (!Enqueue(requests.first(taken))) {
      budget_.Give(bytes);
      error = {ErrorCode::kClosed, "the client is being destroyed"};
      break;
    }
    requests = requests.subspan(taken);
  }
  for (const auto& request : requests) request->sink->OnReply(request->index, *error);
  return error;
}

bool ClientCore::Enqueue(std::span<std::unique_ptr<Request>> requests) {
  MutexLock lock(mutex_);
  if (stopping_) return false;
  // Under the mutex, so that the handle cannot close in between; once for all that wait.
  if (queue_.empty()) uv_async_send(&wake_);
  queue_.insert(queue_.end(), std::make_move_iterator(requests.begin()),
                std::make_move_iterator(requests.end()));
  return true;
}

void ClientCore::DrainQueue() {
  std::vector<std::unique_ptr<Request>> batch;
  std::vector<Lookup> lookups;
  bool stopping = false;
  {
    MutexLock lock(mutex_);
    batch.swap(queue_);
    lookups.swap(lookups_);
    stopping = stopping_;
  }
  for (auto& request : batch) Start(std::move(request));
  for (const Lookup& lookup : lookups) OnResolved(lookup);
  if (cancel_.exchange(false) && !closing_) {
    EndAll({ErrorCode::kCancelled, "the caller gave it up"});
  }
  if (stopping && !closing_) return CloseAll();
  FlushDirty();
}

void ClientCore::FlushDirty() {
  // A flush may find its link broken, but never makes another one dirty.
  for (Link* link : dirty_) link->Flush();
  dirty_.clear();
}

void ClientCore::OnMaintenance() {
  const TimePoint now = Now();
  selector_.ForEachLink([&](Link& link) {
    if (link.Dead(now, kLinkSilenceMax)) link.Break({ErrorCode::kIo, "the node fell silent"});
  });
  for (const Lookup& lookup : std::exchange(failed_lookups_, {})) OnResolved(lookup);
  selector_.DropUnused();
  FlushDirty();
}

// ---- The ring ----------------------------------------------------------------------------------

void ClientCore::HintRing() {
  ring_.Hint(Now());
  ArmRingTimer();
}

Result<RingInfo> ClientCore::AdoptRing(const Value& reply) {
  Result<RingInfo> ring = ring_.Adopt(reply);
  if (ring && !closing_) BreakDeadLinks(Now());
  return ring;
}

// A node that hangs, or whose cable is cut, breaks no connection: what was sent to it would wait
// for its deadline, although another node took over. A node that others cannot reach but we can is
// not silent, and may answer.
void ClientCore::BreakDeadLinks(TimePoint now) {
  std::vector<Link*> silent;
  for (const RingNode& member : selector_.table().nodes()) {
    if (member.state != NodeState::kDead) continue;
    const RemoteNode* node = selector_.Find(member.address.ToString());
    if (node == nullptr) continue;
    for (const auto& link : node->links()) {
      if (link->Unanswered(now, kDeadSilenceMin)) silent.push_back(link.get());
    }
  }
  for (Link* link : silent) link->Break({ErrorCode::kIo, "the node is dead, as others say"});
}

void ClientCore::ArmRingTimer() {
  if (closing_) return;
  const TimePoint due = ring_.due();
  if (due == TimePoint::max()) {
    uv_timer_stop(&ring_timer_);
    return;
  }
  const auto wait = std::max(std::chrono::ceil<Milliseconds>(due - Now()), Milliseconds{0});
  uv_update_time(&loop_);
  uv_timer_start(
      &ring_timer_, [](uv_timer_t* timer) { static_cast<ClientCore*>(timer->data)->AskRing(); },
      static_cast<std::uint64_t>(wait.count()), 0);
}

void ClientCore::AskRing() {
  const TimePoint now = Now();
  if (now < ring_.due()) return ArmRingTimer();
  ring_.OnAsk(now);
  auto request = MakeRingRequest(now, options_.deadline);
  request->sink = SinkOf([this](const Result<Value>& reply) {
    ring_.OnAnswer(reply.ok() && AdoptRing(*reply).ok(), Now());
    ArmRingTimer();
  });
  Start(std::move(request));
  FlushDirty();
}

Stats ClientCore::stats() const {
  const auto read = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  Stats stats;
  stats.requests = read(counters_.requests);
  stats.retries = read(counters_.retries);
  stats.hedges = read(counters_.hedges);
  stats.unknown_outcomes = read(counters_.unknown_outcomes);
  stats.timeouts = read(counters_.timeouts);
  stats.stale_replies = read(counters_.stale_replies);
  stats.ring_refreshes = ring_.adopted_count();
  stats.connections_opened = read(counters_.connections_opened);
  stats.connections_lost = read(counters_.connections_lost);
  stats.in_flight_bytes = budget_.used();
  return stats;
}

// ---- Links -------------------------------------------------------------------------------------

void ClientCore::OnConnected(Link& link) {
  counters_.connections_opened.fetch_add(1, std::memory_order_relaxed);
  link.node().OnConnected();
}

void ClientCore::Resolve(Link& link) {
  RemoteNode& node = link.node();
  sockaddr_storage numeric{};
  if (ParseNumeric(node.address(), numeric)) return link.OnResolved({numeric});
  if (node.resolving) return;  // its answer serves all of the node's links
  node.resolving = true;
  // Not on libuv's threads: they do not survive fork(), and a child would wait for them at its end.
  // And whoever destroys a client does not wait for DNS.
  try {
    std::thread([core = shared_from_this(), name = node.name(), address = node.address()] {
      core->OnLookedUp(LookUp(name, address));
    }).detach();
  } catch (const std::system_error&) {
    // A link must not fail from within its Send.
    failed_lookups_.push_back({node.name(), EAI_MEMORY, {}});
  }
}

ClientCore::Lookup ClientCore::LookUp(const std::string& node, const NodeAddress& address) {
  Lookup lookup{node, 0, {}};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  lookup.status =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    std::memcpy(&lookup.addresses.emplace_back(), entry->ai_addr, entry->ai_addrlen);
  }
  if (found != nullptr) freeaddrinfo(found);
  return lookup;
}

void ClientCore::OnLookedUp(Lookup lookup) {
  MutexLock lock(mutex_);
  if (stopping_) return;
  lookups_.push_back(std::move(lookup));
  uv_async_send(&wake_);
}

void ClientCore::OnResolved(const Lookup& lookup) {
  RemoteNode* node = selector_.Find(lookup.node);
  if (node == nullptr) return;
  node->resolving = false;
  for (const auto& link : node->links()) {
    if (lookup.status == 0 && !lookup.addresses.empty()) {
      link->OnResolved(lookup.addresses);
    } else {
      link->OnResolveFailed(std::string("the host's name does not resolve: ") +
                            gai_strerror(lookup.status));
    }
  }
}

}  // namespace gyre::client
