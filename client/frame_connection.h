// One TCP connection that speaks frames, from connect to close. It frees itself once its timer is
// closed, so its owner keeps a plain pointer and forgets it in OnClosed (or after Abandon). Loop
// thread only.
//
// Reads go into one buffer; each complete frame is handed up where it lies, without a copy. Writes
// are handed over as a whole buffer and one at a time: the owner gathers meanwhile, so many
// requests leave in one system call.
#pragma once

#include <uv.h>

#include <cstdint>
#include <string_view>

#include "common/byte_queue.h"
#include "common/tcp_stream.h"
#include "gyre/client.h"

namespace gyre::client {

class FrameConnection final : private TcpStreamOwner {
 public:
  class Owner {
   public:
    virtual void OnConnected() = 0;
    // Some bytes arrived; before the frames in them.
    virtual void OnBytes() = 0;
    // A reply. False ends the connection with kProtocol.
    virtual bool OnReply(std::uint64_t request_id, std::string_view payload) = 0;
    // A message of what the request with this id has subscribed to. Likewise.
    virtual bool OnPush(std::uint64_t /*request_id*/, std::string_view /*payload*/) {
      return false;
    }
    // The node ends the connection in order, and did not carry out what it has not answered. OnClosed
    // follows.
    virtual void OnGoodbye() {}
    // All frames of a read were handed up.
    virtual void OnReadEnd() = 0;
    // The last Write left: another may follow.
    virtual void OnWritten() = 0;
    // The connection is gone; no call follows. Never from within a method of this class.
    virtual void OnClosed(const Error& error) = 0;

   protected:
    ~Owner() = default;
  };

  // Begins to connect. `owner` outlives the connection, or abandons it.
  static FrameConnection* Open(uv_loop_t* loop, const sockaddr* address, Milliseconds timeout,
                               Owner& owner);

  bool connected() const { return state_ == State::kConnected; }
  // Requires connected().
  bool writing() const { return stream_->writing(); }
  // Takes the bytes out of `out`. Requires connected() and not writing().
  void Write(ByteQueue<>& out);
  // Closes without a word to the owner; nobody waits for what is under way.
  void Abandon();

 private:
  enum class State { kConnecting, kConnected, kClosing };
  static constexpr unsigned kKeepAliveSeconds = 30;
  static constexpr std::size_t kReadBytesMin = 64 * 1024;
  // Memory that an empty buffer keeps.
  static constexpr std::size_t kKeptBytesMax = std::size_t{1} << 20;

  FrameConnection(uv_loop_t* loop, Owner& owner);
  ~FrameConnection() = default;

  void Fail(ErrorCode code, std::string message);
  // Without the stream: that is closed, or reset.
  void Close();
  // False: the connection failed.
  bool HandFrames();

  void OnConnected(int status) override;
  uv_buf_t OnAllocate() override;
  void OnRead(ssize_t count) override;
  void OnWritten(int status) override;

  Owner* owner_;  // null once abandoned
  State state_ = State::kConnecting;
  TcpStream<ByteQueue<>>::Ptr stream_;
  uv_timer_t connect_timer_{};
  ByteQueue<> in_;
  Error close_error_;  // told to the owner from the close callback
};

}  // namespace gyre::client
