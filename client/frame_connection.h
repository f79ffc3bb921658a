// One TCP connection that speaks frames, from connect to close. RAII over libuv: the object frees
// itself once all its handles are closed, so its owner keeps a plain pointer and forgets it in
// OnClosed (or after Abandon). Loop thread only.
//
// Reads go into one buffer; each complete frame is handed up where it lies, without a copy. Writes
// are handed over as a whole buffer and one at a time: the owner gathers meanwhile, so many
// requests leave in one system call.
#pragma once

#include <uv.h>

#include <cstdint>
#include <string_view>

#include "client/byte_queue.h"
#include "gyre/client.h"

namespace gyre::client {

class FrameConnection {
 public:
  class Owner {
   public:
    virtual void OnConnected() = 0;
    // Some bytes arrived; before the frames in them.
    virtual void OnBytes() = 0;
    // A reply. False ends the connection with kProtocol.
    virtual bool OnReply(std::uint64_t request_id, std::string_view payload) = 0;
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
  bool writing() const { return writing_; }
  // Takes the bytes out of `out`. Requires connected() and not writing().
  void Write(ByteQueue& out);
  // Closes without a word to the owner.
  void Abandon();

 private:
  enum class State { kConnecting, kConnected, kClosing };
  static constexpr unsigned kKeepAliveSeconds = 30;
  static constexpr std::size_t kReadBytesMin = 64 * 1024;

  FrameConnection(uv_loop_t* loop, Owner& owner);
  ~FrameConnection() = default;

  void Fail(ErrorCode code, std::string message);
  void Close();
  void OnRead(ssize_t count);
  // False: the connection failed.
  bool HandFrames();

  Owner* owner_;  // null once abandoned or told
  State state_ = State::kConnecting;
  bool writing_ = false;
  bool discards_ = false;  // nobody waits for what is under way
  int open_handles_ = 0;
  uv_tcp_t tcp_{};
  uv_timer_t connect_timer_{};
  uv_connect_t connect_{};
  uv_write_t write_{};
  ByteQueue in_;
  ByteQueue out_;      // what Write took
  Error close_error_;  // told to the owner from the close callback
};

}  // namespace gyre::client
