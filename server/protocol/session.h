// What the server knows of one connection, beyond its bytes. Owned by the connection; used on its
// loop's thread only, but for the fields that `SessionRegistry` guards.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "protocol/request.h"

namespace gyre {

struct Session {
  // Immutable after the connection is accepted.
  std::uint64_t id = 0;
  Protocol protocol = Protocol::kResp;
  bool cluster_port = false;  // RESP with -MOVED instead of forwarding
  std::string peer_address;   // "127.0.0.1:50123"
  std::string local_address;
  UnixMillis connected_ms = 0;

  // Its loop only.
  int resp_version = 2;
  bool read_from_replicas = false;      // READONLY
  bool close_after_reply = false;       // QUIT: flush, then close
  std::uint64_t last_write_ticket = 0;  // for WAIT: the replicator's newest ticket of this session

  // Written by its loop, read by any (CLIENT LIST).
  std::atomic<UnixMillis> last_active_ms{0};
  std::atomic<std::uint64_t> commands{0};

  // Guarded by the registry's mutex.
  std::string name;
  std::string library_name;
  std::string library_version;
};

// All connections of the process, for CLIENT LIST and the metrics. Thread-safe.
class SessionRegistry {
 public:
  std::uint64_t NextId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  void Add(Session& session) {
    MutexLock lock(mutex_);
    sessions_.emplace(session.id, &session);
  }
  void Remove(const Session& session) {
    MutexLock lock(mutex_);
    sessions_.erase(session.id);
  }
  // Calls `visit` under the mutex.
  void ForEach(const std::function<void(const Session&)>& visit) {
    MutexLock lock(mutex_);
    for (const auto& [id, session] : sessions_) visit(*session);
  }
  // Calls `change` under the mutex, for the guarded fields.
  void Update(Session& session, const std::function<void(Session&)>& change) {
    MutexLock lock(mutex_);
    change(session);
  }
  std::size_t count() {
    MutexLock lock(mutex_);
    return sessions_.size();
  }

 private:
  std::atomic<std::uint64_t> next_id_{1};
  Mutex mutex_;
  std::unordered_map<std::uint64_t, Session*> sessions_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
