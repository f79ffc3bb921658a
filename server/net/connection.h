// One client of a Server: bytes in, requests to the handler, replies out in order.
//
//   kernel -> scratch --Decode--> Request --Handle--> writer -> output -> kernel
//               |  an incomplete or paused rest                  ^
//               +-> input (only while there is one)              +- finished slots (reply_slot.h)
//
// A turn of the loop has three phases (connection_turn.cc). What is ready is read: the bytes of each
// connection stay where they were read to, one behind the other in the scratch. Then all requests of
// all connections are executed; several are decoded ahead (ReadAhead), so that the handler can foresee
// what they need from memory, and much is done once for all. Then each connection writes once. A turn
// is of so many connections and bytes at most as the CPU's cache holds; what is ready beyond that
// comes in the next, of the same iteration.
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
// kernel send a reset, which can destroy the last reply on its way. What a client sends at that moment
// is lost to it, and it cannot know whether it was carried out; so before our FIN it is told that what
// has no reply was not (Codec::WriteGoodbye), where its protocol has a word for that.
//
// Turns. In one iteration a connection executes what came for a few milliseconds at most, if the
// iteration is long already: then the rest stays in `input_`, nothing more is read, and the
// connection goes on in a later iteration, in the order in which connections began to wait. What is
// executed by then is written, before others of the turn are looked at. So what one client pipelines
// delays the others by a turn, not by all of it.
//
// After a pause of the process (pause_detector.h) the bytes that are in the kernel by then came at
// some time during it: the requests that begin in them are marked. What is sent later is behind
// them, or comes on a connection of which it was seen that nothing waited.
//
// Links of peers. Where the port has keys, a PeerGate stands between the socket and the codec until
// the first bytes tell a client from a peer. A client's connection goes on without it, and may not
// speak as a peer; a peer's is opened and sealed by the gate from then on:
//
//   kernel -> scratch -> gate -> input ...                       output -> gate -> kernel
//
// Replies in pieces (PendingReply::Stream). The source of the first reply in the queue writes on
// whenever less than output_bytes_pause waits to be sent; so a reply of any size is here in pieces
// only.
//
// Push (protocol/push.h). Where less than output_bytes_pause waits to be sent, the connection's source
// writes behind the output whenever it was woken, a few pieces in an iteration: so its client's
// slowness pauses it, and requests of a client that does not read its pushes are not read.
//
// Memory (base/client_memory.h). All buffers are charged. Where there is no room to read on, or for
// a reply that could fit, the connection starves: it stops reading, and looks again every few
// milliseconds. If that lasts, the client that holds most is closed, whichever it is; but where it
// is the request that waits which wants too much, that is refused. A reply that can never fit is
// refused at once. A reply in pieces waits for room between them.
//
// Close() is called only where no handler or codec is on the stack. A slot that becomes finished
// elsewhere marks the connection as due; due connections flush before the loop sleeps.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/client_memory.h"
#include "base/log_limit.h"
#include "base/tally.h"
#include "net/admission.h"
#include "net/event_loop.h"
#include "net/intrusive_list.h"
#include "net/listener.h"
#include "net/peer_gate.h"
#include "net/proxy_header.h"
#include "net/read_ahead.h"
#include "net/reply_slot.h"
#include "net/server.h"
#include "net/traffic.h"
#include "protocol/codec.h"
#include "protocol/handler.h"
#include "protocol/session.h"

namespace gyre {

class Connection;

struct DueTag {};        // has output or work before the loop sleeps
struct WatchTag {};      // waits for its client: to read, or to close
struct StarvedTag {};    // waits for memory
struct ReadyTag {};      // has read what is executed in this turn
struct TurnTag {};       // goes on in a later iteration
struct UndecidedTag {};  // has not shown yet whether it is a client or a peer

// What all connections of a Server share.
class ConnectionContext final : public SessionOwner {
 public:
  // One read. Larger requests are read into the connection's own buffer.
  static constexpr std::size_t kReadBytes = 64 * 1024;
  // What is read to the scratch, and of how many connections, before it is executed.
  static constexpr std::size_t kScratchBytes = 4 * kReadBytes;
  static constexpr std::size_t kTurnConnectionsMax = 64;
  // How long an iteration goes on executing what connections have read, before it turns to others. Who
  // comes meanwhile waits for its end and, behind others, for about another one.
  static constexpr Duration kTurnMax = std::chrono::milliseconds(2);
  // Requests and replies of so many bytes are executed before the time is read again: some tens of
  // microseconds, where they are small.
  static constexpr std::size_t kBytesAClockReading = 4096;

  ConnectionContext(EventLoop& loop, SessionRegistry& sessions, const ConnectionLimits& limits);
  ~ConnectionContext();

  // Takes over `file`: a connection, or a refusal where there are too many.
  void Accept(const ListenOptions& options, int file, const SocketAddress& peer,
              std::uint32_t pauses);
  void Drain(TimePoint deadline, std::function<void()> done);
  void CloseAll();

  // For connections.
  Admission& admission() { return *admission_; }
  // Where the next read goes: room for kReadBytes.
  char* scratch() { return scratch_.get() + scratch_used_; }
  // Before anything is done with what was read: it may be the first of a turn.
  void BeginTurn() {
    if (turn_size_ != 0) return;
    turn_began_ = loop.exact_now();
    traffic.Settle(turn_began_);
  }
  // What it has read, in the scratch up to `end` (null: elsewhere), is executed in this turn.
  void JoinTurn(Connection& connection, const char* end);
  // Executes what was read and has the replies written, if it is as much as one turn takes; or in
  // any case.
  void EndFullTurn() {
    if (turn_size_ == kTurnConnectionsMax || kScratchBytes - scratch_used_ < kReadBytes ||
        MemoryIsShort()) {
      RunTurn();
    }
  }
  void RunTurn();
  // Executes what connections have to execute, in their order, but where that takes long. Returns the
  // first whose turn has not come; null: there is none.
  Connection* Execute(IntrusiveList<Connection, ReadyTag>& connections);
  void OnClosed();
  void Watch(Connection& connection);
  // Its TakeTurn comes in a later iteration.
  void AwaitTurn(Connection& connection);
  // While `executing`: a request and its reply had so many bytes.
  void NoteExecuted(std::size_t bytes) {
    bytes_executed_ += bytes;
    bytes_executed_ < kBytesAClockReading ? NoteTick() : ReadClock();
  }
  bool IsTurnOver(TimePoint now) { return now - loop.now() >= kTurnMax; }
  // Looks what waits on connections, if the process paused since the last look.
  void NotePause();
  void Starve(Connection& connection);
  // What a turn reads may be charged beyond the limit only when it is executed: close to the limit each
  // connection has a turn of its own, and memory is looked at after each.
  bool MemoryIsShort() const {
    return memory != nullptr && memory->used() + kScratchBytes > memory->limit();
  }
  // Closes the largest clients of the node if the memory for clients is over its limit. Where no
  // connection is in use further up the stack.
  void KeepMemory();
  // SessionOwner. Any thread.
  void CloseForMemory(std::vector<std::uint64_t> ids) override;
  const ClientMemory* budget() const override { return memory; }

  // What buffers are charged to; null: nobody.
  ClientMemoryAccount* buffers() const {
    return ClientMemory::AccountOf(memory, ClientMemory::Kind::kBuffers);
  }

  EventLoop& loop;
  SessionRegistry& sessions;
  const ConnectionLimits limits;
  Duration idle_timeout;                          // may change, unlike limits.idle_timeout
  const PauseDetector* pause_detector = nullptr;  // of the ports that have one
  ClientMemory* const memory;
  ReplyPool::Owner pool;
  EndOfIteration flush_due;
  IntrusiveList<Connection> all;
  IntrusiveList<Connection, DueTag> due;
  IntrusiveList<Connection, WatchTag> watched;
  IntrusiveList<Connection, StarvedTag> starved;
  IntrusiveList<Connection, ReadyTag> ready;
  IntrusiveList<Connection, TurnTag> turns;
  IntrusiveList<Connection, UndecidedTag> undecided;  // the oldest first
  LogLimit plain_log;                                 // of peers without a key
  LogLimit links_log;                                 // of links with another key, or broken
  LogLimit memory_log;                                // of clients closed for their memory
  LogLimit proxy_log;                                 // of connections without a proxy's header

  Tally<ServerStats> counters;
  Traffic traffic;
  bool executing = false;  // a handler or a codec is on the stack
  TimePoint turn_now{};    // while `executing`: before the request that is executed, about

 private:
  Status TakePlace(Place place, const std::string& address);
  // Reads the time of the kernel's latest tick, a few milliseconds ago at most, for a fifth of what the
  // exact time costs: so much is seen of a request that is small and takes long.
  void NoteTick();
  void ReadClock();
  void Refuse(const ListenOptions& options, int file, const Error& error);
  void CheckIdle();
  void FlushDue();
  void CheckWatched();
  void GiveTurns();
  void CheckStarved();
  // Closes the clients of the node that hold most, until `bytes` are free again. A request that
  // waits for more than `wish_bytes_max` counts as if it held them, and is refused if it comes first.
  void CloseLargest(std::size_t bytes, std::size_t wish_bytes_max);
  void CloseNow(const std::vector<std::uint64_t>& ids);

  struct Token {};  // posted tasks hold it weakly: it is gone when the context is
  std::shared_ptr<Token> alive_ = std::make_shared<Token>();
  std::unique_ptr<Admission> own_admission_;
  Admission* const admission_;
  const std::unique_ptr<char[]> scratch_;
  std::size_t scratch_used_ = 0;  // in this turn
  std::size_t turn_size_ = 0;     // connections
  TimePoint turn_began_{};
  TimePoint spent_iteration_{};  // the last that executed for kTurnMax: what it still reads waits
  std::size_t bytes_executed_ = 0;  // since `turn_now` was read
  ReadAhead read_ahead_;            // used again and again, so that its vectors keep their memory
  EndOfPoll turn_;
  IterationObserver iteration_ends_;
  Timer idle_timer_;
  bool turns_posted_ = false;
  std::uint32_t pauses_seen_ = 0;
  Timer watch_timer_;
  Timer starved_timer_;
  TimePoint next_cut_{};
  Timer drain_timer_;
  std::function<void()> drained_;  // set while draining
};

class Connection final : public IntrusiveListNode<Connection>,
                         public IntrusiveListNode<Connection, DueTag>,
                         public IntrusiveListNode<Connection, WatchTag>,
                         public IntrusiveListNode<Connection, StarvedTag>,
                         public IntrusiveListNode<Connection, ReadyTag>,
                         public IntrusiveListNode<Connection, TurnTag>,
                         public IntrusiveListNode<Connection, UndecidedTag>,
                         private Responder,
                         private SlotOwner {
 public:
  // Reads of full buffers from one connection in one iteration; then others get their turn.
  static constexpr int kReadsPerIteration = 4;
  // Likewise, pieces of a reply.
  static constexpr int kPiecesPerIteration = 4;
  // How long a request that waits for memory leaves it to others before the largest client is
  // closed, and before it is refused.
  static constexpr Duration kStarvedPatience = std::chrono::milliseconds(100);
  static constexpr Duration kStarvedMax = std::chrono::seconds(2);

  // Takes over `file`; begins to read. Deletes itself once closed. `pauses` as in
  // Listener::OnAccept. `place`, which was taken for it, is left with the connection.
  static void Start(ConnectionContext& context, const ListenOptions& options, int file,
                    const std::string& peer, std::uint32_t pauses, Place place);

  // Sends what may leave, goes on with what was paused, ends what is over.
  void Flush();
  // Goes on with what it did not finish in its last turn.
  void TakeTurn();

  // A turn (connection_turn.cc): between the first and the last of these, nothing else is done with it.
  Handler& handler() const { return handler_; }
  void BeginExecution();
  // Decodes what comes next, as much as may be read ahead. False: that is to be executed before more
  // is decoded; else there is nothing more for now.
  bool DecodeAhead(ReadAhead& ahead);
  // `part` is its own. False: some of its requests must wait.
  bool ExecutePart(const ReadAhead& ahead, ReadAhead::Part& part);
  // What was decoded ahead is not executed now.
  void Rewind() { codec_->Rewind(); }
  bool YieldTurn();
  void Postpone();
  void EndExecution();

  // Where there was a pause since it was called last: what was read, and what waits in the kernel and
  // in `input_` by now, is taken for as old. `pauses`: as PauseDetector counts them now.
  void NotePause(std::uint32_t pauses);
  // No more requests are read; what came in is answered, then the connection closes. At once if it
  // is idle.
  void EndInput();
  // What its client kept waiting for too long is closed. (watched ones)
  void CheckProgress(TimePoint now);
  // Closes it if it is a client that has been idle for too long.
  void CheckIdle(TimePoint now);
  TimePoint active_at() const { return active_at_; }
  // Goes on if there is memory by now; else what it misses, once it has waited for long. (starved)
  std::size_t CheckStarved(TimePoint now);
  // Because it holds most. Its client is told why, where that is possible.
  void CloseForMemory();
  void Close();
  std::uint64_t id() const { return session_.id; }

 private:
  friend struct CloseAndDelete<Connection>;

  Connection(ConnectionContext& context, const ListenOptions& options, std::uint32_t pauses,
             Place place);
  ~Connection() override = default;

  // Responder: the request in `current_`.
  ReplyWriter& writer() override;
  PendingReply Defer() override;
  PendingReply DeferAnew() override;
  void HoldLaterRequests() override;
  std::shared_ptr<PushWaker> Subscribe(std::unique_ptr<PushSource> source) override;
  void DiscardWritten();

  // SlotOwner: replies that come later.
  void OnFinished(PendingSlot& slot) override;
  void OnSourceReady() override { MarkDue(); }
  bool MayStream() const override { return ordered_; }
  void BreakReply(const Error& error) override;
  void AddHeld(std::ptrdiff_t bytes) override;
  // Flush, soon.
  void MarkDue();

  // Input (connection_input.cc).
  void StartReading();
  void StopReading();
  void OnAllocate(uv_buf_t* buffer);
  void OnRead(ssize_t count, const uv_buf_t* buffer);
  void OnInput(std::string_view fresh, bool in_scratch);
  void KeepRest(std::string_view rest);
  // Takes the proxy's header from the front of `fresh`. False: there is nothing more to do.
  bool TakeProxyHeader(std::string_view& fresh);
  bool BelieveProxy(const ProxyHeader& header);
  void OnGateInput(std::string_view fresh);
  bool TakeThroughGate(std::string_view fresh);
  void OnEof();
  void ExecuteInput();
  void GiveInput();
  bool TurnIsOver();
  // False: it waits for memory, and is to be handled again.
  bool HandleRequest(const Request& request);
  bool OnNoMemory(std::size_t missing_bytes);
  void Starve(std::size_t bytes);
  void StarveRequest(std::size_t bytes);
  bool AwaitRoom(PendingSlot& slot, std::size_t bytes);
  bool RefuseStarved();
  void EndStarving();
  void ReplyError(const Request& request, const Error& error);
  bool RefusesPeer(const Request& request);
  bool Decide(const Request& request);
  Status MoveTo(Place place);
  void NoteMalformed(const Error& error);
  void YieldAfterFullReads();

  // Output (connection_output.cc).
  // Where the next reply goes that is not deferred.
  Buffer& Target() {
    Buffer& target = ordered_ && !queue_.empty() ? queue_.back().tail : output_;
    if (target.capacity() == 0) target = context_.pool->TakeBuffer();
    return target;
  }
  void FlushNow();
  bool Promote();
  bool MayPull(const PendingSlot& slot) const;
  bool Pull(PendingSlot& slot);
  bool PullMore();
  bool EmitPiece(PendingSlot& slot);
  bool MayPush();
  bool Push();
  void Unsubscribe();
  bool Emit(Buffer& bytes);
  bool SealOutput();
  bool Write();
  void OnWritten(int status);
  std::size_t output_bytes() const { return output_bytes_; }
  bool MustPause() const {
    return awaited_ != nullptr || starved_bytes_ != 0 ||
           output_bytes_ >= context_.limits.output_bytes_pause ||
           pending_ >= context_.limits.pending_replies_max;
  }
  bool MayResume() const {
    return awaited_ == nullptr && starved_bytes_ == 0 &&
           output_bytes_ <= context_.limits.output_bytes_pause / 2 &&
           pending_ <= context_.limits.pending_replies_max / 2;
  }
  bool PauseIfNeeded();
  bool awaits_turn() const { return IntrusiveListNode<Connection, TurnTag>::linked(); }
  // Until its Flush.
  bool in_turn() const { return IntrusiveListNode<Connection, ReadyTag>::linked(); }

  // End.
  bool Outstanding() const;
  bool SayGoodbye();
  void MaybeEnd();
  void CloseAsSlow(const char* reason);
  void NoteBuffers();
  void NoteMemory();
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle); }

  // What it executes.
  struct Turn {
    std::string_view input;
    std::size_t done = 0;        // bytes of it
    std::uint64_t requests = 0;  // likewise
    TimePoint began{};
    bool over = false;  // what is left waits for more bytes, for a reply to leave, for memory ...
  };

  // The request being handled.
  struct Current {
    const Request* request = nullptr;
    Buffer* target = nullptr;
    std::size_t target_bytes = 0;  // before its reply
    ReplyWriter* writer = nullptr;
    PendingSlot* slot = nullptr;
    bool answered = false;  // a writer was asked for
  };

  class Waker;
  struct Subscription {
    std::shared_ptr<Waker> waker;
    std::unique_ptr<PushSource> source;
    std::uint64_t request_id = 0;
    bool woken = true;
    bool behind_reply = false;  // ordered: the reply that subscribed has not left its slot
    bool held_up = false;       // it waits for its client to read
  };

  uv_tcp_t handle{};  // named for HandlePtr; open until Close
  ConnectionContext& context_;
  Handler& handler_;
  Session session_;
  std::unique_ptr<Codec> codec_;
  bool ordered_;         // codec_->ordered()
  Keyring* const keys_;  // null: this port knows no keys
  const PauseDetector* const pause_detector_;
  std::unique_ptr<PeerGate> gate_;  // null without keys, and once it is known to be a client's

  // What came of the header that a proxy sends first; null where there is none, or no more.
  std::unique_ptr<std::string> proxy_header_;

  std::string_view fresh_;        // read to the scratch, in this turn; then `input_` is empty
  Buffer input_;                  // bytes of requests not executed yet
  std::size_t wanted_ = 0;        // the codec needs this many in input_ to go on; 0: any more
  std::size_t waited_bytes_ = 0;  // of the input, from its front: came while the process paused
  std::uint32_t pauses_seen_;

  Turn turn_;
  Current current_;
  Buffer output_;   // ready to leave
  Buffer writing_;  // in write_, not yet taken by the kernel
  uv_write_t write_{};
  IntrusiveList<PendingSlot> queue_;     // ordered: newest last
  IntrusiveList<PendingSlot> floating_;  // unordered or quiet, not finished
  IntrusiveList<PendingSlot> ready_;     // unordered, finished, not yet in the output
  std::size_t output_bytes_ = 0;
  std::size_t pending_ = 0;                     // slots not finished
  int pieces_ = 0;                              // of a reply or of pushes, in this iteration
  std::unique_ptr<Subscription> subscription_;  // null: none

  // Memory.
  std::ptrdiff_t gathered_bytes_ = 0;  // see PendingReply::AddHeld
  ClientMemoryCharge codec_bytes_;     // Codec::held_bytes, while a large request comes in
  std::size_t starved_bytes_ = 0;      // it waits for so many; 0: it does not
  TimePoint starved_at_{};             // since when nobody was closed for it
  TimePoint starved_from_{};           // since when the next request waits; zero: it does not

  Place place_;
  TrafficOf* traffic_;          // of those who ask as its client does
  std::uint64_t deferred_ = 0;  // replies, in this turn
  TimePoint active_at_;         // sent something last

  // Progress of the client, while watched.
  TimePoint progress_at_{};
  std::size_t unwritten_seen_ = 0;

  TimePoint reads_iteration_{};
  int reads_ = 0;

  bool reading_ = false;
  bool paused_ = false;                   // requests wait for output to leave, or for `awaited_`
  const PendingSlot* awaited_ = nullptr;  // no later request is executed before it is finished
  bool yielded_ = false;                  // reading goes on in the next iteration
  bool input_over_ = false;               // end of the client's bytes, or draining
  bool peer_closed_ = false;              // the client sent FIN
  bool ending_ = false;
  bool said_goodbye_ = false;
  bool lingering_ = false;  // our side is closed, the client's not yet
  bool write_in_flight_ = false;
  bool broken_ = false;  // see BreakReply
  bool closed_ = false;
};

}  // namespace gyre
