#include "client/frame_connection.h"

#include <string>
#include <utility>

#include "client/foreign_protocol.h"
#include "client/wire.h"
#include "proto/frame.h"

namespace gyre::client {

FrameConnection::FrameConnection(uv_loop_t* loop, Owner& owner)
    : owner_(&owner), stream_(TcpStream<ByteQueue<>>::Create(loop, *this, kKeptBytesMax)) {
  uv_timer_init(loop, &connect_timer_);
  connect_timer_.data = this;
}

FrameConnection* FrameConnection::Open(uv_loop_t* loop, const sockaddr* address,
                                       Milliseconds timeout, Owner& owner) {
  auto* connection = new FrameConnection(loop, owner);
  const int error = connection->stream_->Connect(address);
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

void FrameConnection::OnConnected(int status) {
  if (status < 0) return Fail(ErrorCode::kIo, uv_strerror(status));
  state_ = State::kConnected;
  uv_timer_stop(&connect_timer_);
  stream_->KeepAlive(kKeepAliveSeconds);
  owner_->OnConnected();
}

void FrameConnection::Write(ByteQueue<>& out) {
  assert(connected());
  const int error = stream_->Write(out);
  if (error < 0) Fail(ErrorCode::kIo, uv_strerror(error));
}

void FrameConnection::OnWritten(int status) {
  if (status < 0) return Fail(ErrorCode::kIo, uv_strerror(status));
  owner_->OnWritten();
}

uv_buf_t FrameConnection::OnAllocate() {
  char* const room = in_.Prepare(kReadBytesMin);
  return UvBuffer(room, in_.writable());
}

void FrameConnection::OnRead(ssize_t count) {
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
    if (header->type == FrameType::kGoodbye) {
      owner_->OnGoodbye();
      Fail(ErrorCode::kIo, "the node said goodbye: it stops, or the connection was idle");
      return false;
    }
    const bool is_push = header->type == FrameType::kPush;
    if (header->type != FrameType::kReply && !is_push) {
      Fail(ErrorCode::kProtocol, "a frame that is not a reply");
      return false;
    }
    const std::size_t frame_bytes = header->frame_bytes();
    if (in_.size() < frame_bytes) return true;
    const std::string_view payload(in_.data() + FrameHeader::kBytes, header->payload_bytes);
    if (!(is_push ? owner_->OnPush(header->request_id, payload)
                  : owner_->OnReply(header->request_id, payload))) {
      Fail(ErrorCode::kProtocol, "a reply that makes no sense");
      return false;
    }
    if (state_ != State::kConnected) return false;
    in_.Consume(frame_bytes);
  }
  in_.Trim(kKeptBytesMax);
  return true;
}

void FrameConnection::Fail(ErrorCode code, std::string message) {
  if (state_ == State::kClosing) return;
  close_error_ = {code, std::move(message)};
  stream_.release()->Close();
  Close();
}

void FrameConnection::Abandon() {
  owner_ = nullptr;
  if (state_ == State::kClosing) return;
  stream_.reset();
  Close();
}

void FrameConnection::Close() {
  state_ = State::kClosing;
  uv_close(reinterpret_cast<uv_handle_t*>(&connect_timer_), [](uv_handle_t* handle) {
    auto* self = static_cast<FrameConnection*>(handle->data);
    if (self->owner_ != nullptr) self->owner_->OnClosed(self->close_error_);
    delete self;
  });
}

}  // namespace gyre::client
