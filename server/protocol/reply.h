// Replies, protocol-neutral. A command says what it found to a `ReplyWriter`; each protocol has one
// that encodes straight into the connection's output, so that a GET copies its value once. Where a
// reply must be kept or combined (scatter over nodes), `Reply` holds it as a tree: `ReplyRecorder`
// builds it, `Replay` says it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/client_memory.h"
#include "proto/native_reply.h"
#include "proto/result.h"

namespace gyre {

// What stands before a record's value. RESP sends the value alone; memcached its VALUE line; native
// all of it.
struct RecordHead {
  std::string_view key;
  std::uint32_t flags = 0;
  std::uint64_t version = 0;  // the memcached CAS token
  std::size_t value_bytes = 0;
};

// What the words around a value take in any protocol, its key apart.
inline constexpr std::size_t kReserveSlack = 256;

// One reply is one call, or one BeginList, its elements, EndList; or BeginRecord, chunks,
// EndRecord. From its first call to its last, nobody else appends to the output or consumes it.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;

  virtual void Null() = 0;
  virtual void Word(Outcome outcome) = 0;
  virtual void Text(std::string_view line) = 0;  // a status line; no CR or LF in it
  virtual void Bulk(std::string_view bytes) = 0;
  // Text for people, in lines. RESP3 marks it as such.
  virtual void Verbatim(std::string_view text) { Bulk(text); }
  virtual void Integer(std::int64_t value) = 0;
  virtual void Unsigned(std::uint64_t value) = 0;
  virtual void Double(double value) = 0;
  virtual void Boolean(bool value) = 0;
  virtual void Fail(const Error& error) = 0;

  // `count` elements follow (for kMap: pairs, so 2 * count values), then EndList.
  virtual void BeginList(ListShape shape, std::size_t count) = 0;
  virtual void EndList() = 0;
  // Likewise a message that nobody asked for (push.h), which RESP3 marks as such.
  virtual void BeginPush(std::size_t count) { BeginList(ListShape::kArray, count); }

  // Exactly `head.value_bytes` follow in chunks, then EndRecord.
  virtual void BeginRecord(const RecordHead& head) = 0;
  virtual void Chunk(std::string_view bytes) = 0;
  virtual void EndRecord() = 0;
  // All three, for a value in one piece.
  virtual void Record(const RecordHead& head, std::string_view value) {
    BeginRecord(head);
    Chunk(value);
    EndRecord();
  }

  // An encoded PeerReply, for Request::Kind::kPeer. Native only.
  virtual void Peer(std::string_view payload) = 0;

  // Room for a reply of about so many bytes, so that it cannot fail for want of memory once
  // something was changed. Throws ClientMemoryFull before.
  virtual void Reserve(std::size_t /*bytes*/) {}
  // Bytes that wait in the output, those of earlier replies included, where a reply may leave in
  // pieces (PendingReply::Stream); else 0.
  virtual std::size_t output_bytes() const { return 0; }

  // The request was passed on to its owner: native clients learn it (Reply.stale_ring). Before the
  // reply.
  virtual void MarkStaleRing() {}

  // Forgets the reply begun so far, whose bytes the caller has taken back out of the output: the
  // next call begins it anew (ReplySlot::FinishWithError, halfway through a list).
  virtual void Restart() {}
};

// A reply as a value.
struct Reply {
  enum class Kind : std::uint8_t {
    kNull,
    kOutcome,
    kText,
    kBulk,
    kInteger,
    kUnsigned,
    kDouble,
    kBoolean,
    kError,
    kList,
    kRecord
  };

  Kind kind = Kind::kNull;
  Outcome outcome = Outcome::kOk;          // kOutcome
  ErrorCode error = ErrorCode::kInternal;  // kError, with the message in `bytes`
  ListShape shape = ListShape::kArray;     // kList
  std::string bytes;                       // kText, kBulk, kError, kRecord (the value)
  std::string key;                         // kRecord
  std::int64_t integer = 0;                // kInteger
  std::uint64_t unsigned_integer = 0;      // kUnsigned
  double number = 0;                       // kDouble
  bool boolean = false;                    // kBoolean
  std::uint32_t flags = 0;                 // kRecord
  std::uint64_t version = 0;               // kRecord
  std::vector<Reply> elements;             // kList (for kMap: key, value, key, value, ...)
};

// The reply that says the error.
Reply ReplyOf(const Error& error);

// Says `reply` to `writer`.
void Replay(const Reply& reply, ReplyWriter& writer);

// Records what it is told; `Take` hands it over, complete after exactly one reply.
class ReplyRecorder final : public ReplyWriter {
 public:
  ReplyRecorder() = default;
  // What it holds is charged to `account` (null: to nobody) until it is taken.
  explicit ReplyRecorder(ClientMemoryAccount* account) : charge_(account) {}

  Reply Take();

  void Null() override;
  void Word(Outcome outcome) override;
  void Text(std::string_view line) override;
  void Bulk(std::string_view bytes) override;
  void Integer(std::int64_t value) override;
  void Unsigned(std::uint64_t value) override;
  void Double(double value) override;
  void Boolean(bool value) override;
  void Fail(const Error& error) override;
  void BeginList(ListShape shape, std::size_t count) override;
  void EndList() override;
  void BeginRecord(const RecordHead& head) override;
  void Chunk(std::string_view bytes) override;
  void EndRecord() override;
  void Peer(std::string_view payload) override;
  void Restart() override;

 private:
  // `bytes`: of text that it will hold.
  Reply& Add(Reply::Kind kind, std::size_t bytes = 0);

  void Charge(std::size_t bytes);

  ClientMemoryCharge charge_;
  Reply root_;
  std::vector<Reply> open_;  // lists begun and not ended, outermost first
  bool in_record_ = false;
  Reply record_;
};

}  // namespace gyre
