// From bytes that came to requests that are handled: reads, the gate of peers, decoding ahead.
#include <sys/ioctl.h>

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace gyre {
namespace {

// Room that a read into the connection's own buffer has at least.
constexpr std::size_t kReadBytesMin = 16 * 1024;

constexpr char kNoRoomForFrame[] =
    "there is no room for its frame in the memory for clients (see --client-memory)";

// Of the system's, that is: the memory for clients was not used up.
Error NoMemoryLeft() {
  return {ErrorCode::kOutOfMemory,
          "the system has no memory left for the request: this process may have less than --memory "
          "and --client-memory (see ulimit -v)"};
}

// Room to make behind `have` bytes of a request that needs `wanted`.
std::size_t Reserve(std::size_t have, std::size_t wanted) {
  const std::size_t missing = wanted > have ? wanted - have : 0;
  return std::max(kReadBytesMin, Buffer::Step(have, missing));
}

}  // namespace

void Connection::StartReading() {
  if (reading_ || closed_) return;
  reading_ = true;
  uv_read_start(
      stream(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        static_cast<Connection*>(handle->data)->OnAllocate(buffer);
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
        static_cast<Connection*>(stream->data)->OnRead(count, buffer);
      });
}

void Connection::StopReading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(stream());
}

void Connection::OnAllocate(uv_buf_t* buffer) {
  if (input_.empty() || ending_ || gate_ != nullptr) {
    *buffer = uv_buf_init(context_.scratch.get(), ConnectionContext::kScratchBytes);
    return;
  }
  const bool room = input_.TryReserve(Reserve(input_.size(), wanted_)) || input_.writable() > 0 ||
                    input_.TryReserve(kReadBytesMin);
  // Without room: OnRead is told so.
  *buffer = room ? uv_buf_init(input_.Prepare(0), static_cast<unsigned>(input_.writable()))
                 : uv_buf_init(nullptr, 0);
}

void Connection::OnRead(ssize_t count, const uv_buf_t* buffer) {
  if (count == 0) return;  // EAGAIN
  if (count == UV_EOF) return OnEof();
  if (count == UV_ENOBUFS && context_.memory != nullptr) {
    return Starve(Reserve(input_.size(), wanted_));
  }
  if (count < 0) return Close();  // reset by the client
  const auto bytes = static_cast<std::size_t>(count);
  context_.counters.bytes_in.Add(bytes);
  if (ending_) return;  // discarded: see "The end of a connection"
  session_.last_active_ms.store(context_.loop.unix_now(), std::memory_order_relaxed);
  active_at_ = context_.loop.now();
  NotePause(bytes);
  const bool in_scratch = buffer->base == context_.scratch.get();
  if (gate_ != nullptr) {
    OnGateInput({buffer->base, bytes});
  } else {
    OnInput({buffer->base, bytes}, in_scratch);
  }
  if (!closed_) {
    NoteBuffers();
    if (bytes == buffer->len) YieldAfterFullReads();
  }
  context_.KeepMemory();
}

void Connection::NotePause(std::size_t fresh) {
  if (pause_detector_ == nullptr) return;
  const std::uint32_t pauses = pause_detector_->Pauses(SteadyNow());
  if (pauses == pauses_seen_) [[likely]]
    return;
  pauses_seen_ = pauses;
  int in_kernel = 0;
  uv_os_fd_t file{};
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle), &file) == 0) {
    ioctl(file, FIONREAD, &in_kernel);
  }
  // Sealed bytes of a peer are somewhat more than what they hold: a few requests too many.
  waited_bytes_ = input_.size() + fresh + static_cast<std::size_t>(std::max(in_kernel, 0));
  context_.NotePause();  // the others, before more comes
}

// Of the requests that were decoded at input[begin].
void Connection::MarkWaited(std::size_t begin) {
  ReadAhead& ahead = context_.read_ahead;
  for (std::size_t i = 0; i < ahead.count && begin < waited_bytes_; begin = ahead.ends[i++]) {
    ahead.requests[i].waited = true;
  }
}

void Connection::OnInput(std::string_view fresh, bool in_scratch) {
  if (in_scratch) {
    const std::string_view rest = fresh.substr(Execute(fresh));
    if (!rest.empty()) {
      input_ = context_.pool->TakeBuffer();
      if (!input_.TryReserve(rest.size() + Reserve(rest.size(), wanted_)) &&
          !input_.TryReserve(rest.size())) {
        handler_.EndOfBatch();
        GYRE_LOG_WARN("client closed: {} peer={}", NoMemoryLeft().message, session_.peer_address);
        return Close();
      }
      input_.Append(rest);
    }
  } else {
    input_.Commit(fresh.size());
    if (input_.size() < wanted_) return NoteMemory();
    input_.Consume(Execute(input_.view()));
    if (input_.empty()) GiveInput();
  }
  handler_.EndOfBatch();
  Flush();
}

void Connection::OnGateInput(std::string_view fresh) {
  if (input_.capacity() == 0) input_ = context_.pool->TakeBuffer();
  if (!TakeThroughGate(fresh)) return;
  if (input_.size() < wanted_) return;
  ExecuteInput();
  Flush();
}

// False if there is nothing more to do: the connection is closed, or ending.
bool Connection::TakeThroughGate(std::string_view fresh) {
  PeerGate::Step step;
  try {
    step = gate_->Take(fresh, input_);
  } catch (const std::bad_alloc&) {
    step = {.next = PeerGate::Next::kBroken, .error = {ErrorCode::kTooLarge, kNoRoomForFrame}};
  }
  switch (step.next) {
    case PeerGate::Next::kGoOn:
      break;
    case PeerGate::Next::kPlain:
      gate_.reset();
      return true;
    case PeerGate::Next::kRefused: {
      gate_.reset();
      if (context_.links_log.Admits(context_.loop.now())) {
        GYRE_LOG_WARN("peer refused: {} peer={}", step.error.message, session_.peer_address);
      }
      Request hello;
      hello.id = step.request_id;
      ReplyError(hello, step.error);
      ending_ = true;
      Flush();
      return false;
    }
    case PeerGate::Next::kBroken:
      if (context_.links_log.Admits(context_.loop.now())) {
        GYRE_LOG_WARN("link closed: {} peer={}", step.error.message, session_.peer_address);
      }
      Close();
      return false;
  }
  if (!step.answer.empty()) {
    // The first bytes of a new connection: its socket has room for them.
    uv_buf_t bytes = uv_buf_init(const_cast<char*>(step.answer.data()),
                                 static_cast<unsigned>(step.answer.size()));
    if (uv_try_write(stream(), &bytes, 1) != static_cast<int>(step.answer.size())) {
      Close();
      return false;
    }
    context_.counters.bytes_out.Add(step.answer.size());
    // Where peers have taken all, its first request will be told so.
    if (place_ == Place::kUndecided) (void)MoveTo(Place::kPeer);
  }
  return true;
}

void Connection::TakeTurn() {
  if (!paused_ && !ending_) ExecuteInput();
  Flush();
}

void Connection::OnEof() {
  reading_ = false;  // libuv stops by itself
  peer_closed_ = true;
  input_over_ = true;
  if (lingering_) return Close();
  Flush();
}

void Connection::ExecuteInput() {
  input_.Consume(Execute(input_.view()));
  if (input_.empty()) GiveInput();
  handler_.EndOfBatch();
}

void Connection::GiveInput() {
  context_.pool->GiveBuffer(input_);
  if (codec_bytes_.bytes() != 0) codec_bytes_.Set(0);
}

// Decodes the requests at input[from], as many as may be read ahead, into `context_.read_ahead`.
void Connection::Decode(std::string_view input, std::size_t from) {
  ReadAhead& ahead = context_.read_ahead;
  ahead.count = 0;
  ahead.end = from;
  ahead.stop.status = Decoded::Status::kRequest;
  do {
    Request& request = ahead.requests[ahead.count];
    request.Clear();  // what an earlier request, perhaps of another connection, left in it
    Decoded decoded;
    try {
      decoded = codec_->Decode(input.substr(ahead.end), request);
    } catch (const std::bad_alloc&) {  // of very many arguments
      decoded = {.status = Decoded::Status::kMalformed, .error = NoMemoryLeft()};
    }
    assert(decoded.consumed <= input.size() - ahead.end);
    ahead.end += decoded.consumed;
    if (decoded.status == Decoded::Status::kRequest) [[likely]] {
      ahead.ends[ahead.count++] = ahead.end;
    } else if (decoded.status != Decoded::Status::kSkip) {
      ahead.stop = std::move(decoded);
      return;
    }
  } while (ahead.end < input.size() && ahead.count < ReadAhead::kRequestsMax &&
           codec_->MayReadAhead(input.substr(ahead.end)));
}

// Executes the complete requests at the front of `input`; returns how many bytes they took.
std::size_t Connection::Execute(std::string_view input) {
  executing_ = true;
  ReadAhead& ahead = context_.read_ahead;
  std::size_t consumed = 0;
  std::uint64_t requests = 0;
  wanted_ = 0;
  bool more = true;
  const TimePoint began = ConnectionContext::CoarseNow();
  // Some progress in each turn, even where others have used it up.
  const auto turn_is_over = [this, began] {
    const TimePoint now = ConnectionContext::CoarseNow();
    if (now == began || !context_.IsTurnOver(now)) return false;
    if (!awaits_turn()) context_.AwaitTurn(*this);
    return true;
  };
  while (more && consumed < input.size() && !ending_ && !PauseIfNeeded() && !turn_is_over()) {
    Decode(input, consumed);
    if (waited_bytes_ > consumed) [[unlikely]]
      MarkWaited(consumed);
    if (ahead.count > 1) handler_.LookAhead(ahead.view());
    std::size_t executed = 0;
    while (executed < ahead.count) {
      if (!HandleRequest(ahead.requests[executed])) break;
      consumed = ahead.ends[executed++];
      if (ending_ || (executed < ahead.count && (PauseIfNeeded() || turn_is_over()))) break;
    }
    requests += executed;
    if (executed > 0) starved_from_ = {};
    ahead.Trim();
    if (ending_) break;
    const bool fails = ahead.stop.status == Decoded::Status::kError ||
                       ahead.stop.status == Decoded::Status::kMalformed;
    if (executed < ahead.count || (fails && executed > 0 && PauseIfNeeded())) {
      codec_->Rewind();  // the rest is decoded again when its turn comes
      break;
    }
    consumed = ahead.end;
    switch (ahead.stop.status) {
      case Decoded::Status::kRequest:
      case Decoded::Status::kSkip:
        break;
      case Decoded::Status::kNeedMore:
        wanted_ = ahead.stop.wanted;
        more = false;
        if (consumed + ClientMemory::kSmallBytes < input.size() &&
            !codec_bytes_.Set(codec_->held_bytes())) {
          Starve(codec_->held_bytes());
        }
        break;
      case Decoded::Status::kError:
        ReplyError(ahead.requests[ahead.count], ahead.stop.error);
        break;
      case Decoded::Status::kMalformed:
        context_.counters.protocol_errors.Add(1);
        NoteMalformed(ahead.stop.error);
        ReplyError(ahead.requests[ahead.count], ahead.stop.error);
        ending_ = true;
        break;
    }
  }
  context_.counters.requests.Add(requests);
  session_.commands.store(session_.commands.load(std::memory_order_relaxed) + requests,
                          std::memory_order_relaxed);
  executing_ = false;
  waited_bytes_ -= std::min(waited_bytes_, consumed);
  return ending_ ? input.size() : consumed;
}

bool Connection::PauseIfNeeded() {
  if (!MustPause()) return false;
  if (!paused_) context_.counters.pauses.Add(1);
  paused_ = true;
  return true;
}

void Connection::NoteMalformed(const Error& error) {
  // A hello, to a node without keys.
  if (error.code != ErrorCode::kNotAllowed || !context_.links_log.Admits(context_.loop.now())) {
    return;
  }
  GYRE_LOG_WARN(
      "peer refused: it has a gossip key and this node runs without --gossip-key; give all nodes "
      "of the cluster the same key, or none peer={}",
      session_.peer_address);
}

// A stranger must not speak for a node of the cluster.
bool Connection::RefusesPeer(const Request& request) {
  if (gate_ != nullptr || (request.kind != Request::Kind::kPeer && request.hops == 0)) return false;
  keys_->counters().peer_requests_plain.fetch_add(1, std::memory_order_relaxed);
  if (context_.plain_log.Admits(context_.loop.now())) {
    GYRE_LOG_WARN(
        "peer request refused: it came without the gossip key; start that node with the "
        "--gossip-key of this cluster peer={}",
        session_.peer_address);
  }
  ReplyError(request, {ErrorCode::kNotAllowed,
                       "this cluster is closed to nodes without its gossip key: start this node "
                       "with --gossip-key FILE"});
  return true;
}

// What an undecided connection is, by its first request: false if there is no place for it. Without
// a key a peer is whoever speaks as one.
bool Connection::Decide(const Request& request) {
  const bool is_peer = request.kind == Request::Kind::kPeer || request.hops != 0 ||
                       (gate_ != nullptr && gate_->sealed());
  Status moved = MoveTo(is_peer ? Place::kPeer : Place::kClient);
  if (!moved && !is_peer && MoveTo(Place::kReserved)) return true;
  if (moved) return true;
  context_.counters.rejected.Add(1);
  ReplyError(request, moved.error());
  ending_ = true;
  return false;
}

Status Connection::MoveTo(Place place) {
  Status taken = context_.admission().Take(place, session_.peer_address);
  if (!taken) return taken;
  context_.admission().Leave(place_, session_.peer_address);
  IntrusiveListNode<Connection, UndecidedTag>::Unlink();
  place_ = place;
  return {};
}

bool Connection::HandleRequest(const Request& request) {
  if (keys_ != nullptr && RefusesPeer(request)) return true;
  if (place_ == Place::kUndecided && !Decide(request)) [[unlikely]]
    return true;
  Buffer& target = Target();
  current_ = {.request = &request, .target = &target, .target_bytes = target.size()};
  try {
    // A small answer, above all of what changed something, finds room.
    target.Prepare(kReserveSlack);
    handler_.Handle(request, session_, *this);
  } catch (const ClientMemoryFull& full) {
    if (!OnNoMemory(full.bytes())) return false;
  } catch (const std::bad_alloc&) {
    (void)OnNoMemory(0);
  }
  if (!current_.answered && current_.slot == nullptr) {
    writer().Fail({ErrorCode::kInternal, "the request was dropped without a reply: see the log"});
  }
  if (current_.writer != nullptr) codec_->Recycle(current_.writer);
  output_bytes_ += target.size() - current_.target_bytes;  // 0 where it was deferred
  current_ = {};
  if (session_.replies_skipped > 0) --session_.replies_skipped;
  if (session_.close_after_reply) ending_ = true;
  return true;
}

// The request being handled found no room for `missing_bytes` (0: not known), and changed nothing.
// False: it is to be handled again when there is; else the error is its reply.
bool Connection::OnNoMemory(std::size_t missing_bytes) {
  current_.answered = true;
  if (current_.slot != nullptr) {
    current_.slot->FinishWithError(ReplyTooLarge());
    return true;
  }
  DiscardWritten();
  const TimePoint now = context_.loop.now();
  if (starved_from_ == TimePoint{}) starved_from_ = now;
  const bool may_fit = missing_bytes != 0 && missing_bytes <= context_.memory->limit_of_large() &&
                       now - starved_from_ < kStarvedMax;
  if (may_fit) {
    // What it took for its reply so far is not missing when it is tried again.
    if (current_.target->empty()) current_.target->Release();
    current_ = {};
    StarveRequest(missing_bytes);
    return false;
  }
  starved_from_ = {};
  Defer().FinishWithError(ReplyTooLarge());  // its buffer is small
  return true;
}

void Connection::ReplyError(const Request& request, const Error& error) {
  if (session_.mute()) return;
  Buffer& target = Target();
  const std::size_t before = target.size();
  // Behind a large reply that was not sent, when the memory is full.
  if (!target.TryReserve(kReserveSlack + error.message.size())) return BreakReply(error);
  ReplyWriter* writer = codec_->WriterFor(request, target);
  writer->Fail(error);
  codec_->Recycle(writer);
  output_bytes_ += target.size() - before;
}

// A sender that always fills our buffer would otherwise keep the loop in libuv's read loop.
void Connection::YieldAfterFullReads() {
  if (reads_iteration_ != context_.loop.now()) {
    reads_iteration_ = context_.loop.now();
    reads_ = 0;
  }
  if (++reads_ < kReadsPerIteration || !reading_) return;
  StopReading();
  yielded_ = true;
  MarkDue();
}

}  // namespace gyre
