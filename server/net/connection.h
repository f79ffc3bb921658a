// One client of a Server: bytes in, requests to the handler, replies out in order.
//
//   kernel -> scratch --Decode--> Request --Handle--> writer -> output -> kernel
//               |  an incomplete or paused rest                  ^
//               +-> input (only while there is one)              +- finished slots (reply_slot.h)
//
// Several requests are decoded ahead of their execution (ReadAhead), so that the handler can
// foresee what they need from memory.
//
// Cost of a request in the steady state: no allocation, no copy of its bytes, one copy of its
// reply; one read and one write for all requests that came in one read. An idle connection holds no
// buffer.
//
// Back-pressure. `output_bytes()` is everything produced and not yet taken by the kernel: output, a
// write in flight, finished slots and tails. Above limits.output_bytes_pause (or with too many
// replies outstanding) requests are neither executed nor read, so the kernel's window closes and
// the client waits; below half of it work resumes.
//
// The end of a connection. `ending_`: no further request is executed; what is outstanding is still
// answered. Then either the client has closed its side already and we close, or we close ours (FIN)
// and discard its bytes until it closes, too: closing a socket with unread input would make the
// kernel send a reset, which can destroy the last reply on its way.
//
// After a sleep of the process (sleep_watch.h) the bytes that are in the kernel by then came at
// some time during it: the requests that begin in them are marked. What is sent later is behind
// them.
//
// Links of peers. Where the port has keys, a PeerGate stands between the socket and the codec until
// the first bytes tell a client from a peer. A client's connection goes on without it, and may not
// speak as a peer; a peer's is opened and sealed by the gate from then on:
//
//   kernel -> scratch -> gate -> input ...                       output -> gate -> kernel
//
// Close() is called only where no handler or codec is on the stack. A slot that becomes finished
// elsewhere marks the connection as due; due connections flush before the loop sleeps.
#pragma once

#include <uv.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/log_limit.h"
#include "net/counter.h"
#include "net/event_loop.h"
#include "net/intrusive_list.h"
#include "net/listener.h"
#include "net/peer_gate.h"
#include "net/reply_slot.h"
#include "net/server.h"
#include "protocol/codec.h"
#include "protocol/handler.h"
#include "protocol/session.h"

namespace gyre {

struct DueTag {};    // has output or work before the loop sleeps
struct WatchTag {};  // waits for its client: to read, or to close

// The requests that were decoded and not executed yet. Several, so that the handler can foresee
// what they need (Handler::Foresee).
struct ReadAhead {
  // Enough to hide the waits for memory behind each other; few enough that what was fetched for the
  // last one is still in the cache when its turn comes.
  static constexpr std::size_t kRequestsMax = 32;

  // Arguments of one request beyond which it gives their memory back.
  static constexpr std::size_t kArgumentsKept = 8192;

  std::span<const Request> view() const { return {requests.data(), count}; }
  // The requests are executed. One more may have been begun.
  void Trim() {
    for (std::size_t i = 0; i < std::min(count + 1, kRequestsMax); ++i) {
      if (requests[i].args.capacity() > kArgumentsKept) requests[i].args = {};
    }
  }

  std::array<Request, kRequestsMax> requests;
  std::array<std::size_t, kRequestsMax> ends{};  // of each, in the input
  std::size_t count = 0;
  // Why no more were decoded: kNeedMore, kError, kMalformed, or kRequest if something else ended
  // it.
  Decoded stop;
  std::size_t end = 0;  // of all that was decoded, skipped bytes and an error included
};

// What all connections of a Server share.
class ConnectionContext {
 public:
  // One read. Larger requests are read into the connection's own buffer.
  static constexpr std::size_t kScratchBytes = 64 * 1024;

  ConnectionContext(EventLoop& loop, SessionRegistry& sessions, const ConnectionLimits& limits);
  ~ConnectionContext();

  // Takes over `file`: a connection, or a refusal where there are too many.
  void Accept(const ListenOptions& options, int file, const SocketAddress& peer,
              std::uint32_t sleeps);
  void Drain(TimePoint deadline, std::function<void()> done);
  void CloseAll();

  // For connections.
  void OnClosed();
  void Watch(Connection& connection);

  EventLoop& loop;
  SessionRegistry& sessions;
  const ConnectionLimits limits;
  ReplyPool::Owner pool = ReplyPool::Create();
  std::unique_ptr<char[]> scratch;
  ReadAhead read_ahead;  // used again by each connection, so that its vectors keep their memory
  EndOfIteration flush_due;
  IntrusiveList<Connection> all;
  IntrusiveList<Connection, DueTag> due;
  IntrusiveList<Connection, WatchTag> watched;
  LogLimit plain_log;  // of peers without a key
  LogLimit links_log;  // of links with another key, or broken

  struct {
    Counter connections, accepted, rejected, accept_errors, closed_slow, protocol_errors, requests,
        bytes_in, bytes_out, pauses;
  } counters;

 private:
  void Refuse(const ListenOptions& options, int file);
  void FlushDue();
  void CheckWatched();
  void EndAll();

  Timer watch_timer_;
  Timer drain_timer_;
  std::function<void()> drained_;  // set while draining
};

class Connection final : public IntrusiveListNode<Connection>,
                         public IntrusiveListNode<Connection, DueTag>,
                         public IntrusiveListNode<Connection, WatchTag>,
                         private Responder {
 public:
  // Reads of full buffers from one connection in one iteration; then others get their turn.
  static constexpr int kReadsPerIteration = 4;

  // Takes over `file`; begins to read. Deletes itself once closed. `sleeps` as in
  // Listener::OnAccept.
  static void Start(ConnectionContext& context, const ListenOptions& options, int file,
                    const SocketAddress& peer, std::uint32_t sleeps);

  // From PendingSlot.
  void OnSlotFinished(PendingSlot& slot);

  // Sends what may leave, goes on with what was paused, ends what is over.
  void Flush();
  // No more requests are read; what came in is answered, then the connection closes. At once if it
  // is idle.
  void EndInput();
  // What its client kept waiting for too long is closed. (watched ones)
  void CheckProgress(TimePoint now);
  void Close();

 private:
  friend struct CloseAndDelete<Connection>;

  Connection(ConnectionContext& context, const ListenOptions& options, std::uint32_t sleeps);
  ~Connection() override = default;

  // Responder: the request in `current_`.
  ReplyWriter& writer() override;
  PendingReply Defer() override;
  void HoldLaterRequests() override;

  // Input (connection_input.cc).
  void StartReading();
  void StopReading();
  void OnAllocate(uv_buf_t* buffer);
  void OnRead(ssize_t count, const uv_buf_t* buffer);
  void OnInput(std::string_view fresh, bool in_scratch);
  void OnGateInput(std::string_view fresh);
  bool TakeThroughGate(std::string_view fresh);
  void NoteSleep(std::size_t fresh);
  void MarkWaited(std::size_t begin);
  void OnEof();
  void ExecuteInput();
  std::size_t Execute(std::string_view input);
  void Decode(std::string_view input, std::size_t from);
  void HandleRequest(const Request& request);
  void ReplyError(const Request& request, const Error& error);
  bool RefusesPeer(const Request& request);
  void NoteMalformed(const Error& error);
  void YieldAfterFullReads();

  // Output (connection_output.cc).
  // Where the next reply goes that is not deferred.
  Buffer& Target() {
    Buffer& target = ordered_ && !queue_.empty() ? queue_.back().tail_ : output_;
    if (target.capacity() == 0) target = context_.pool->TakeBuffer();
    return target;
  }
  void Promote();
  void Emit(Buffer& bytes);
  bool Write();
  void OnWritten(int status);
  std::size_t output_bytes() const { return output_bytes_; }
  bool MustPause() const {
    return awaited_ != nullptr || output_bytes_ >= context_.limits.output_bytes_pause ||
           pending_ >= context_.limits.pending_replies_max;
  }
  bool MayResume() const {
    return awaited_ == nullptr && output_bytes_ <= context_.limits.output_bytes_pause / 2 &&
           pending_ <= context_.limits.pending_replies_max / 2;
  }
  bool PauseIfNeeded();

  // End.
  bool Outstanding() const;
  void MaybeEnd();
  void CloseAsSlow(const char* reason);
  void MarkDue();
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle); }

  // The request being handled.
  struct Current {
    const Request* request = nullptr;
    Buffer* target = nullptr;
    std::size_t target_bytes = 0;  // before its reply
    ReplyWriter* writer = nullptr;
    PendingSlot* slot = nullptr;
    bool answered = false;  // a writer was asked for
  };

  uv_tcp_t handle{};  // named for HandlePtr; open until Close
  ConnectionContext& context_;
  Handler& handler_;
  Session session_;
  std::unique_ptr<Codec> codec_;
  bool ordered_;         // codec_->ordered()
  Keyring* const keys_;  // null: this port knows no keys
  const SleepWatch* const sleep_watch_;
  std::unique_ptr<PeerGate> gate_;  // null without keys, and once it is known to be a client's

  Buffer input_;                  // bytes of requests not executed yet
  std::size_t wanted_ = 0;        // the codec needs this many in input_ to go on; 0: any more
  std::size_t waited_bytes_ = 0;  // of the input, from its front: came while the process slept
  std::uint32_t sleeps_seen_;

  Current current_;
  Buffer output_;   // ready to leave
  Buffer writing_;  // in write_, not yet taken by the kernel
  uv_write_t write_{};
  IntrusiveList<PendingSlot> queue_;     // ordered: newest last
  IntrusiveList<PendingSlot> floating_;  // unordered or quiet, not finished
  IntrusiveList<PendingSlot> ready_;     // unordered, finished, not yet in the output
  std::size_t output_bytes_ = 0;
  std::size_t pending_ = 0;  // slots not finished

  // Progress of the client, while watched.
  TimePoint progress_at_{};
  std::size_t unwritten_seen_ = 0;

  TimePoint reads_iteration_{};
  int reads_ = 0;

  bool reading_ = false;
  bool executing_ = false;
  bool paused_ = false;                   // requests wait for output to leave, or for `awaited_`
  const PendingSlot* awaited_ = nullptr;  // no later request is executed before it is finished
  bool yielded_ = false;                  // reading goes on in the next iteration
  bool input_over_ = false;               // end of the client's bytes, or draining
  bool peer_closed_ = false;              // the client sent FIN
  bool ending_ = false;
  bool lingering_ = false;  // our side is closed, the client's not yet
  bool write_in_flight_ = false;
  bool closed_ = false;
};

}  // namespace gyre
