#include "net/reply_slot.h"

#include <cassert>
#include <utility>

#include "net/connection.h"
#include "net/discard_writer.h"

namespace gyre {

ReplyWriter& PendingSlot::writer() {
  if (writer_ == nullptr) return DiscardWriter::Instance();
  return *writer_;
}

void PendingSlot::Finish() {
  if (finished_) return;
  finished_ = true;
  if (connection_ != nullptr) connection_->OnSlotFinished(*this);
}

void PendingSlot::FinishWithError(const Error& error) {
  if (finished_) return;
  if (in_pieces_ && connection_ != nullptr) connection_->BreakReply(error);
  if (writer_ != nullptr) {
    reply_.Clear();
    writer_->Restart();
    writer_->Fail(error);
  }
  Finish();
}

bool PendingSlot::Stream(ReplySource source) {
  if (connection_ == nullptr || writer_ == nullptr || finished_ || !connection_->MayStream()) {
    return false;
  }
  reply_.Clear();
  writer_->Restart();
  source_ = std::move(source);
  waiting_ = false;
  connection_->MarkDue();
  return true;
}

void PendingSlot::Continue() {
  waiting_ = false;
  if (connection_ != nullptr) connection_->MarkDue();
}

void PendingSlot::AddHeld(std::ptrdiff_t bytes) {
  if (connection_ == nullptr) return;
  held_ += bytes;
  connection_->AddGathered(bytes);
}

void PendingSlot::Unref() {
  assert(handles_ > 0);
  if (handles_ == 1 && !finished_) {
    FinishWithError({ErrorCode::kInternal, "the request was dropped without a reply: see the log"});
  }
  if (--handles_ == 0 && connection_ == nullptr) pool_.GiveSlot(*this);
}

void PendingSlot::Detach() {
  if (held_ != 0) connection_->AddGathered(-std::exchange(held_, 0));
  connection_ = nullptr;
  writer_ = nullptr;
  pool_.GiveBuffer(reply_);
  pool_.GiveBuffer(tail_);
  ++handles_;  // the source may have the last one
  source_ = nullptr;
  if (--handles_ == 0) pool_.GiveSlot(*this);
}

void ReplyPool::Retire::operator()(ReplyPool* pool) const {
  pool->retired_ = true;
  if (pool->slots_out_ == 0) delete pool;
}

Buffer ReplyPool::TakeBuffer() {
  if (buffers_.empty()) return Buffer(account_);
  Buffer buffer = std::move(buffers_.back());
  buffers_.pop_back();
  pooled_bytes_ -= buffer.capacity();
  return buffer;
}

void ReplyPool::GiveBuffer(Buffer& buffer) {
  const std::size_t bytes = buffer.capacity();
  if (bytes == 0) return;
  const bool scarce = account_ != nullptr && account_->memory().excess() > 0;
  if (bytes > kBufferBytesMax || pooled_bytes_ + bytes > bytes_max_ || scarce) {
    buffer.Release();
    return;
  }
  buffer.Clear();
  pooled_bytes_ += bytes;
  buffers_.push_back(std::move(buffer));
}

PendingSlot& ReplyPool::TakeSlot() {
  ++slots_out_;
  if (slots_.empty()) return *new PendingSlot(*this);
  PendingSlot* slot = slots_.back().release();
  slots_.pop_back();
  return *slot;
}

void ReplyPool::GiveSlot(PendingSlot& slot) {
  std::unique_ptr<PendingSlot> owned(&slot);
  slot.finished_ = slot.in_pieces_ = slot.waiting_ = slot.full_ = false;
  slot.full_from_ = {};
  if (slots_.size() < kPooledSlotsMax && !retired_) slots_.push_back(std::move(owned));
  if (--slots_out_ == 0 && retired_) delete this;
}

}  // namespace gyre
