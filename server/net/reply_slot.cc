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
  if (writer_ != nullptr) {
    reply_.Clear();
    writer_->Restart();
    writer_->Fail(error);
  }
  Finish();
}

void PendingSlot::Unref() {
  assert(handles_ > 0);
  if (handles_ == 1 && !finished_) {
    FinishWithError({ErrorCode::kInternal, "the request was dropped without a reply: see the log"});
  }
  if (--handles_ == 0 && connection_ == nullptr) pool_.GiveSlot(*this);
}

void PendingSlot::Detach() {
  connection_ = nullptr;
  writer_ = nullptr;
  pool_.GiveBuffer(reply_);
  pool_.GiveBuffer(tail_);
  if (handles_ == 0) pool_.GiveSlot(*this);
}

void ReplyPool::Retire::operator()(ReplyPool* pool) const {
  pool->retired_ = true;
  if (pool->slots_out_ == 0) delete pool;
}

Buffer ReplyPool::TakeBuffer() {
  if (buffers_.empty()) return {};
  Buffer buffer = std::move(buffers_.back());
  buffers_.pop_back();
  pooled_bytes_ -= buffer.capacity();
  return buffer;
}

void ReplyPool::GiveBuffer(Buffer& buffer) {
  const std::size_t bytes = buffer.capacity();
  if (bytes == 0) return;
  if (bytes > kBufferBytesMax || pooled_bytes_ + bytes > kPooledBytesMax) {
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
  slot.finished_ = false;
  if (slots_.size() < kPooledSlotsMax && !retired_) slots_.push_back(std::move(owned));
  if (--slots_out_ == 0 && retired_) delete this;
}

}  // namespace gyre
