// Replies that come later, and the memory for them.
//
// A connection's replies leave in the order of its requests. As long as no earlier reply is
// missing, a reply is written straight behind the connection's output. A deferred one becomes a
// slot; what later requests answer at once stands in the `tail` of the newest slot, so only
// deferred replies cost a slot:
//
//   output  | slot 1: reply?  tail | slot 2: reply?  tail
//   ready     missing   GET GET PING   finished   GET
//
// Once slot 1 is finished, its reply, its tail, then slot 2's reply and tail join the output.
//
// A slot outlives its connection for as long as somebody holds a PendingReply: what is written to
// it then is discarded. Slots and buffers are pooled for each loop, and the pool outlives its last
// slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/clock.h"
#include "net/intrusive_list.h"
#include "protocol/handler.h"

namespace gyre {

class PendingSlot;
class ReplyPool;

// Where the replies of slots go: to a connection, in the order that is its own.
class SlotOwner {
 public:
  // The reply is complete. Called once, if the slot was not detached before.
  virtual void OnFinished(PendingSlot& slot) = 0;
  // The slot's source may write a piece, when its turn comes.
  virtual void OnSourceReady() = 0;
  // Whether replies may leave in pieces.
  virtual bool MayStream() const = 0;
  // A reply failed of which a part was sent, which cannot be taken back.
  virtual void BreakReply(const Error& error) = 0;
  // So many bytes more, or less, are held for its replies elsewhere.
  virtual void AddHeld(std::ptrdiff_t bytes) = 0;

 protected:
  ~SlotOwner() = default;
};

class PendingSlot final : public ReplySlot, public IntrusiveListNode<PendingSlot> {
 public:
  ReplyWriter& writer() override;
  void Finish() override;
  void FinishWithError(const Error& error) override;
  bool finished() const override { return finished_; }
  bool Stream(ReplySource new_source) override;
  void Continue() override;
  void AddHeld(std::ptrdiff_t bytes) override;
  void AddRef() override { ++handles_; }
  void Unref() override;

  // ---- For the owner ----

  // The owner lets go of it: it returns to the pool with its last handle, and what is written to it
  // until then is discarded.
  void Detach();

  ReplyWriter* codec_writer = nullptr;  // of the owner's codec, into `reply`; null: discards
  Buffer reply;
  Buffer tail;
  ReplySource source;          // writes on, where the reply leaves in pieces; has a handle
  TimePoint began{};           // when the request had come
  std::size_t left_bytes = 0;  // of the pieces that have left
  bool in_pieces = false;      // the first piece has left
  bool waiting = false;        // the source waits for something
  bool full = false;           // its next piece found no room
  TimePoint full_from{};       // since when it waits for that alone; zero: it does not

 private:
  friend class ReplyPool;
  friend struct std::default_delete<PendingSlot>;
  explicit PendingSlot(ReplyPool& pool) : pool_(pool) {}
  ~PendingSlot() override = default;

  ReplyPool& pool_;
  SlotOwner* owner_ = nullptr;  // null: gone, or it has what it needs
  std::ptrdiff_t held_ = 0;     // see ReplySlot::AddHeld
  std::uint32_t handles_ = 0;
  bool finished_ = false;
};

class ReplyPool {
 public:
  // Memory of larger buffers returns to the system.
  static constexpr std::size_t kBufferBytesMax = 64 * 1024;
  static constexpr std::size_t kPooledSlotsMax = 4096;

  struct Retire {
    void operator()(ReplyPool* pool) const;
  };
  using Owner = std::unique_ptr<ReplyPool, Retire>;
  // What its buffers hold is charged to `account` (null: to nobody), pooled or not; it outlives the
  // pool and its last slot. Pooled are `bytes_max` at most.
  static Owner Create(ClientMemoryAccount* account, std::size_t bytes_max) {
    return Owner(new ReplyPool(account, bytes_max));
  }

  // An empty buffer, the one that was given back last (its memory is in the cache).
  Buffer TakeBuffer();
  // Leaves `buffer` without memory.
  void GiveBuffer(Buffer& buffer);

  // It is the owner's until Detach.
  PendingSlot& TakeSlot(SlotOwner& owner);

 private:
  friend class PendingSlot;
  ReplyPool(ClientMemoryAccount* account, std::size_t bytes_max)
      : account_(account), bytes_max_(bytes_max) {}
  ~ReplyPool() = default;
  void GiveSlot(PendingSlot& slot);

  ClientMemoryAccount* const account_;
  const std::size_t bytes_max_;
  std::vector<Buffer> buffers_;
  std::size_t pooled_bytes_ = 0;
  std::vector<std::unique_ptr<PendingSlot>> slots_;
  std::size_t slots_out_ = 0;
  bool retired_ = false;
};

}  // namespace gyre
