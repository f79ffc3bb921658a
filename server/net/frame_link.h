// The client side of native frames (proto/frame.h): one TCP connection to one address, made when
// there is something to send.
//
//            Send or Connect                connected
//   kDown -------------------> kConnecting -----------> kUp
//     ^  (not within backoff)       |                    |
//     +-----------------------------+--------------------+
//               refused, timed out, reset, closed, bad frame
//
// A link that goes down forgets its queue and says so once (on_down): the caller fails or repeats
// what it had outstanding. After a failed attempt no other is made for a time that doubles with
// each failure and is drawn at random from the upper half of it; Send is refused meanwhile, so
// callers fail fast.
//
// The client has its own (client/link.h). Both are on common/tcp_stream.h and share no more: this one
// fails fast behind a backoff and counts what never left, that one asks another node; this one has a
// handshake, a greeting and a budget of memory.
//
// With keys, the handshake of link_handshake.h follows each connection before anything else is
// sent; the link counts as connecting until it is over, and what is sent then is sealed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/event_loop.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/result.h"

namespace gyre {

class ClientMemory;
class Keyring;

struct FrameLinkOptions {
  // From the name lookup to the established connection.
  Duration connect_timeout = std::chrono::milliseconds(1000);
  // Pause after the first failed attempt, and the longest.
  Duration backoff_min = std::chrono::milliseconds(50);
  Duration backoff_max = std::chrono::seconds(2);
  // Bytes queued and not yet taken by the kernel; Send is refused above it.
  std::size_t queue_bytes_max = std::size_t{64} << 20;
  // The largest payload to accept.
  std::size_t payload_bytes_max = kValueBytesHardMax + kFrameSlackBytes;
  // Where set, the link is encrypted, and a peer that does not know the key is none. Outlives the
  // link.
  Keyring* keys = nullptr;
  // Where set, the payload of a peer request that is sent first on each connection, with request id
  // 0, and counts for nothing else.
  std::string greeting;
  // Where set, what is queued and what came in part is charged to it: Send is refused where there
  // is no room, and a frame that finds none is passed over and delivered as an error. Outlives the
  // link.
  ClientMemory* memory = nullptr;
};

class FrameLink {
 public:
  enum class State : std::uint8_t { kDown, kConnecting, kUp };

  struct Down {
    Error error;           // kUnavailable: no connection was made; kIo, kProtocol: one broke
    bool was_up = false;   // false: not a byte was sent
    bool refused = false;  // nothing listens there: the process is gone
    bool reset = false;    // the peer's side closed or broke: the process died or stops
    bool goodbye = false;  // it ended in order: what has no reply was not carried out
    // The newest frames of the queue of which not a byte was sent; of older ones the outcome is
    // unknown.
    std::uint64_t frames_unsent = 0;
  };

  // Callbacks come from the loop, never from within a call of this class. They may call Send,
  // Close, or destroy the link.
  struct Callbacks {
    // `payload` is valid for the call.
    std::function<void(const FrameHeader& header, std::string_view payload)> on_frame;
    std::function<void()> on_up;
    std::function<void(const Down& down)> on_down;
  };

  // `host` is an address or a name, looked up again at each attempt.
  FrameLink(EventLoop& loop, std::string host, std::uint16_t port, FrameLinkOptions options,
            Callbacks callbacks);
  // Closes silently.
  ~FrameLink();
  FrameLink(const FrameLink&) = delete;
  FrameLink& operator=(const FrameLink&) = delete;

  State state() const;
  // Bytes that wait for the kernel.
  std::size_t queue_bytes() const;

  // Queues a frame, in order; it leaves before the loop sleeps, or at Flush. False, and nothing is
  // queued: over queue_bytes_max, or down and not yet to be tried again.
  bool Send(FrameType type, std::uint64_t request_id, std::string_view payload);
  // Writes what is queued now (if up).
  void Flush();

  // Begins to connect if down, unless a failed attempt was just made. False if so.
  bool Connect();
  // Forgets the backoff: the next Send or Connect tries at once (gossip says that the peer is
  // alive).
  void ResetBackoff();
  // Breaks the connection and forgets the queue, silently.
  void Close();

  // Changing the key of a link that is in use, without a call lost or out of order: once `outdated`
  // (it is up, with a key that is no longer the one to send with), Hold; when all that was sent
  // before is answered, Renew.
  bool outdated() const;
  // What is queued from now on stays here. False, and nothing changes: not all that was queued has
  // left yet.
  bool Hold();
  // Breaks the connection, silently; makes another, on which what was queued since Hold leaves.
  void Renew();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gyre
