// The listening side of one loop: its ports, its connections and their limits.
//
// Every worker loop has a Server of its own on the same ports (SO_REUSEPORT): the kernel deals new
// connections out among them, and a connection stays on its loop for life. So nothing here is
// locked; only `stats` crosses threads, as relaxed counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/pause_detector.h"
#include "base/statistic.h"
#include "net/event_loop.h"
#include "net/traffic.h"
#include "proto/result.h"
#include "protocol/codec.h"
#include "protocol/handler.h"
#include "protocol/session.h"

namespace gyre {

class Admission;
class ClientMemory;
class Keyring;

// Seconds of silence after which the kernel asks whether the client's machine is still there.
inline constexpr unsigned kKeepaliveSeconds = 60;

struct ConnectionLimits {
  // Clients of the whole process. One more is answered with an error and closed.
  std::size_t connections_max = 65'536;
  // Shared by the servers of a process, and outlives them. Null: a count of the server's own, of
  // connections_max clients.
  Admission* admission = nullptr;
  // A client that neither asks nor waits for anything is closed after this long; 0: never.
  Duration idle_timeout{};
  // Likewise, one that was let in beyond connections_max.
  Duration reserved_idle_timeout = std::chrono::seconds(10);
  // Who has not sent its first request for this long may be closed to make room for another.
  Duration undecided_timeout = std::chrono::seconds(10);
  // Bytes of output, waiting replies included, above which a connection's requests are neither
  // executed nor read until its client has read half of it. Higher: longer pipelines go on at once;
  // costs memory for each client that reads slowly.
  std::size_t output_bytes_pause = std::size_t{1} << 20;
  // A connection with more output than this is closed: one reply must fit.
  std::size_t output_bytes_max = std::size_t{1} << 30;
  // A client that has output waiting and takes no byte of it for this long is closed.
  Duration slow_client_timeout = std::chrono::seconds(30);
  // Replies of one connection that may be outstanding (deferred); above it, as above
  // output_bytes_pause.
  std::size_t pending_replies_max = 8192;
  // After the last reply of a connection that we close, how long its client has to read it and
  // close, too.
  Duration linger_timeout = std::chrono::seconds(2);
  // What all connections hold is charged to it; borrowed, outlives the server. Null: to nobody.
  ClientMemory* memory = nullptr;
  // Memory that this loop keeps in empty buffers, for the next replies.
  std::size_t pooled_bytes_max = std::size_t{2} << 20;
};

struct ListenOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one (tests); see Server::bound_port
  Protocol protocol = Protocol::kResp;
  bool cluster_port = false;
  CodecFactory codec;
  Handler* handler = nullptr;      // borrowed; outlives the server
  std::string flag_name = "port";  // named by errors, e.g. "--resp-port"
  // Where set, requests of peers are served on encrypted connections only; borrowed, outlives the
  // server. Native ports.
  Keyring* keys = nullptr;
  // Each connection begins with the header of a proxy (proxy_header.h), and counts as of the client
  // that the header names.
  bool proxied = false;
  // Where set, requests that waited while the process paused are marked (Request::waited); borrowed,
  // outlives the server.
  const PauseDetector* pause_detector = nullptr;
};

struct ServerStats {
  std::uint64_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t accept_errors = 0;
  std::uint64_t closed_idle = 0;
  std::uint64_t closed_slow = 0;
  std::uint64_t closed_memory = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t requests = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t pauses = 0;
  std::uint64_t subscribers = 0;
  std::uint64_t pushes = 0;
  std::uint64_t push_pauses = 0;

  static constexpr Statistic<ServerStats> kStatistics[] = {
      {&ServerStats::connections,
       {.kind = StatKind::kGauge, .name = "gyre_connections", .help = "Open client connections."}},
      {&ServerStats::accepted,
       {.name = "gyre_connections_accepted_total",
        .help = "Connections accepted.",
        .redis = "total_connections_received",
        .memcached = "total_connections"}},
      {&ServerStats::rejected,
       {.name = "gyre_connections_rejected_total",
        .help = "Connections refused because too many were open.",
        .redis = "rejected_connections",
        .memcached = "rejected_connections"}},
      {&ServerStats::accept_errors,
       {.name = "gyre_accept_errors_total",
        .help = "Failed accepts, mostly for want of file descriptors."}},
      {&ServerStats::closed_idle,
       {.name = "gyre_idle_clients_closed_total",
        .help = "Connections closed because their client was idle (--idle-timeout)."}},
      {&ServerStats::closed_slow,
       {.name = "gyre_slow_clients_closed_total",
        .help = "Connections closed because their client did not read its replies."}},
      {&ServerStats::closed_memory,
       {.name = "gyre_clients_closed_for_memory_total",
        .help = "Connections closed because they held most when the memory for clients was full."}},
      {&ServerStats::protocol_errors,
       {.name = "gyre_protocol_errors_total",
        .help = "Connections closed because of malformed input."}},
      {&ServerStats::requests,
       {.name = "gyre_requests_total",
        .help = "Requests handled.",
        .redis = "total_commands_processed"}},
      {&ServerStats::bytes_in,
       {.unit = StatUnit::kBytes,
        .name = "gyre_received_bytes_total",
        .help = "Bytes from clients.",
        .redis = "total_net_input_bytes",
        .memcached = "bytes_read"}},
      {&ServerStats::bytes_out,
       {.unit = StatUnit::kBytes,
        .name = "gyre_sent_bytes_total",
        .help = "Bytes to clients.",
        .redis = "total_net_output_bytes",
        .memcached = "bytes_written"}},
      {&ServerStats::pauses,
       {.name = "gyre_connection_pauses_total",
        .help = "Times that requests waited for their client to read earlier replies."}},
      {&ServerStats::subscribers,
       {.kind = StatKind::kGauge,
        .name = "gyre_subscribed_connections",
        .help = "Connections that are sent to without a request: readers of the feed."}},
      {&ServerStats::pushes,
       {.name = "gyre_pushes_total", .help = "Messages sent to connections without a request."}},
      {&ServerStats::push_pauses,
       {.name = "gyre_push_pauses_total",
        .help = "Times that such messages waited for their client to read earlier ones."}},
  };
};
static_assert(AllDescribed<ServerStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// Whether nobody listens on the TCP port; else one line that names `flag_name` ("--resp-port").
// Before the loops' Servers bind it: with SO_REUSEPORT, two processes of one user would share it
// without an error. `host` is an address or a name (then the call blocks for the resolver).
Status CheckPortFree(const std::string& host, std::uint16_t port, const std::string& flag_name);

class ConnectionContext;
class Listener;

// Loop thread, but for `stats`. The loop, registry and handlers outlive it.
class Server {
 public:
  Server(EventLoop& loop, SessionRegistry& sessions, ConnectionLimits limits = {});
  // Closes listeners and connections at once. Replies that are still pending go nowhere.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens one more port.
  Status Listen(ListenOptions options);
  // The port of the latest Listen.
  std::uint16_t bound_port() const;
  void StopListening();
  // To be called after a pause, and now and then, where ports have a `pause_detector`: what waits now
  // may have waited through it, what comes later did not (Listener::AcceptSome).
  void NotePause();

  // ConnectionLimits::idle_timeout from now on, for those that are connected, too.
  void SetIdleTimeout(Duration timeout);

  // Stops listening and reading, answers the requests that came in, closes connections as they fall
  // idle, and the rest at `deadline`. Then calls `done`, from the loop, never from within the call.
  // Once.
  void Drain(TimePoint deadline, std::function<void()> done);

  // Any thread.
  ServerStats stats() const;
  TrafficByAsker traffic() const;

 private:
  std::unique_ptr<ConnectionContext> context_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace gyre
