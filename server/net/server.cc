#include "net/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <unordered_set>
#include <utility>

#include "net/connection.h"

namespace gyre {
namespace {

// What is sent while a connection is closed is lost to its sender, who cannot know whether it was
// carried out. So a connection ends when it was quiet for so long: who knows the ring has gone
// elsewhere by then, told by the answers. Whoever does not go is waited for no longer than that.
constexpr Duration kDrainQuiet = std::chrono::milliseconds(60);
constexpr Duration kDrainPatience = std::chrono::seconds(1);
constexpr Duration kDrainInterval = std::chrono::milliseconds(20);
constexpr Duration kWatchInterval = std::chrono::milliseconds(250);
constexpr Duration kIdleInterval = std::chrono::seconds(1);

Place FirstPlace(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNative:
      return Place::kUndecided;
    case Protocol::kHttp:
      return Place::kAdmin;
    default:
      return Place::kClient;
  }
}
// How often those who wait for memory look whether there is some, and how long they leave it to the
// others before the largest client is closed.
constexpr Duration kStarvedInterval = std::chrono::milliseconds(10);
// After a look for clients to close that found none, until the next.
constexpr Duration kCutPause = std::chrono::milliseconds(10);

}  // namespace

// ---- ConnectionContext ------------------------------------------------------------------------

ConnectionContext::ConnectionContext(EventLoop& loop_in, SessionRegistry& sessions_in,
                                     const ConnectionLimits& limits_in)
    : loop(loop_in),
      sessions(sessions_in),
      limits(limits_in),
      idle_timeout(limits_in.idle_timeout),
      memory(limits_in.memory),
      pool(ReplyPool::Create(buffers(), limits_in.pooled_bytes_max)),
      flush_due(loop_in, [this] { FlushDue(); }),
      own_admission_(limits_in.admission == nullptr
                         ? std::make_unique<Admission>(limits_in.connections_max, 0)
                         : nullptr),
      admission_(own_admission_ == nullptr ? limits_in.admission : own_admission_.get()),
      scratch_(new char[kScratchBytes]),
      turn_(loop_in, [this] { RunTurn(); }),
      iteration_ends_(loop_in, [this](TimePoint end) { traffic.Settle(end); }),
      idle_timer_(loop_in),
      watch_timer_(loop_in),
      starved_timer_(loop_in),
      drain_timer_(loop_in) {
  idle_timer_.Start(kIdleInterval, kIdleInterval, [this] { CheckIdle(); });
}

ConnectionContext::~ConnectionContext() {
  drained_ = nullptr;
  CloseAll();
}

void ConnectionContext::Accept(const ListenOptions& options, int file, const SocketAddress& peer,
                               std::uint32_t pauses) {
  const Place place = FirstPlace(options.protocol);
  const std::string address = peer.ToString();
  if (const Status taken = TakePlace(place, address); !taken) {
    counters[&ServerStats::rejected].Add(1);
    Refuse(options, file, taken.error());
    return;
  }
  counters[&ServerStats::accepted].Add(1);
  Connection::Start(*this, options, file, address, pauses, place);
}

Status ConnectionContext::TakePlace(Place place, const std::string& address) {
  Status taken = admission_->Take(place, address);
  if (taken || place != Place::kUndecided || undecided.empty()) return taken;
  Connection& oldest = undecided.front();
  if (loop.now() - oldest.active_at() < limits.undecided_timeout) return taken;
  oldest.Close();
  return admission_->Take(place, address);
}

// Says why, as far as the socket's empty buffer takes it, which is all of it.
void ConnectionContext::Refuse(const ListenOptions& options, int file, const Error& error) {
  Session session;
  session.protocol = options.protocol;
  const std::unique_ptr<Codec> codec = options.codec(session);
  Buffer reply;
  if (options.protocol == Protocol::kMemcached) {
    reply.Append("ERROR Too many open connections\r\n");  // by which its clients know it
  } else {
    ReplyWriter* writer = codec->WriterFor(Request{}, reply);
    writer->Fail(error);
    codec->Recycle(writer);
  }
  (void)send(file, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(file);
}

void ConnectionContext::FlushDue() {
  while (!due.empty()) due.PopFront().Flush();
  KeepMemory();
}

// ---- The memory for clients

void ConnectionContext::KeepMemory() {
  if (memory == nullptr || !memory->over()) [[likely]]
    return;
  if (loop.now() < next_cut_) return;
  CloseLargest(memory->excess(), /*wish_bytes_max=*/std::numeric_limits<std::size_t>::max());
}

void ConnectionContext::CloseLargest(std::size_t bytes, std::size_t wish_bytes_max) {
  auto owners = sessions.TakeLargest(memory, bytes, wish_bytes_max);
  // Nobody to close, or others are at it: not for each read anew.
  if (owners.empty()) next_cut_ = loop.now() + kCutPause;
  for (auto& [owner, ids] : owners) {
    if (owner != this) owner->CloseForMemory(std::move(ids));
  }
  if (const auto own = owners.find(this); own != owners.end()) CloseNow(own->second);
}

void ConnectionContext::CloseForMemory(std::vector<std::uint64_t> ids) {
  loop.Post([this, ids = std::move(ids)] { CloseNow(ids); });
}

void ConnectionContext::CloseNow(const std::vector<std::uint64_t>& ids) {
  const std::unordered_set<std::uint64_t> wanted(ids.begin(), ids.end());
  std::vector<Connection*> found;
  all.ForEach([&](Connection& connection) {
    if (wanted.count(connection.id()) != 0) found.push_back(&connection);
  });
  for (Connection* connection : found) connection->CloseForMemory();
}

void ConnectionContext::Starve(Connection& connection) {
  if (starved.empty()) {
    starved_timer_.Start(kStarvedInterval, kStarvedInterval, [this] { CheckStarved(); });
  }
  starved.PushBack(connection);
}

void ConnectionContext::CheckStarved() {
  const TimePoint now = loop.now();
  std::size_t missing = 0;
  starved.ForEach(
      [&](Connection& connection) { missing = std::max(missing, connection.CheckStarved(now)); });
  // Nobody is closed for a request that would then hold more than all others may.
  if (missing > 0) CloseLargest(missing, memory->limit_of_large() / 2);
  if (starved.empty()) starved_timer_.Stop();
}

void ConnectionContext::NoteTick() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);  // the clock of SteadyNow, rounded down
  const TimePoint tick(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
  turn_now = std::max(turn_now, tick);
}

void ConnectionContext::ReadClock() {
  turn_now = SteadyNow();
  bytes_executed_ = 0;
}

void ConnectionContext::CheckIdle() {
  const TimePoint now = loop.now();
  all.ForEach([now](Connection& connection) { connection.CheckIdle(now); });
}

void ConnectionContext::AwaitTurn(Connection& connection) {
  if (!std::exchange(turns_posted_, true)) {
    loop.Post([this, alive = std::weak_ptr<Token>(alive_)] {
      if (!alive.expired()) GiveTurns();
    });
  }
  turns.PushBack(connection);
}

void ConnectionContext::GiveTurns() {
  turns_posted_ = false;
  IntrusiveList<Connection, TurnTag> waiting;
  while (!turns.empty()) waiting.PushBack(turns.PopFront());
  do {
    if (waiting.empty()) return;
    waiting.PopFront().TakeTurn();
  } while (!IsTurnOver(SteadyNow()));
  // Those that had none go before those that had one.
  while (!turns.empty()) waiting.PushBack(turns.PopFront());
  while (!waiting.empty()) AwaitTurn(waiting.PopFront());
}

void ConnectionContext::NotePause() {
  if (pause_detector == nullptr) return;
  const std::uint32_t pauses = pause_detector->Pauses(SteadyNow());
  if (pauses == pauses_seen_) return;
  pauses_seen_ = pauses;
  all.ForEach([pauses](Connection& connection) { connection.NotePause(pauses); });
}

void ConnectionContext::Watch(Connection& connection) {
  if (watched.empty()) {
    watch_timer_.Start(kWatchInterval, kWatchInterval, [this] { CheckWatched(); });
  }
  watched.PushBack(connection);
}

void ConnectionContext::CheckWatched() {
  const TimePoint now = loop.now();
  watched.ForEach([now](Connection& connection) { connection.CheckProgress(now); });
  if (watched.empty()) watch_timer_.Stop();
}

void ConnectionContext::CloseAll() {
  while (!all.empty()) all.front().Close();
}

void ConnectionContext::Drain(TimePoint deadline, std::function<void()> done) {
  drained_ = std::move(done);
  const TimePoint end = std::min(loop.now() + kDrainPatience, deadline);
  drain_timer_.Start(kDrainInterval, kDrainInterval, [this, end, deadline] {
    const TimePoint now = loop.now();
    if (now >= deadline) return CloseAll();
    all.ForEach([now, end](Connection& connection) {
      if (now >= end || now - connection.active_at() >= kDrainQuiet) connection.EndInput();
    });
    OnClosed();  // if there was no connection at all
  });
}

void ConnectionContext::OnClosed() {
  if (!drained_ || !all.empty()) return;
  drain_timer_.Stop();
  loop.Post(std::exchange(drained_, nullptr));
}

// ---- Server -----------------------------------------------------------------------------------

Server::Server(EventLoop& loop, SessionRegistry& sessions, ConnectionLimits limits)
    : context_(new ConnectionContext(loop, sessions, limits)) {}

Server::~Server() = default;

Status Server::Listen(ListenOptions options) {
  const auto shared = std::make_shared<const ListenOptions>(std::move(options));
  ConnectionContext* context = context_.get();
  context->traffic.Open(shared->protocol);
  if (shared->pause_detector != nullptr) context->pause_detector = shared->pause_detector;
  auto listener =
      Listener::Open(context->loop, shared->host, shared->port, shared->flag_name,
                     shared->pause_detector, context->counters[&ServerStats::accept_errors],
                     [context, shared](int file, const SocketAddress& peer, std::uint32_t pauses) {
                       context->Accept(*shared, file, peer, pauses);
                     });
  if (!listener) return tl::unexpected(listener.error());
  listeners_.push_back(std::move(*listener));
  return {};
}

std::uint16_t Server::bound_port() const {
  return listeners_.empty() ? 0 : listeners_.back()->local().port();
}

void Server::NotePause() {
  context_->NotePause();
  for (const auto& listener : listeners_) listener->AcceptSome();
}

void Server::SetIdleTimeout(Duration timeout) { context_->idle_timeout = timeout; }

void Server::StopListening() { listeners_.clear(); }

void Server::Drain(TimePoint deadline, std::function<void()> done) {
  StopListening();
  context_->Drain(deadline, std::move(done));
}

ServerStats Server::stats() const { return context_->counters.Read(); }

TrafficByAsker Server::traffic() const { return context_->traffic.Read(); }

}  // namespace gyre
