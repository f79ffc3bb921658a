// What the server knows of one connection, beyond its bytes. Owned by the connection; used on its
// loop's thread only, but for the fields that `SessionRegistry` guards.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/client_memory.h"
#include "base/clock.h"
#include "common/mutex.h"
#include "proto/node_id.h"
#include "protocol/request.h"

namespace gyre {

class PushSource;

// The loop's part that has the connections of sessions.
class SessionOwner {
 public:
  // Closes those of these sessions that are still there, soon, because the memory for clients is
  // full. Any thread.
  virtual void CloseForMemory(std::vector<std::uint64_t> ids) = 0;
  // What its sessions hold is charged to; null: to nothing.
  virtual const ClientMemory* budget() const = 0;

 protected:
  ~SessionOwner() = default;
};

struct Session {
  // Immutable after the connection is accepted.
  std::uint64_t id = 0;
  Protocol protocol = Protocol::kResp;
  bool cluster_port = false;  // RESP with -MOVED instead of forwarding
  std::string peer_address;   // "127.0.0.1:50123"
  std::string local_address;
  UnixMillis connected_ms = 0;
  SessionOwner* owner = nullptr;  // null: it is not closed for its memory

  // Its loop only.
  bool read_from_replicas = false;  // READONLY
  bool close_after_reply = false;   // QUIT: flush, then close
  bool database_refused = false;    // SELECT of one that is not there, until SELECT 0
  bool replies_off = false;         // CLIENT REPLY OFF
  int replies_skipped = 0;          // the next so many, that of the request at hand included
  bool mute() const { return replies_off || replies_skipped > 0; }
  std::optional<NodeId> peer;           // the node that proved to speak here (native port)
  PushSource* push_source = nullptr;    // what it has subscribed to; its connection's
  std::uint64_t last_write_ticket = 0;  // for WAIT: the replicator's newest ticket of this session

  // Written by its loop, read by any (CLIENT LIST).
  std::atomic<UnixMillis> last_active_ms{0};
  std::atomic<std::uint64_t> commands{0};
  std::atomic<int> resp_version{2};
  // Buffers of its connection: requests that are not executed yet, room behind them, and replies
  // that are not sent yet.
  std::atomic<std::size_t> input_bytes{0};
  std::atomic<std::size_t> input_free_bytes{0};
  std::atomic<std::size_t> output_bytes{0};
  std::atomic<bool> subscribed{false};  // it is sent to without a request
  // The name of the last one: of a row of the command table, whose rows last. Null: none yet.
  std::atomic<const std::string_view*> last_command{nullptr};
  // What the node holds for its client: input, output, replies that are gathered (client_memory.h).
  std::atomic<std::size_t> memory_bytes{0};
  std::atomic<std::size_t> wanted_bytes{0};  // which a request of it waits for

  // Guarded by the registry's mutex.
  std::string name;
  std::string library_name;
  std::string library_version;
  bool closing = false;  // its owner was told
};

// All connections of the process, for CLIENT LIST and the metrics. Thread-safe.
class SessionRegistry {
 public:
  std::uint64_t NextId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  void Add(Session& session) {
    MutexLock lock(mutex_);
    sessions_.emplace_hint(sessions_.end(), session.id, &session);
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
  // Likewise for `count` of them at most, in the order of their numbers, beginning at `from`. Returns
  // the number to go on from; 0 at the end.
  std::uint64_t ForEachFrom(std::uint64_t from, std::size_t count,
                            const std::function<void(const Session&)>& visit) {
    MutexLock lock(mutex_);
    auto at = sessions_.lower_bound(from);
    for (; count > 0 && at != sessions_.end(); --count, ++at) visit(*at->second);
    return at == sessions_.end() ? 0 : at->first;
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
  // Of the sessions that are charged to `budget` those that hold most, as many as are needed to free
  // `bytes`; each is named once. What a request waits for counts as held where it is more than
  // `wish_bytes_max`. The caller tells the owners.
  std::unordered_map<SessionOwner*, std::vector<std::uint64_t>> TakeLargest(
      const ClientMemory* budget, std::size_t bytes, std::size_t wish_bytes_max);

 private:
  std::atomic<std::uint64_t> next_id_{1};
  Mutex mutex_;
  std::map<std::uint64_t, Session*> sessions_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
