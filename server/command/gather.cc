#include "command/gather.h"

#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/buffer.h"
#include "command/messages.h"

namespace gyre {
namespace {

Error Mismatch() {
  return {ErrorCode::kInternal, "a node answered a part of the command in an unexpected form"};
}

// What a reply holds beside its text.
std::size_t TextBytes(const Reply& reply) { return reply.key.size() + reply.bytes.size(); }

}  // namespace

// The elements so far. Keys (kConcat), of which there may be millions, stand one behind the other:
// a length, then the bytes.
struct Gather::Elements {
  explicit Elements(ClientMemoryAccount* account) : charge(account), keys(account) {}

  std::size_t bytes() const { return charge.bytes() + keys.capacity(); }

  // Writes those from `next` on, until about `bytes_max` are written; false if there are more.
  bool Write(ReplyWriter& writer, std::size_t bytes_max) {
    const std::size_t count = key_count + replies.size();
    if (!std::exchange(begun, true)) writer.BeginList(ListShape::kArray, count);
    std::size_t written = 0;
    for (; next < count; ++next) {
      if (written >= bytes_max) return false;
      if (next < key_count) {
        written += WriteKey(writer);
        continue;
      }
      Reply& reply = replies[next - key_count];
      written += TextBytes(reply) + 1;
      Replay(reply, writer);
      reply = Reply{};
    }
    writer.EndList();
    return true;
  }

  std::size_t WriteKey(ReplyWriter& writer) {
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, keys.data() + at, sizeof bytes);
    writer.Bulk(keys.view().substr(at + sizeof bytes, bytes));
    at += sizeof bytes + bytes;
    return bytes + 1;
  }

  ClientMemoryCharge charge;  // of `replies`
  std::vector<Reply> replies;
  Buffer keys;
  std::size_t key_count = 0;
  bool begun = false;
  std::size_t next = 0;
  std::size_t at = 0;  // in `keys`, of the next
};

Gather::Gather(Kind kind, std::size_t key_count, PendingReply reply, ClientMemoryAccount* account)
    : kind_(kind), reply_(std::move(reply)), elements_(std::make_shared<Elements>(account)) {
  if (kind_.fold == Fold::kArray && Grow(key_count * sizeof(Reply))) {
    elements_->replies.resize(key_count);
  }
}

// Charges what the elements are about to hold more.
bool Gather::Grow(std::size_t bytes) {
  if (!elements_->charge.Grow(bytes)) {
    error_ = ReplyTooLarge();
    reply_.AddHeld(-static_cast<std::ptrdiff_t>(elements_->bytes()));
    elements_.reset();
    return false;
  }
  reply_.AddHeld(static_cast<std::ptrdiff_t>(bytes));
  return true;
}

// Keys of KEYS.
bool Gather::Append(const std::vector<Reply>& elements) {
  Buffer& keys = elements_->keys;
  const std::size_t before = keys.capacity();
  for (const Reply& element : elements) {
    const auto bytes = static_cast<std::uint32_t>(element.bytes.size());
    if (!keys.TryReserve(sizeof bytes + bytes)) {
      reply_.AddHeld(-static_cast<std::ptrdiff_t>(before));
      error_ = ReplyTooLarge();
      elements_.reset();
      return false;
    }
    keys.Append({reinterpret_cast<const char*>(&bytes), sizeof bytes});
    keys.Append(element.bytes);
    ++elements_->key_count;
  }
  reply_.AddHeld(static_cast<std::ptrdiff_t>(keys.capacity() - before));
  return true;
}

void Gather::Deliver(const std::vector<std::uint32_t>& positions, Reply reply) {
  Combine(positions, std::move(reply));
  ClosePart();
}

void Gather::Combine(const std::vector<std::uint32_t>& positions, Reply&& reply) {
  any_done_ = any_done_ || reply.kind != Reply::Kind::kError;
  if (error_) return;
  if (reply.kind == Reply::Kind::kError) {
    error_ = Error{reply.error, std::move(reply.bytes)};
    return;
  }
  switch (kind_.fold) {
    case Fold::kSum:
      if (reply.kind != Reply::Kind::kInteger) error_ = Mismatch();
      sum_ += reply.integer;
      return;
    case Fold::kArray:
      if (reply.kind != Reply::Kind::kList || reply.elements.size() != positions.size()) {
        error_ = Mismatch();
        return;
      }
      for (std::size_t i = 0; i < positions.size(); ++i) {
        if (!Grow(TextBytes(reply.elements[i]))) return;
        elements_->replies[positions[i]] = std::move(reply.elements[i]);
      }
      return;
    case Fold::kConcat:
      Append(reply.elements);
      return;
    case Fold::kNone:
    case Fold::kAllOk:
    case Fold::kAtomic:
      return;
  }
}

void Gather::ClosePart() {
  if (--parts_open_ == 0) Answer();
}

// Most errors say that nothing was written.
bool Gather::MayRefuse() const {
  if (!kind_.writes || !any_done_ || error_->code == ErrorCode::kUnknownOutcome) return true;
  // Another node takes all of the command elsewhere then, which may be done twice.
  return kind_.forwarded && IsRefusal(error_->code);
}

void Gather::Answer() {
  if (error_ && !MayRefuse()) {
    return reply_.FinishWithError(PartlyWritten(*error_));
  }
  if (error_) return reply_.FinishWithError(*error_);
  switch (kind_.fold) {
    case Fold::kSum:
      return reply_.FinishWith([this](ReplyWriter& writer) { writer.Integer(sum_); });
    case Fold::kArray:
    case Fold::kConcat:
      return AnswerList();
    case Fold::kNone:
    case Fold::kAllOk:
    case Fold::kAtomic:
      return reply_.FinishWith([](ReplyWriter& writer) { writer.Word(Outcome::kOk); });
  }
}

// A large one leaves in pieces, where it may.
void Gather::AnswerList() {
  if (elements_->bytes() > kReplyPieceBytes &&
      reply_.Stream([elements = elements_, reply = reply_]() mutable {
        if (elements->Write(reply.writer(), kReplyPieceBytes)) reply.Finish();
        return true;
      })) {
    return;
  }
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  reply_.FinishWith([this](ReplyWriter& writer) { elements_->Write(writer, kAll); });
}

}  // namespace gyre
