// The contract between net, which knows bytes and sockets, and what answers requests. One handler
// for each loop; all calls on its thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "base/client_memory.h"
#include "protocol/push.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "protocol/session.h"

namespace gyre {

// About what a source writes at once, and beyond which a reply leaves in pieces at all.
inline constexpr std::size_t kReplyPieceBytes = std::size_t{256} << 10;
inline constexpr std::size_t kReplyWholeBytes = std::size_t{1} << 20;

// Writes the next piece of a reply, and finishes it after the last one. False while it waits for
// something: then it is called again only after PendingReply::Continue. It may throw
// ClientMemoryFull where an element finds no room, with that element neither written nor counted:
// what it wrote before leaves, and it is called again when there may be room.
using ReplySource = std::function<bool()>;

// Where one reply goes. Counted by PendingReply handles; implemented by net's connection.
class ReplySlot {
 public:
  virtual ReplyWriter& writer() = 0;
  // The reply is complete: it may leave, once those before it have. Later calls do nothing.
  virtual void Finish() = 0;
  // Discards what was written so far, writes `error` instead and finishes.
  virtual void FinishWithError(const Error& error) = 0;
  virtual bool finished() const = 0;
  // Discards what was written so far: `source` writes the reply, a piece whenever the client has
  // taken most of those before, so that it is never here as a whole. An error after the first
  // piece closes the connection, for what was sent cannot be taken back. False, and nothing
  // changes, where a reply must leave as a whole (native). The source goes with the slot.
  virtual bool Stream(ReplySource /*source*/) { return false; }
  virtual void Continue() {}
  // The node holds so many bytes more, or less, for this reply, elsewhere.
  virtual void AddHeld(std::ptrdiff_t /*bytes*/) {}
  virtual void AddRef() = 0;
  virtual void Unref() = 0;

 protected:
  virtual ~ReplySlot() = default;
};

// A reply that is not there yet: an unfilled slot. Copies share it; the first Finish counts. If the
// last copy goes without one, the client gets an internal error, so that no request hangs. If the
// connection is gone, what is written goes nowhere. Loop thread only.
class PendingReply {
 public:
  explicit PendingReply(ReplySlot& slot) : slot_(&slot) { slot_->AddRef(); }
  PendingReply(const PendingReply& other) : slot_(other.slot_) {
    if (slot_ != nullptr) slot_->AddRef();
  }
  PendingReply(PendingReply&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  PendingReply& operator=(PendingReply other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~PendingReply() {
    if (slot_ != nullptr) slot_->Unref();
  }

  ReplyWriter& writer() { return slot_->writer(); }
  void Finish() { slot_->Finish(); }
  void FinishWithError(const Error& error) { slot_->FinishWithError(error); }
  bool finished() const { return slot_->finished(); }
  // `write` says the reply to its argument; one that finds no room becomes an error.
  template <typename Write>
  void FinishWith(Write&& write) {
    try {
      write(writer());
    } catch (const std::bad_alloc&) {
      return FinishWithError(ReplyTooLarge());
    }
    Finish();
  }
  bool Stream(ReplySource source) { return slot_->Stream(std::move(source)); }
  void Continue() { slot_->Continue(); }
  void AddHeld(std::ptrdiff_t bytes) { slot_->AddHeld(bytes); }

 private:
  ReplySlot* slot_;
};

// The reply of the request being handled.
class Responder {
 public:
  virtual ~Responder() = default;
  // A reply written here before Handle returns leaves at once.
  virtual ReplyWriter& writer() = 0;
  // The reply comes later, or (where it is already written) may leave later: when acks arrived.
  virtual PendingReply Defer() = 0;
  // Likewise, and what is written already is discarded.
  virtual PendingReply DeferAnew() { return Defer(); }
  // After Defer: the connection's later requests wait until this reply is finished. For a command
  // that goes on over several turns of the loop and must not see what stands behind it in the
  // pipeline (KEYS, FLUSHALL).
  virtual void HoldLaterRequests() {}
  // From the reply at hand on the client is sent what `source` writes (push.h), in place of what an
  // earlier one of this connection would. Null, and `source` is gone: no push on this protocol. Of a
  // null source: nothing any more.
  virtual std::shared_ptr<PushWaker> Subscribe(std::unique_ptr<PushSource> /*source*/) {
    return nullptr;
  }
};

class Handler {
 public:
  virtual ~Handler() = default;
  // Answers `request`: writes exactly one reply to `responder.writer()`, or defers it. Quiet
  // requests get a writer that discards.
  virtual void Handle(const Request& request, Session& session, Responder& responder) = 0;
  // The next calls of Handle bring these requests, of several sessions, in this order, until EndOfBatch
  // or the next call: what they will need from memory can be asked for together, so that they wait for
  // it once. Some may be left out.
  virtual void LookAhead(std::span<const Request> /*requests*/) {}
  // Called once all requests of a turn were handled: what was gathered for peers is sent now.
  virtual void EndOfBatch() {}
};

}  // namespace gyre
