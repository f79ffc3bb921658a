#include "net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "base/log.h"
#include "net/discard_writer.h"

namespace gyre {
namespace {

std::string LocalAddress(const uv_tcp_t& handle) {
  sockaddr_storage local{};
  int bytes = sizeof local;
  if (uv_tcp_getsockname(&handle, reinterpret_cast<sockaddr*>(&local), &bytes) != 0) return {};
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&local)).ToString();
}

}  // namespace

// ---- Begin ------------------------------------------------------------------------------------

Connection::Connection(ConnectionContext& context, const ListenOptions& options,
                       std::uint32_t pauses, Place place)
    : context_(context),
      handler_(*options.handler),
      keys_(options.keys),
      pause_detector_(options.pause_detector),
      pauses_seen_(pauses),
      place_(place),
      traffic_(&context.traffic.of(Traffic::AskerOf(options.protocol))),
      active_at_(context.loop.now()) {
  session_.id = context.sessions.NextId();
  session_.owner = &context;
  if (context.memory != nullptr) {
    codec_bytes_ = ClientMemoryCharge(&context.memory->account(ClientMemory::Kind::kBuffers));
  }
  session_.protocol = options.protocol;
  session_.cluster_port = options.cluster_port;
  codec_ = options.codec(session_);
  ordered_ = codec_->ordered();
  if (options.proxied) proxy_header_ = std::make_unique<std::string>();
  if (keys_ != nullptr) gate_ = std::make_unique<PeerGate>(*keys_, context.buffers());
}

void Connection::Start(ConnectionContext& context, const ListenOptions& options, int file,
                       const std::string& peer, std::uint32_t pauses, Place place) {
  auto* connection = new Connection(context, options, pauses, place);
  uv_tcp_t& handle = connection->handle;
  uv_tcp_init(context.loop.raw(), &handle);
  handle.data = connection;
  context.all.PushBack(*connection);
  context.counters[&ServerStats::connections].Add(1);
  connection->session_.peer_address = peer;
  if (place == Place::kUndecided) context.undecided.PushBack(*connection);
  connection->session_.connected_ms = context.loop.unix_now();
  connection->session_.last_active_ms = context.loop.unix_now();
  if (uv_tcp_open(&handle, file) != 0) {
    uv_fs_t request;
    uv_fs_close(nullptr, &request, file, nullptr);
    connection->Close();
    return;
  }
  connection->session_.local_address = LocalAddress(handle);
  uv_tcp_nodelay(&handle, 1);
  uv_tcp_keepalive(&handle, 1, kKeepaliveSeconds);
  context.sessions.Add(connection->session_);
  connection->StartReading();
}

// ---- The reply of the request being handled ---------------------------------------------------

ReplyWriter& Connection::writer() {
  current_.answered = true;
  if (current_.slot != nullptr) return current_.slot->writer();
  if (current_.request->quiet || session_.mute()) return DiscardWriter::Instance();
  if (current_.writer == nullptr) {
    current_.writer = codec_->WriterFor(*current_.request, *current_.target);
  }
  return *current_.writer;
}

PendingReply Connection::Defer() {
  if (current_.slot != nullptr) return PendingReply(*current_.slot);
  PendingSlot& slot = context_.pool->TakeSlot(*this);
  slot.began = active_at_;
  current_.slot = &slot;
  ++pending_;
  ++deferred_;
  if (current_.request->quiet || session_.mute()) {
    floating_.PushBack(slot);
    return PendingReply(slot);
  }
  slot.reply = context_.pool->TakeBuffer();
  slot.codec_writer = codec_->WriterFor(*current_.request, slot.reply);
  if (current_.writer != nullptr) {
    // A reply that is written already moves into the slot.
    codec_->Recycle(std::exchange(current_.writer, nullptr));
    if (current_.target_bytes == 0) {
      std::swap(slot.reply, *current_.target);
    } else {
      slot.reply.Append(current_.target->view().substr(current_.target_bytes));
      current_.target->Truncate(current_.target_bytes);
    }
  }
  (ordered_ ? queue_ : floating_).PushBack(slot);
  return PendingReply(slot);
}

PendingReply Connection::DeferAnew() {
  DiscardWritten();
  return Defer();
}

void Connection::DiscardWritten() {
  if (current_.writer == nullptr) return;
  current_.writer->Restart();
  codec_->Recycle(std::exchange(current_.writer, nullptr));
  current_.target->Truncate(current_.target_bytes);
}

void Connection::HoldLaterRequests() {
  assert(current_.slot != nullptr);
  if (ordered_ && !current_.slot->finished()) awaited_ = current_.slot;
}

// ---- Push --------------------------------------------------------------------------------------

class Connection::Waker final : public PushWaker, public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(Connection& connection)
      : loop_(connection.context_.loop), connection_(&connection) {}

  void Wake() override {
    if (woken_.exchange(true, std::memory_order_acq_rel)) return;
    loop_.Post([self = shared_from_this()] {
      // Before the source looks: what comes while it does wakes it once more.
      self->woken_.store(false, std::memory_order_release);
      if (self->connection_ == nullptr) return;
      self->connection_->subscription_->woken = true;
      self->connection_->MarkDue();
    });
  }
  // Loop thread.
  void Detach() { connection_ = nullptr; }

 private:
  EventLoop& loop_;
  Connection* connection_;  // its loop's only
  std::atomic<bool> woken_{false};
};

std::shared_ptr<PushWaker> Connection::Subscribe(std::unique_ptr<PushSource> source) {
  // Whether the codec has messages at all.
  ReplyWriter* const writer = codec_->PushWriterFor(current_.request->id, output_);
  if (writer == nullptr) return nullptr;
  codec_->Recycle(writer);
  Unsubscribe();
  if (source == nullptr) return nullptr;
  auto waker = std::make_shared<Waker>(*this);
  subscription_ = std::make_unique<Subscription>();
  subscription_->waker = waker;
  subscription_->source = std::move(source);
  subscription_->request_id = current_.request->id;
  subscription_->behind_reply = ordered_ && !queue_.empty();
  context_.counters[&ServerStats::subscribers].Add(1);
  session_.push_source = subscription_->source.get();
  session_.subscribed.store(true, std::memory_order_relaxed);
  return waker;
}

void Connection::Unsubscribe() {
  if (subscription_ == nullptr) return;
  subscription_->waker->Detach();
  subscription_.reset();
  session_.push_source = nullptr;
  context_.counters[&ServerStats::subscribers].Subtract(1);
  session_.subscribed.store(false, std::memory_order_relaxed);
}

void Connection::OnFinished(PendingSlot& slot) {
  --pending_;
  if (awaited_ == &slot) awaited_ = nullptr;
  context_.traffic.Answered(*traffic_, slot.began, 1);
  if (slot.codec_writer == nullptr) {  // quiet
    slot.Unlink();
    slot.Detach();
  } else {
    codec_->Recycle(std::exchange(slot.codec_writer, nullptr));
    output_bytes_ += slot.reply.size();
    traffic_->reply_bytes.Record(slot.left_bytes + slot.reply.size());
    if (!ordered_) {
      slot.Unlink();
      ready_.PushBack(slot);
    }
  }
  MarkDue();
}

void Connection::BreakReply(const Error& error) {
  if (broken_) return;
  broken_ = true;
  LogWarn("client closed: a part of its reply was sent before it failed",
          {{"peer", session_.peer_address}, {"error", error.message}});
  MarkDue();
}

void Connection::MarkDue() {
  if (in_turn() || closed_ || IntrusiveListNode<Connection, DueTag>::linked()) return;
  context_.due.PushBack(*this);
  context_.flush_due.Schedule();
}

// For CLIENT LIST.
void Connection::NoteBuffers() {
  session_.input_bytes.store(input_.size(), std::memory_order_relaxed);
  session_.input_free_bytes.store(input_.capacity() - input_.size(), std::memory_order_relaxed);
  session_.output_bytes.store(output_bytes_, std::memory_order_relaxed);
}

// ---- End --------------------------------------------------------------------------------------

bool Connection::Outstanding() const { return pending_ > 0 || output_bytes_ > 0; }

void Connection::EndInput() {
  if (lingering_ || closed_) return;
  input_over_ = true;
  StopReading();
  if (!Outstanding() && !paused_ && !awaits_turn() && !in_turn()) {
    if (!SayGoodbye()) return Close();
    ending_ = true;
  }
  Flush();
}

// Once. False: the client takes none.
bool Connection::SayGoodbye() {
  if (std::exchange(said_goodbye_, true)) return false;
  if (output_.capacity() == 0) output_ = context_.pool->TakeBuffer();
  const std::size_t before = output_.size();
  try {
    if (!codec_->WriteGoodbye(output_)) return false;
  } catch (const std::bad_alloc&) {
    return false;  // it learns no more than that the connection is closed
  }
  output_bytes_ += output_.size() - before;
  return true;
}

// Called when ending_: closes once nothing is outstanding.
void Connection::MaybeEnd() {
  context_.pool->GiveBuffer(input_);
  if (Outstanding() || lingering_) return;
  if (peer_closed_) return Close();
  if (SayGoodbye() && (!Write() || Outstanding())) return;
  int file = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle), &file) != 0 ||
      shutdown(file, SHUT_WR) != 0) {
    return Close();
  }
  lingering_ = true;
  progress_at_ = context_.loop.now();
  context_.Watch(*this);
  StartReading();
}

void Connection::CheckProgress(TimePoint now) {
  if (lingering_) {
    if (now - progress_at_ >= context_.limits.linger_timeout) Close();
    return;
  }
  const std::size_t unwritten = uv_stream_get_write_queue_size(stream());
  if (unwritten != unwritten_seen_) {
    unwritten_seen_ = unwritten;
    progress_at_ = now;
  } else if (now - progress_at_ >= context_.limits.slow_client_timeout) {
    CloseAsSlow("it does not read its replies");
  }
}

void Connection::CheckIdle(TimePoint now) {
  const ConnectionLimits& limits = context_.limits;
  const Duration timeout =
      place_ == Place::kReserved ? limits.reserved_idle_timeout : context_.idle_timeout;
  const bool is_client = place_ == Place::kClient || place_ == Place::kReserved;
  if (!is_client || timeout == Duration{} || now - active_at_ < timeout) return;
  if (Outstanding() || paused_ || awaits_turn() || lingering_) return;
  if (subscription_ != nullptr && place_ == Place::kClient) return;  // it waits for news
  context_.counters[&ServerStats::closed_idle].Add(1);
  EndInput();
}

void Connection::AddHeld(std::ptrdiff_t bytes) {
  gathered_bytes_ += bytes;
  NoteMemory();
}

void Connection::NoteMemory() {
  constexpr std::size_t kPendingBytes = 1024;  // of a reply that is not there yet
  const std::size_t output =
      std::max(output_bytes_, output_.capacity() + writing_.capacity()) + pending_ * kPendingBytes;
  session_.memory_bytes.store(
      input_.capacity() + codec_bytes_.bytes() + output + static_cast<std::size_t>(gathered_bytes_),
      std::memory_order_relaxed);
}

// Waits until there is room for `bytes`.
void Connection::Starve(std::size_t bytes) {
  starved_bytes_ = std::max<std::size_t>(bytes, 1);
  starved_at_ = context_.loop.now();
  paused_ = true;
  StopReading();
  if (IntrusiveListNode<Connection, StarvedTag>::linked()) return;
  context_.Starve(*this);
  context_.memory->AddWaiting(1);
}

// Likewise, for a request (or the next piece of its reply) that is refused if it lasts.
void Connection::StarveRequest(std::size_t bytes) {
  session_.wanted_bytes.store(bytes, std::memory_order_relaxed);
  Starve(bytes);
}

void Connection::EndStarving() {
  starved_bytes_ = 0;
  session_.wanted_bytes.store(0, std::memory_order_relaxed);
  if (IntrusiveListNode<Connection, StarvedTag>::linked()) {
    IntrusiveListNode<Connection, StarvedTag>::Unlink();
    context_.memory->AddWaiting(-1);
  }
}

std::size_t Connection::CheckStarved(TimePoint now) {
  const std::size_t bytes = starved_bytes_;
  if (!context_.memory->HasRoomFor(bytes)) {
    if (now - starved_at_ < kStarvedPatience) return 0;
    starved_at_ = now;
    return bytes;
  }
  EndStarving();
  MarkDue();
  return 0;
}

// For a piece of `slot`'s reply. False: it waited for long enough, or cannot fit.
bool Connection::AwaitRoom(PendingSlot& slot, std::size_t bytes) {
  slot.full = true;
  if (bytes > context_.memory->limit_of_large()) return false;
  // What is on its way, however slowly its client reads, makes room first.
  if (write_in_flight_ || !output_.empty() || !slot.reply.empty()) return true;
  const TimePoint now = context_.loop.now();
  if (slot.full_from == TimePoint{}) slot.full_from = now;
  if (now - slot.full_from >= kStarvedMax) return false;
  StarveRequest(bytes);
  return true;
}

// Has what waits for memory answered with an error where it is a request that changed nothing. False
// if it is something else.
bool Connection::RefuseStarved() {
  if (starved_bytes_ == 0 || session_.wanted_bytes.load(std::memory_order_relaxed) == 0)
    return false;
  const TimePoint long_ago = context_.loop.now() - kStarvedMax;
  if (starved_from_ != TimePoint{}) starved_from_ = long_ago;
  if (!queue_.empty() && queue_.front().full_from != TimePoint{}) {
    queue_.front().full_from = long_ago;
  }
  context_.sessions.Update(session_, [](Session& session) { session.closing = false; });
  EndStarving();
  MarkDue();
  return true;
}

void Connection::CloseForMemory() {
  if (closed_) return;
  if (!context_.memory->over() && RefuseStarved()) return;
  context_.counters[&ServerStats::closed_memory].Add(1);
  if (context_.memory_log.Admits(context_.loop.now())) {
    LogWarn(
        "client closed: it held most when the memory for clients was full (see --client-memory)",
        {{"peer", session_.peer_address},
         {"bytes", session_.memory_bytes.load(std::memory_order_relaxed)}});
  }
  if (Outstanding() || ending_ || !ordered_) return Close();
  ReplyError(Request{},
             {ErrorCode::kTooLarge,
              "closed: this connection held most when the memory for clients was full; send less "
              "at once, or raise --client-memory"});
  ending_ = true;
  EndStarving();
  codec_->Rewind();
  codec_bytes_.Set(0);
  Flush();
}

void Connection::CloseAsSlow(const char* reason) {
  context_.counters[&ServerStats::closed_slow].Add(1);
  LogWarn("client closed: too slow",
          {{"peer", session_.peer_address}, {"reason", reason}, {"output_bytes", output_bytes_}});
  Close();
}

void Connection::Close() {
  if (closed_) return;
  assert(!context_.executing);
  closed_ = true;
  context_.sessions.Remove(session_);
  context_.admission().Leave(place_, session_.peer_address);
  if (IntrusiveListNode<Connection, UndecidedTag>::linked()) {
    IntrusiveListNode<Connection, UndecidedTag>::Unlink();
  }
  if (IntrusiveListNode<Connection, DueTag>::linked()) {
    IntrusiveListNode<Connection, DueTag>::Unlink();
  }
  if (IntrusiveListNode<Connection, WatchTag>::linked()) {
    IntrusiveListNode<Connection, WatchTag>::Unlink();
  }
  if (in_turn()) IntrusiveListNode<Connection, ReadyTag>::Unlink();
  if (awaits_turn()) IntrusiveListNode<Connection, TurnTag>::Unlink();
  EndStarving();
  Unsubscribe();
  IntrusiveListNode<Connection>::Unlink();
  for (IntrusiveList<PendingSlot>* slots : {&queue_, &floating_, &ready_}) {
    while (!slots->empty()) {
      PendingSlot& slot = slots->PopFront();
      if (slot.codec_writer != nullptr) codec_->Recycle(slot.codec_writer);
      slot.Detach();
    }
  }
  context_.pool->GiveBuffer(input_);
  context_.pool->GiveBuffer(output_);
  ConnectionContext& context = context_;
  HandlePtr<Connection>(this).reset();
  context.counters[&ServerStats::connections].Subtract(1);
  context.OnClosed();
}

}  // namespace gyre
