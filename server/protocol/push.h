// Push: what a client is sent without asking for each piece of it, once it has subscribed.
//
// It is drawn, not thrown. A connection has one PushSource, and has it write whenever it was woken
// and less than ConnectionLimits::output_bytes_pause waits to be sent. So a client that reads slowly
// pauses its source, nothing is kept for it in between, and what the source draws from must be bound
// itself: its reader falls behind there, and is told so. One that takes nothing at all is closed as
// any slow client.
//
//   any thread: PushWaker::Wake --once until it runs--> connection's loop: PushSource::Write -> output
//
// A message stands between replies, never within one, and behind the reply to the request that
// subscribed.
#pragma once

#include <cstddef>
#include <memory>

#include "base/buffer.h"
#include "protocol/reply.h"

namespace gyre {

// Where a source's messages go, for the time of one call.
class PushSink {
 public:
  // About so much is written at once; one message may be more.
  static constexpr std::size_t kPieceBytes = std::size_t{48} << 10;

  PushSink(ReplyWriter& writer, Buffer& out)
      : writer_(writer), out_(out), full_at_(out.size() + kPieceBytes) {}

  // `write` says one message, whole, beginning with BeginPush. May throw ClientMemoryFull: then
  // nothing of it is written.
  template <typename Write>
  void Say(Write&& write) {
    const std::size_t before = out_.size();
    try {
      write(writer_);
    } catch (...) {
      writer_.Restart();
      out_.Truncate(before);
      throw;
    }
    ++messages_;
  }
  bool full() const { return out_.size() >= full_at_; }
  std::size_t messages() const { return messages_; }

 private:
  ReplyWriter& writer_;
  Buffer& out_;
  const std::size_t full_at_;
  std::size_t messages_ = 0;
};

// Owned by its connection, and destroyed with it. Loop thread.
class PushSource {
 public:
  virtual ~PushSource() = default;
  // Writes what there is, until the sink is full. False: there was no more, and it is called again
  // once it was woken. ClientMemoryFull leaves it (with the message that did not fit not counted as
  // written), and it is called again when there may be room.
  virtual bool Write(PushSink& sink) = 0;
};

// Any thread, also when the connection is gone: then nothing happens. The loop outlives its use.
class PushWaker {
 public:
  virtual ~PushWaker() = default;
  // The source has something to write. Cheap where it was woken already and did not run since.
  virtual void Wake() = 0;
};

}  // namespace gyre
