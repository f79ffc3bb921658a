#include "net/reply_slot.h"

#include <cassert>
#include <utility>

#include "net/discard_writer.h"

namespace gyre {

ReplyWriter& PendingSlot::writer() {
  if (codec_writer == nullptr) return DiscardWriter::Instance();
  return *codec_writer;
}

void PendingSlot::Finish() {
  if (finished_) return;
  finished_ = true;
  if (owner_ != nullptr) owner_->OnFinished(*this);
}

void PendingSlot::FinishWithError(const Error& error) {
  if (finished_) return;
  if (in_pieces && owner_ != nullptr) owner_->BreakReply(error);
  if (codec_writer != nullptr) {
    reply.Clear();
    codec_writer->Restart();
    codec_writer->Fail(error);
  }
  Finish();
}

bool PendingSlot::Stream(ReplySource new_source) {
  if (owner_ == nullptr || codec_writer == nullptr || finished_ || !owner_->MayStream()) {
    return false;
  }
  reply.Clear();
  codec_writer->Restart();
  source = std::move(new_source);
  waiting = false;
  owner_->OnSourceReady();
  return true;
}

void PendingSlot::Continue() {
  waiting = false;
  if (owner_ != nullptr) owner_->OnSourceReady();
}

void PendingSlot::AddHeld(std::ptrdiff_t bytes) {
  if (owner_ == nullptr) return;
  held_ += bytes;
  owner_->AddHeld(bytes);
}

void PendingSlot::Unref() {
  assert(handles_ > 0);
  if (handles_ == 1 && !finished_) {
    FinishWithError({ErrorCode::kInternal, "the request was dropped without a reply: see the log"});
  }
  if (--handles_ == 0 && owner_ == nullptr) pool_.GiveSlot(*this);
}

void PendingSlot::Detach() {
  if (held_ != 0) owner_->AddHeld(-std::exchange(held_, 0));
  owner_ = nullptr;
  codec_writer = nullptr;
  pool_.GiveBuffer(reply);
  pool_.GiveBuffer(tail);
  ++handles_;  // the source may have the last one
  source = nullptr;
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

PendingSlot& ReplyPool::TakeSlot(SlotOwner& owner) {
  ++slots_out_;
  PendingSlot* slot = nullptr;
  if (slots_.empty()) {
    slot = new PendingSlot(*this);
  } else {
    slot = slots_.back().release();
    slots_.pop_back();
  }
  slot->owner_ = &owner;
  return *slot;
}

void ReplyPool::GiveSlot(PendingSlot& slot) {
  std::unique_ptr<PendingSlot> owned(&slot);
  slot.finished_ = slot.in_pieces = slot.waiting = slot.full = false;
  slot.full_from = {};
  slot.left_bytes = 0;
  if (slots_.size() < kPooledSlotsMax && !retired_) slots_.push_back(std::move(owned));
  if (--slots_out_ == 0 && retired_) delete this;
}

}  // namespace gyre
