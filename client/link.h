// One of a node's connections as requests see it: it connects when the first request comes, gathers
// requests and sends them together, matches replies to them by id, and fails them together. Loop
// thread only.
//
//   ids:   1 ... answered or forgotten ... | in flight, sent | in flight, unsent |
//                                                        first_unsent_       next_id_
//
// Nodes have their own (server/net/frame_link.h): of that only the socket is the same
// (common/tcp_stream.h). What waits here is requests that can be asked of another node, each by itself.
//
// Whether a request may have left the process decides if a write may be repeated, so it is taken
// strictly: an id counts as sent from the moment its bytes were handed to the kernel or to libuv.
// What the node says goodbye to counts as unsent, because it says that it did nothing of it.
// And what was unsent when it was forgotten is never sent: its caller was told that nothing was
// written. So the unsent bytes, whole frames in the order of their ids, lose those of forgotten ids
// before they leave; and earlier, once these are half of them, so that a link that cannot write holds
// no more than twice what is wanted of it.
#pragma once

#include <uv.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "client/frame_connection.h"
#include "client/request.h"
#include "common/byte_queue.h"

namespace gyre::client {

class Link final : private FrameConnection::Owner {
 public:
  struct Lost {
    Request* request;
    bool sent;
  };
  class Owner {
   public:
    virtual uv_loop_t* loop() = 0;
    // Has bytes to flush: Flush is called at the end of this turn of the loop.
    virtual void OnDirty(Link& link) = 0;
    // The addresses of the node, perhaps after asking DNS; OnResolved follows, perhaps at once.
    virtual void Resolve(Link& link) = 0;
    virtual void OnConnected(Link& link) = 0;
    // The node sent something.
    virtual void OnAlive(Link& link) = 0;
    // A request's answer; its attempt is already forgotten here. False: it makes no sense, close
    // the link.
    virtual bool OnReply(Link& link, Request& request, std::string_view payload) = 0;
    virtual void OnReadEnd() = 0;
    // The link is idle again; these requests are without an answer. `was_connected`: it broke; else
    // it never came to be.
    virtual void OnLost(Link& link, bool was_connected, const Error& error,
                        std::vector<Lost> lost) = 0;

   protected:
    ~Owner() = default;
  };

  Link(Owner& owner, RemoteNode& node, Milliseconds connect_timeout)
      : owner_(owner), node_(node), connect_timeout_(connect_timeout) {}
  ~Link() { Abandon(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  RemoteNode& node() { return node_; }

  // Queues the request and returns its id.
  std::uint64_t Send(Request& request, std::uint32_t deadline_ms, TimePoint now);
  // Its answer is no longer wanted; if it is unsent, it will not be sent. The request still exists.
  void Forget(std::uint64_t request_id);
  bool WasSent(std::uint64_t request_id) const { return request_id < first_unsent_; }

  void Flush();
  void OnResolved(std::vector<sockaddr_storage> addresses);
  void OnResolveFailed(std::string message);

  bool idle() const { return in_flight_.empty(); }
  // Nothing was received since `since`.
  bool SilentSince(TimePoint since) const { return last_received_ <= since; }
  // It is connected, requests wait for an answer, and nothing at all came for `silence`.
  bool Unanswered(TimePoint now, Milliseconds silence) const;
  // Requests were given up on it and nothing at all came for `silence_max`: it is better to begin
  // anew.
  bool Dead(TimePoint now, Milliseconds silence_max) const;
  // Breaks the connection; its requests are lost.
  void Break(const Error& error);
  // Closes without a word to the owner.
  void Abandon();

 private:
  enum class State { kIdle, kResolving, kConnecting, kConnected };

  void DropForgotten();
  void ConnectNext();
  void FailAll(const Error& error);

  void OnConnected() override;
  void OnBytes() override;
  bool OnReply(std::uint64_t request_id, std::string_view payload) override;
  void OnGoodbye() override;
  void OnReadEnd() override;
  void OnWritten() override;
  void OnClosed(const Error& error) override;

  Owner& owner_;
  RemoteNode& node_;
  const Milliseconds connect_timeout_;

  State state_ = State::kIdle;
  FrameConnection* connection_ = nullptr;
  std::vector<sockaddr_storage> addresses_;  // not yet tried
  ByteQueue<> out_;                          // unsent
  std::size_t forgotten_bytes_ = 0;          // of `out_`, about
  std::unordered_map<std::uint64_t, Request*> in_flight_;
  std::uint64_t next_id_ = 1;
  std::uint64_t first_unsent_ = 1;
  std::uint64_t forgotten_since_received_ = 0;
  TimePoint last_received_;
};

}  // namespace gyre::client
