#include "net/connection.h"

#include <sys/socket.h>

#include <cassert>
#include <string>
#include <utility>

#include "base/log.h"
#include "net/discard_writer.h"

namespace gyre {
namespace {

// Seconds of silence after which the kernel asks whether the client's machine is still there.
constexpr unsigned kKeepaliveSeconds = 60;

std::string LocalAddress(const uv_tcp_t& handle) {
  sockaddr_storage local{};
  int bytes = sizeof local;
  if (uv_tcp_getsockname(&handle, reinterpret_cast<sockaddr*>(&local), &bytes) != 0) return {};
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&local)).ToString();
}

}  // namespace

// ---- Begin ------------------------------------------------------------------------------------

Connection::Connection(ConnectionContext& context, const ListenOptions& options,
                       std::uint32_t sleeps)
    : context_(context),
      handler_(*options.handler),
      keys_(options.keys),
      sleep_watch_(options.sleep_watch),
      sleeps_seen_(sleeps) {
  session_.id = context.sessions.NextId();
  session_.protocol = options.protocol;
  session_.cluster_port = options.cluster_port;
  codec_ = options.codec(session_);
  ordered_ = codec_->ordered();
  if (keys_ != nullptr) gate_ = std::make_unique<PeerGate>(*keys_);
}

void Connection::Start(ConnectionContext& context, const ListenOptions& options, int file,
                       const SocketAddress& peer, std::uint32_t sleeps) {
  auto* connection = new Connection(context, options, sleeps);
  uv_tcp_t& handle = connection->handle;
  uv_tcp_init(context.loop.raw(), &handle);
  handle.data = connection;
  context.all.PushBack(*connection);
  context.counters.connections.Add(1);
  connection->session_.peer_address = peer.ToString();
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
  if (current_.request->quiet) return DiscardWriter::Instance();
  if (current_.writer == nullptr) {
    current_.writer = codec_->WriterFor(*current_.request, *current_.target);
  }
  return *current_.writer;
}

PendingReply Connection::Defer() {
  if (current_.slot != nullptr) return PendingReply(*current_.slot);
  PendingSlot& slot = context_.pool->TakeSlot();
  slot.connection_ = this;
  current_.slot = &slot;
  ++pending_;
  if (current_.request->quiet) {
    floating_.PushBack(slot);
    return PendingReply(slot);
  }
  slot.reply_ = context_.pool->TakeBuffer();
  slot.writer_ = codec_->WriterFor(*current_.request, slot.reply_);
  if (current_.writer != nullptr) {
    // A reply that is written already moves into the slot.
    codec_->Recycle(std::exchange(current_.writer, nullptr));
    slot.reply_.Append(current_.target->view().substr(current_.target_bytes));
    current_.target->Truncate(current_.target_bytes);
  }
  (ordered_ ? queue_ : floating_).PushBack(slot);
  return PendingReply(slot);
}

void Connection::HoldLaterRequests() {
  assert(current_.slot != nullptr);
  if (ordered_ && !current_.slot->finished()) awaited_ = current_.slot;
}

void Connection::OnSlotFinished(PendingSlot& slot) {
  --pending_;
  if (awaited_ == &slot) awaited_ = nullptr;
  if (slot.writer_ == nullptr) {  // quiet
    slot.Unlink();
    slot.Detach();
  } else {
    codec_->Recycle(std::exchange(slot.writer_, nullptr));
    output_bytes_ += slot.reply_.size();
    if (!ordered_) {
      slot.Unlink();
      ready_.PushBack(slot);
    }
  }
  MarkDue();
}

void Connection::MarkDue() {
  if (executing_ || closed_ || IntrusiveListNode<Connection, DueTag>::linked()) return;
  context_.due.PushBack(*this);
  context_.flush_due.Schedule();
}

// ---- End --------------------------------------------------------------------------------------

bool Connection::Outstanding() const { return pending_ > 0 || output_bytes_ > 0; }

void Connection::EndInput() {
  if (lingering_ || closed_) return;
  input_over_ = true;
  StopReading();
  if (!Outstanding() && !paused_) return Close();
  Flush();
}

// Called when ending_: closes once nothing is outstanding.
void Connection::MaybeEnd() {
  context_.pool->GiveBuffer(input_);
  if (Outstanding() || lingering_) return;
  if (peer_closed_) return Close();
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

void Connection::CloseAsSlow(const char* reason) {
  context_.counters.closed_slow.Add(1);
  GYRE_LOG_WARN("client closed: {} peer={} output_bytes={}", reason, session_.peer_address,
                output_bytes_);
  Close();
}

void Connection::Close() {
  if (closed_) return;
  assert(!executing_);
  closed_ = true;
  context_.sessions.Remove(session_);
  if (IntrusiveListNode<Connection, DueTag>::linked()) {
    IntrusiveListNode<Connection, DueTag>::Unlink();
  }
  if (IntrusiveListNode<Connection, WatchTag>::linked()) {
    IntrusiveListNode<Connection, WatchTag>::Unlink();
  }
  IntrusiveListNode<Connection>::Unlink();
  for (IntrusiveList<PendingSlot>* slots : {&queue_, &floating_, &ready_}) {
    while (!slots->empty()) {
      PendingSlot& slot = slots->PopFront();
      if (slot.writer_ != nullptr) codec_->Recycle(slot.writer_);
      slot.Detach();
    }
  }
  context_.pool->GiveBuffer(input_);
  context_.pool->GiveBuffer(output_);
  ConnectionContext& context = context_;
  HandlePtr<Connection>(this).reset();
  context.counters.connections.Subtract(1);
  context.OnClosed();
}

}  // namespace gyre
