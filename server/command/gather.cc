#include "command/gather.h"

#include <string>
#include <utility>

namespace gyre {
namespace {

// What KEYS may gather; a larger answer would be of no use to anybody, and would stop the loop
// while it is encoded.
constexpr std::size_t kConcatBytesMax = std::size_t{256} << 20;

Error Mismatch() {
  return {ErrorCode::kInternal, "a node answered a part of the command in an unexpected form"};
}

}  // namespace

Gather::Gather(const Command& command, std::size_t key_count, PendingReply reply)
    : command_(command), reply_(std::move(reply)) {
  if (command_.fold == Fold::kArray) elements_.resize(key_count);
}

void Gather::Deliver(const std::vector<std::uint32_t>& positions, Reply reply) {
  Combine(positions, std::move(reply));
  ClosePart();
}

void Gather::Combine(const std::vector<std::uint32_t>& positions, Reply&& reply) {
  if (error_) return;
  if (reply.kind == Reply::Kind::kError) {
    error_ = Error{reply.error, std::move(reply.bytes)};
    return;
  }
  switch (command_.fold) {
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
        elements_[positions[i]] = std::move(reply.elements[i]);
      }
      return;
    case Fold::kConcat:
      for (Reply& element : reply.elements) {
        element_bytes_ += sizeof(Reply) + element.bytes.size();
        elements_.push_back(std::move(element));
      }
      if (element_bytes_ > kConcatBytesMax) {
        error_ = Error{ErrorCode::kTooLarge, "too many keys for one reply; use SCAN"};
        elements_.clear();
      }
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

void Gather::Answer() {
  if (error_) return reply_.FinishWithError(*error_);
  ReplyWriter& writer = reply_.writer();
  switch (command_.fold) {
    case Fold::kSum:
      writer.Integer(sum_);
      break;
    case Fold::kArray:
    case Fold::kConcat:
      writer.BeginList(ListShape::kArray, elements_.size());
      for (const Reply& element : elements_) Play(element, writer);
      writer.EndList();
      break;
    case Fold::kNone:
    case Fold::kAllOk:
    case Fold::kAtomic:
      writer.Word(Outcome::kOk);
      break;
  }
  reply_.Finish();
}

}  // namespace gyre
