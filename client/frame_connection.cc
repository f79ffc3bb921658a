#include "client/frame_connection.h"

#include <string>

#include "client/foreign_protocol.h"
#include "client/wire.h"
#include "proto/frame.h"

namespace gyre::client {
namespace {

// uv_buf_init takes 32 bits of length only.
uv_buf_t BufferOf(char* data, std::size_t bytes) {
  uv_buf_t buffer;
  buffer.base = data;
  buffer.len = bytes;
  return buffer;
}

}  // namespace

FrameConnection::FrameConnection(uv_loop_t* loop, Owner& owner) : owner_(&owner) {
  uv_tcp_init(loop, &tcp_);
  uv_timer_init(loop, &connect_timer_);
  open_handles_ = 2;
  tcp_.data = connect_timer_.data = connect_.data = write_.data = this;
}

FrameConnection* FrameConnection::Open(uv_loop_t* loop, const sockaddr* address,
                                       Milliseconds timeout, Owner& owner) {
  auto* connection = new FrameConnection(loop, owner);
  const int error = uv_tcp_connect(
      &connection->connect_, &connection->tcp_, address, [](uv_connect_t* request, int status) {
        auto* self = static_cast<FrameConnection*>(request->data);
        if (self->state_ != State::kConnecting) return;
        if (status < 0) return self->Fail(ErrorCode::kIo, uv_strerror(status));
        self->state_ = State::kConnected;
        uv_timer_stop(&self->connect_timer_);
        uv_tcp_nodelay(&self->tcp_, 1);
        uv_tcp_keepalive(&self->tcp_, 1, kKeepAliveSeconds);
        uv_read_start(
            reinterpret_cast<uv_stream_t*>(&self->tcp_),
            [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
              auto* self = static_cast<FrameConnection*>(handle->data);
              char* room = self->in_.Prepare(kReadBytesMin);
              *buffer = BufferOf(room, self->in_.writable());
            },
            [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
              static_cast<FrameConnection*>(stream->data)->OnRead(count);
            });
        self->owner_->OnConnected();
      });
  if (error < 0) {
    connection->Fail(ErrorCode::kIo, uv_strerror(error));
    return connection;
  }
  uv_timer_start(
      &connection->connect_timer_,
      [](uv_timer_t* timer) {
        static_cast<FrameConnection*>(timer->data)
            ->Fail(ErrorCode::kIo, "connecting took too long");
      },
      static_cast<std::uint64_t>(timeout.count()), 0);
  return connection;
}

void FrameConnection::Write(ByteQueue& out) {
  assert(connected() && !writing_ && out_.empty());
  swap(out_, out);
  auto* stream = reinterpret_cast<uv_stream_t*>(&tcp_);
  uv_buf_t buffer = BufferOf(out_.mutable_data(), out_.size());
  const int written = uv_try_write(stream, &buffer, 1);
  if (written > 0) out_.Consume(static_cast<std::size_t>(written));
  if (out_.empty()) {
    swap(out_, out);  // gives the memory back to be filled again
    return;
  }
  writing_ = true;
  buffer = BufferOf(out_.mutable_data(), out_.size());
  const int error = uv_write(&write_, stream, &buffer, 1, [](uv_write_t* request, int status) {
    auto* self = static_cast<FrameConnection*>(request->data);
    self->writing_ = false;
    self->out_.Clear();
    if (self->state_ != State::kConnected) return;
    if (status < 0) return self->Fail(ErrorCode::kIo, uv_strerror(status));
    self->owner_->OnWritten();
  });
  if (error < 0) Fail(ErrorCode::kIo, uv_strerror(error));
}

void FrameConnection::OnRead(ssize_t count) {
  if (state_ != State::kConnected || count == 0) return;
  if (count < 0) {
    Fail(ErrorCode::kIo,
         count == UV_EOF ? "the node closed the connection" : uv_strerror(static_cast<int>(count)));
    return;
  }
  in_.Commit(static_cast<std::size_t>(count));
  owner_->OnBytes();
  if (state_ == State::kConnected && HandFrames()) owner_->OnReadEnd();
}

bool FrameConnection::HandFrames() {
  // Before a whole header is there: "ERROR\r\n" is shorter, and nothing follows it.
  if (const std::string_view begin(in_.data(), in_.size()); !BeginsAsFrame(begin)) {
    Fail(ErrorCode::kProtocol, ForeignProtocol(begin));
    return false;
  }
  while (in_.size() >= FrameHeader::kBytes) {
    const auto header = DecodeFrameHeader(in_.data(), kReplyBytesMax);
    if (!header) {
      Fail(ErrorCode::kProtocol, header.error().message);
      return false;
    }
    if (header->type != FrameType::kReply) {
      Fail(ErrorCode::kProtocol, "a frame that is not a reply");
      return false;
    }
    const std::size_t frame_bytes = FrameHeader::kBytes + header->payload_bytes;
    if (in_.size() < frame_bytes) return true;
    const std::string_view payload(in_.data() + FrameHeader::kBytes, header->payload_bytes);
    if (!owner_->OnReply(header->request_id, payload)) {
      Fail(ErrorCode::kProtocol, "a reply that makes no sense");
      return false;
    }
    if (state_ != State::kConnected) return false;
    in_.Consume(frame_bytes);
  }
  return true;
}

void FrameConnection::Fail(ErrorCode code, std::string message) {
  if (state_ == State::kClosing) return;
  close_error_ = {code, std::move(message)};
  Close();
}

void FrameConnection::Abandon() {
  owner_ = nullptr;
  discards_ = true;
  Close();
}

void FrameConnection::Close() {
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  const uv_close_cb on_closed = [](uv_handle_t* handle) {
    auto* self = static_cast<FrameConnection*>(handle->data);
    if (--self->open_handles_ > 0) return;
    if (self->owner_ != nullptr) self->owner_->OnClosed(self->close_error_);
    delete self;
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&connect_timer_), on_closed);
  // With a reset, so that the kernel discards what it has not delivered yet: it would go on trying
  // for minutes, and a node that was cut off would execute what was given up long ago.
  if (discards_ && uv_tcp_close_reset(&tcp_, on_closed) == 0) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), on_closed);
}

}  // namespace gyre::client
