#include "net/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/connection.h"

namespace gyre {
namespace {

// Requests that are on the wire when a drain begins are still read for so long.
constexpr Duration kDrainGrace = std::chrono::milliseconds(20);
constexpr Duration kWatchInterval = std::chrono::milliseconds(250);

}  // namespace

// ---- ConnectionContext ------------------------------------------------------------------------

ConnectionContext::ConnectionContext(EventLoop& loop_in, SessionRegistry& sessions_in,
                                     const ConnectionLimits& limits_in)
    : loop(loop_in),
      sessions(sessions_in),
      limits(limits_in),
      scratch(new char[kScratchBytes]),
      flush_due(loop_in, [this] { FlushDue(); }),
      watch_timer_(loop_in),
      drain_timer_(loop_in) {}

ConnectionContext::~ConnectionContext() {
  drained_ = nullptr;
  CloseAll();
}

void ConnectionContext::Accept(const ListenOptions& options, int file, const SocketAddress& peer,
                               std::uint32_t sleeps) {
  if (sessions.count() >= limits.connections_max) {
    counters.rejected.Add(1);
    Refuse(options, file);
    return;
  }
  counters.accepted.Add(1);
  Connection::Start(*this, options, file, peer, sleeps);
}

// Says why, as far as the socket's empty buffer takes it, which is all of it.
void ConnectionContext::Refuse(const ListenOptions& options, int file) {
  Session session;
  session.protocol = options.protocol;
  const std::unique_ptr<Codec> codec = options.codec(session);
  Buffer reply;
  ReplyWriter* writer = codec->WriterFor(Request{}, reply);
  writer->Fail({ErrorCode::kTooLarge,
                "max number of clients reached: " + std::to_string(limits.connections_max) +
                    " are connected; close some"});
  codec->Recycle(writer);
  (void)send(file, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(file);
}

void ConnectionContext::FlushDue() {
  while (!due.empty()) due.PopFront().Flush();
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

void ConnectionContext::EndAll() {
  all.ForEach([](Connection& connection) { connection.EndInput(); });
}

void ConnectionContext::CloseAll() {
  while (!all.empty()) all.front().Close();
}

void ConnectionContext::Drain(TimePoint deadline, std::function<void()> done) {
  drained_ = std::move(done);
  drain_timer_.Start(kDrainGrace, Duration::zero(), [this, deadline] {
    drain_timer_.Start(deadline - loop.now(), Duration::zero(), [this] { CloseAll(); });
    EndAll();
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
  auto listener =
      Listener::Open(context->loop, shared->host, shared->port, shared->flag_name,
                     shared->sleep_watch, context->counters.accept_errors,
                     [context, shared](int file, const SocketAddress& peer, std::uint32_t sleeps) {
                       context->Accept(*shared, file, peer, sleeps);
                     });
  if (!listener) return tl::unexpected(listener.error());
  listeners_.push_back(std::move(*listener));
  return {};
}

std::uint16_t Server::bound_port() const {
  return listeners_.empty() ? 0 : listeners_.back()->local().port();
}

void Server::AcceptWaiting() {
  for (const auto& listener : listeners_) listener->AcceptSome();
}

void Server::StopListening() { listeners_.clear(); }

void Server::Drain(TimePoint deadline, std::function<void()> done) {
  StopListening();
  context_->Drain(deadline, std::move(done));
}

ServerStats Server::stats() const {
  const auto& counters = context_->counters;
  ServerStats stats;
  stats.connections = counters.connections.value();
  stats.accepted = counters.accepted.value();
  stats.rejected = counters.rejected.value();
  stats.accept_errors = counters.accept_errors.value();
  stats.closed_slow = counters.closed_slow.value();
  stats.protocol_errors = counters.protocol_errors.value();
  stats.requests = counters.requests.value();
  stats.bytes_in = counters.bytes_in.value();
  stats.bytes_out = counters.bytes_out.value();
  stats.pauses = counters.pauses.value();
  return stats;
}

}  // namespace gyre
