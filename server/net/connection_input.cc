// From bytes that came to requests that are handled: reads, the gate of peers, and one request.
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
  if (in_turn()) {  // first what was read before
    *buffer = uv_buf_init(nullptr, 0);
    return;
  }
  if (input_.empty() || ending_ || gate_ != nullptr) {
    *buffer = uv_buf_init(context_.scratch(), ConnectionContext::kReadBytes);
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
  if (count == UV_ENOBUFS && in_turn()) return context_.RunTurn();
  if (count == UV_ENOBUFS && context_.memory != nullptr) {
    return Starve(Reserve(input_.size(), wanted_));
  }
  if (count < 0) return Close();  // reset by the client
  const auto bytes = static_cast<std::size_t>(count);
  context_.BeginTurn();
  context_.counters[&ServerStats::bytes_in].Add(bytes);
  if (ending_) return;  // discarded: see "The end of a connection"
  session_.last_active_ms.store(context_.loop.unix_now(), std::memory_order_relaxed);
  active_at_ = context_.loop.now();
  const bool in_scratch = buffer->base == context_.scratch();
  std::string_view fresh(buffer->base, bytes);
  if (proxy_header_ != nullptr && !TakeProxyHeader(fresh)) return;
  if (gate_ != nullptr) {
    OnGateInput(fresh);
  } else {
    OnInput(fresh, in_scratch);
  }
  const bool full = bytes == buffer->len;
  full ? context_.RunTurn() : context_.EndFullTurn();
  if (closed_ || in_turn()) return;
  NoteBuffers();
  if (full) YieldAfterFullReads();
  context_.KeepMemory();
}

void Connection::NotePause(std::uint32_t pauses) {
  if (pause_detector_ == nullptr || pauses == pauses_seen_) [[likely]]
    return;
  pauses_seen_ = pauses;
  int in_kernel = 0;
  uv_os_fd_t file{};
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle), &file) == 0) {
    ioctl(file, FIONREAD, &in_kernel);
  }
  // Sealed bytes of a peer are somewhat more than what they hold: a few requests too many.
  waited_bytes_ = input_.size() + fresh_.size() + static_cast<std::size_t>(std::max(in_kernel, 0));
  context_.NotePause();  // the others, before more comes
}

void Connection::OnInput(std::string_view fresh, bool in_scratch) {
  if (in_scratch) {
    fresh_ = fresh;
    return context_.JoinTurn(*this, fresh.data() + fresh.size());
  }
  input_.Commit(fresh.size());
  input_.size() < wanted_ ? NoteMemory() : context_.JoinTurn(*this, nullptr);
}

// What of the scratch is not executed yet.
void Connection::KeepRest(std::string_view rest) {
  input_ = context_.pool->TakeBuffer();
  if (input_.TryReserve(rest.size() + Reserve(rest.size(), wanted_)) ||
      input_.TryReserve(rest.size())) {
    return input_.Append(rest);
  }
  LogWarn("client closed: the system has no memory left for its request",
          {{"peer", session_.peer_address}});
  broken_ = true;
}

bool Connection::TakeProxyHeader(std::string_view& fresh) {
  const std::size_t before = proxy_header_->size();
  proxy_header_->append(fresh.substr(0, ProxyHeader::kBytesMax - before));
  const auto header = ParseProxyHeader(*proxy_header_);
  if (!header) {
    context_.counters[&ServerStats::protocol_errors].Add(1);
    if (context_.proxy_log.Admits(context_.loop.now())) {
      LogWarn("client closed: it did not begin with the header of a proxy (--proxy-protocol)",
              {{"peer", session_.peer_address}, {"error", header.error().message}});
    }
    ReplyError(Request{}, {ErrorCode::kNotAllowed,
                           "this port serves clients of a proxy that sends the PROXY header "
                           "(--proxy-protocol): connect through it"});
    ending_ = true;
    Flush();
    return false;
  }
  if (!*header) return false;
  fresh.remove_prefix((*header)->bytes - before);
  proxy_header_.reset();
  return BelieveProxy(**header) && !fresh.empty();
}

// The client counts, and is shown, as if it had connected itself.
bool Connection::BelieveProxy(const ProxyHeader& header) {
  if (!header.client) return true;
  const std::string client = header.client->ToString();
  const Status counted = context_.admission().Readdress(place_, session_.peer_address, client);
  if (!counted) {
    context_.counters[&ServerStats::rejected].Add(1);
    ReplyError(Request{}, counted.error());
    ending_ = true;
    Flush();
    return false;
  }
  context_.sessions.Update(session_, [&](Session& session) { session.peer_address = client; });
  return true;
}

void Connection::OnGateInput(std::string_view fresh) {
  if (input_.capacity() == 0) input_ = context_.pool->TakeBuffer();
  if (!TakeThroughGate(fresh) || input_.size() < wanted_) return;
  context_.JoinTurn(*this, nullptr);
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
        LogWarn("peer refused", {{"peer", session_.peer_address}, {"error", step.error.message}});
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
        LogWarn("link closed", {{"peer", session_.peer_address}, {"reason", step.error.message}});
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
    context_.counters[&ServerStats::bytes_out].Add(step.answer.size());
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

void Connection::GiveInput() {
  context_.pool->GiveBuffer(input_);
  if (codec_bytes_.bytes() != 0) codec_bytes_.Set(0);
}

bool Connection::PauseIfNeeded() {
  if (!MustPause()) return false;
  if (!paused_) context_.counters[&ServerStats::pauses].Add(1);
  paused_ = true;
  return true;
}

void Connection::NoteMalformed(const Error& error) {
  // A hello, to a node without keys.
  if (error.code != ErrorCode::kNotAllowed || !context_.links_log.Admits(context_.loop.now())) {
    return;
  }
  LogWarn(
      "peer refused: it has a gossip key and this node runs without --gossip-key; give all nodes "
      "of the cluster the same key, or none",
      {{"peer", session_.peer_address}});
}

// A stranger must not speak for a node of the cluster.
bool Connection::RefusesPeer(const Request& request) {
  if (gate_ != nullptr || (request.kind != Request::Kind::kPeer && request.hops == 0)) return false;
  keys_->counters()[&CryptoStats::peer_requests_plain].Add(1);
  if (context_.plain_log.Admits(context_.loop.now())) {
    LogWarn(
        "peer request refused: it came without the gossip key; start that node with the "
        "--gossip-key of this cluster",
        {{"peer", session_.peer_address}});
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
  context_.counters[&ServerStats::rejected].Add(1);
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
  if (place == Place::kPeer) traffic_ = &context_.traffic.of(Asker::kPeer);
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
  const std::size_t reply_bytes = target.size() - current_.target_bytes;  // 0: deferred, or quiet
  output_bytes_ += reply_bytes;
  if (reply_bytes > 0) traffic_->reply_bytes.Record(reply_bytes);
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
