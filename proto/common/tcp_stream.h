// An outgoing TCP connection of a libuv loop, from connect to close: what the links of nodes, of
// clients and of the load generator have in common, whatever they speak. Loop thread only.
//
// libuv goes on using a handle's memory until its close callback, so the object frees itself there:
// its owner forgets it in Close or Reset. What the kernel does not take of a write at once is kept
// here, where it stays in use however the owner ends; the owner gathers meanwhile, so that much
// leaves in one system call.
#pragma once

#include <uv.h>

#include <cassert>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

namespace gyre {

// uv_buf_init takes 32 bits of length only.
inline uv_buf_t UvBuffer(char* data, std::size_t bytes) {
  uv_buf_t buffer;
  buffer.base = data;
  buffer.len = bytes;
  return buffer;
}

// Called by the loop, never from within a method of the stream, and not after Close or Reset, which
// each of these may call. Outlives the stream's use of it.
class TcpStreamOwner {
 public:
  // Connected, and reading; or a libuv error, after which nothing follows.
  virtual void OnConnected(int status) = 0;
  // Where to read to.
  virtual uv_buf_t OnAllocate() = 0;
  // So many bytes came there, at least one; or a libuv error (UV_EOF: the peer closed its side).
  virtual void OnRead(ssize_t count) = 0;
  // What a Write left is out, or will not be (a libuv error).
  virtual void OnWritten(int status) = 0;

 protected:
  ~TcpStreamOwner() = default;
};

// `Queue`: a ByteQueue.
template <typename Queue>
class TcpStream {
 public:
  struct Resetting {
    void operator()(TcpStream* stream) const { stream->Reset(); }
  };
  using Ptr = std::unique_ptr<TcpStream, Resetting>;

  // `rest` is what it keeps bytes in, empty, and `kept_bytes_max` the memory that empty queues keep.
  static Ptr Create(uv_loop_t* loop, TcpStreamOwner& owner, std::size_t kept_bytes_max,
                    Queue rest = Queue()) {
    return Ptr(new TcpStream(loop, owner, kept_bytes_max, std::move(rest)));
  }
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  // Begins to connect; once. Not 0: a libuv error, and OnConnected does not follow.
  int Connect(const sockaddr* address) {
    return uv_tcp_connect(&connect_, &tcp_, address, [](uv_connect_t* request, int status) {
      auto* self = static_cast<TcpStream*>(request->data);
      if (self->owner_ != nullptr) self->OnConnected(status);
    });
  }
  void KeepAlive(unsigned seconds) { uv_tcp_keepalive(&tcp_, 1, seconds); }

  // A Write is not over: OnWritten follows.
  bool writing() const { return writing_; }
  std::size_t unwritten_bytes() const { return rest_.size(); }

  // Takes the bytes out of `out`, which is not empty, and sends them. Requires that it is connected
  // and not writing. Not 0: a libuv error; an error of the socket is left to OnRead, which hears of
  // it as well.
  int Write(Queue& out) {
    assert(!writing_ && rest_.empty());
    const int written = TryWrite(out.view());
    if (written > 0) out.Consume(static_cast<std::size_t>(written));
    if (!out.empty()) std::swap(rest_, out);
    out.Trim(kept_bytes_max_);
    if (rest_.empty()) return 0;
    const uv_buf_t bytes = UvBuffer(rest_.mutable_data(), rest_.size());
    const int error = uv_write(&write_, stream(), &bytes, 1, [](uv_write_t* request, int status) {
      static_cast<TcpStream*>(request->data)->OnWritten(status);
    });
    writing_ = error == 0;
    if (error != 0) rest_.Clear();
    return error;
  }
  // How many of the bytes the kernel took at once, or a libuv error.
  int TryWrite(std::string_view bytes) {
    const uv_buf_t buffer = UvBuffer(const_cast<char*>(bytes.data()), bytes.size());
    return uv_try_write(stream(), &buffer, 1);
  }

  // In order: what the kernel took it still delivers.
  void Close() {
    owner_ = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), Delete);
  }
  // With a reset: what the kernel has not delivered yet is discarded. After an orderly close it would
  // go on trying, for minutes, and deliver to a node that was cut off requests which were given up
  // long ago, for another has the key by then.
  void Reset() {
    if (uv_tcp_close_reset(&tcp_, Delete) != 0) return Close();
    owner_ = nullptr;
  }

 private:
  TcpStream(uv_loop_t* loop, TcpStreamOwner& owner, std::size_t kept_bytes_max, Queue rest)
      : owner_(&owner), kept_bytes_max_(kept_bytes_max), rest_(std::move(rest)) {
    uv_tcp_init(loop, &tcp_);
    tcp_.data = connect_.data = write_.data = this;
  }
  ~TcpStream() = default;

  static void Delete(uv_handle_t* handle) { delete static_cast<TcpStream*>(handle->data); }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp_); }

  void OnConnected(int status) {
    if (status == 0) {
      uv_tcp_nodelay(&tcp_, 1);
      uv_read_start(
          stream(),
          [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
            *buffer = static_cast<TcpStream*>(handle->data)->owner_->OnAllocate();
          },
          [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
            if (count != 0) static_cast<TcpStream*>(stream->data)->owner_->OnRead(count);
          });
    }
    owner_->OnConnected(status);
  }

  void OnWritten(int status) {
    writing_ = false;
    rest_.Clear();
    rest_.Trim(kept_bytes_max_);
    if (owner_ != nullptr) owner_->OnWritten(status);
  }

  TcpStreamOwner* owner_;  // null: it is closing
  const std::size_t kept_bytes_max_;
  bool writing_ = false;
  Queue rest_;  // of the last Write
  uv_tcp_t tcp_{};
  uv_connect_t connect_{};
  uv_write_t write_{};
};

}  // namespace gyre
