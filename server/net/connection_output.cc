// From replies to bytes that the kernel took: their order, writes, and when reading goes on.
#include <new>
#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace gyre {

void Connection::Flush() {
  pieces_ = 0;
  FlushNow();
  if (closed_) return;
  NoteBuffers();
  NoteMemory();
}

void Connection::FlushNow() {
  if (closed_ || in_turn()) return;  // its turn ends with this
  for (;;) {
    const bool all = Promote();
    if (broken_) return Close();
    if (output_bytes_ > context_.limits.output_bytes_max) {
      return CloseAsSlow("its output is over the limit");
    }
    if (!Write()) return;
    if (PullMore() || (!all && output_.empty())) continue;
    if (Push()) continue;
    if (closed_) return;
    if (!paused_ || !MayResume()) break;
    paused_ = false;
    // A client that reads as fast as it is answered would be served here for ever.
    if (context_.IsTurnOver(SteadyNow())) {
      if (!awaits_turn()) context_.AwaitTurn(*this);
      break;
    }
    ExecuteInput();
  }
  if (input_over_ && !paused_ && !awaits_turn()) ending_ = true;
  if (ending_) return MaybeEnd();
  if (!IntrusiveListNode<Connection, DueTag>::linked()) yielded_ = false;  // its turn is over
  if (paused_ || MustPause()) {
    paused_ = true;
    StopReading();
  } else if (awaits_turn()) {
    StopReading();
  } else if (!input_over_ && !yielded_) {
    StartReading();
  }
}

// Moves replies that may leave into the output. False: there is no room there for all before it is
// sent.
bool Connection::Promote() {
  while (!queue_.empty() && (queue_.front().finished() || Pull(queue_.front()))) {
    if (!queue_.front().finished()) continue;
    PendingSlot& slot = queue_.front();
    if (!Emit(slot.reply) || !Emit(slot.tail)) return false;
    slot.Unlink();
    slot.Detach();
  }
  while (!ready_.empty()) {
    PendingSlot& slot = ready_.front();
    if (!Emit(slot.reply)) return false;
    slot.Unlink();
    slot.Detach();
  }
  return true;
}

// Whether the first reply's source, if it has one, can go on. Where memory is scarce, one piece is
// here at a time: else a client that reads a long reply would be the one that holds most.
bool Connection::MayPull(const PendingSlot& slot) const {
  if (!slot.source || slot.waiting) return false;
  if (slot.full) return !write_in_flight_ && starved_bytes_ == 0;
  return !write_in_flight_ || context_.memory == nullptr || context_.memory->waiting() == 0;
}

// Has it write a piece, if there is room for it.
bool Connection::Pull(PendingSlot& slot) {
  if (!MayPull(slot) || broken_ || pieces_ >= kPiecesPerIteration ||
      output_bytes_ >= context_.limits.output_bytes_pause) {
    return false;
  }
  if (!EmitPiece(slot)) return false;
  ++pieces_;
  // Kept here meanwhile: it may finish the reply, and with that itself.
  ReplySource source = std::move(slot.source);
  PendingReply reply(slot);
  bool goes_on = true;
  try {
    slot.waiting = !source();
    slot.full = false;
    slot.full_from = {};
  } catch (const ClientMemoryFull& full) {
    goes_on = false;
    if (!AwaitRoom(slot, full.bytes())) reply.FinishWithError(ReplyTooLarge());
  } catch (const std::bad_alloc&) {
    reply.FinishWithError(ReplyTooLarge());
  }
  if (slot.finished()) return true;
  slot.source = std::move(source);
  return EmitPiece(slot) && goes_on && !slot.waiting;
}

bool Connection::EmitPiece(PendingSlot& slot) {
  const std::size_t bytes = slot.reply.size();
  if (!Emit(slot.reply)) return false;
  output_bytes_ += bytes;
  slot.left_bytes += bytes;
  slot.in_pieces = slot.in_pieces || bytes > 0;
  return true;
}

// Whether another piece may follow what was written, in this iteration.
bool Connection::PullMore() {
  if (queue_.empty() || !MayPull(queue_.front())) return false;
  if (output_bytes_ >= context_.limits.output_bytes_pause / 2) return false;  // OnWritten goes on
  if (pieces_ < kPiecesPerIteration) return true;
  if (!awaits_turn()) context_.AwaitTurn(*this);
  return false;
}

// Whether the source's messages may go behind the output now.
bool Connection::MayPush() {
  if (subscription_ == nullptr || !subscription_->woken || ending_ || input_over_) return false;
  if (output_bytes_ >= context_.limits.output_bytes_pause) {
    if (!std::exchange(subscription_->held_up, true)) {
      context_.counters[&ServerStats::push_pauses].Add(1);
    }
    return false;
  }
  subscription_->held_up = false;
  if (starved_bytes_ != 0) return false;
  if (queue_.empty()) {
    subscription_->behind_reply = false;
  } else if (subscription_->behind_reply || queue_.front().in_pieces) {
    return false;
  }
  return true;
}

// Has the source write a piece, if it may. True: there is something new to be sent.
bool Connection::Push() {
  if (!MayPush()) return false;
  if (pieces_ >= kPiecesPerIteration) {
    if (!awaits_turn()) context_.AwaitTurn(*this);
    return false;
  }
  ++pieces_;
  if (output_.capacity() == 0) output_ = context_.pool->TakeBuffer();
  const std::size_t before = output_.size();
  ReplyWriter* const writer = codec_->PushWriterFor(subscription_->request_id, output_);
  PushSink sink(*writer, output_);
  std::size_t missing_bytes = 0;
  bool fits = true;
  try {
    subscription_->woken = subscription_->source->Write(sink);
  } catch (const ClientMemoryFull& full) {
    missing_bytes = full.bytes();
  } catch (const std::bad_alloc&) {
    fits = false;
  }
  codec_->Recycle(writer);
  output_bytes_ += output_.size() - before;
  context_.counters[&ServerStats::pushes].Add(sink.messages());
  if (output_.size() > before) return true;
  if (missing_bytes == 0 && fits) return false;
  // What is on its way makes room first.
  if (fits && (write_in_flight_ || !output_.empty())) return false;
  output_.Release();
  if (fits && missing_bytes <= context_.memory->limit_of_large()) {
    Starve(missing_bytes);
  } else {
    CloseAsSlow("what it has subscribed to does not fit into --client-memory");
  }
  return false;
}

// Moves `bytes` behind the output and empties it. False, and nothing changes: there is no room.
bool Connection::Emit(Buffer& bytes) {
  if (bytes.empty()) return true;
  if (output_.empty()) {
    std::swap(output_, bytes);
    return true;
  }
  if (!output_.TryReserve(bytes.size())) return false;
  output_.Append(bytes.view());
  bytes.Clear();
  return true;
}

// Gives the output to the kernel. False if that ended the connection.
bool Connection::Write() {
  if (write_in_flight_ || output_.empty()) return true;
  if (gate_ != nullptr && gate_->sealed()) {
    const std::size_t plain_bytes = output_.size();
    if (!SealOutput()) {
      Close();
      return false;
    }
    output_bytes_ += output_.size() - plain_bytes;
  }
  uv_buf_t bytes = uv_buf_init(output_.mutable_data(), static_cast<unsigned>(output_.size()));
  const int written = uv_try_write(stream(), &bytes, 1);
  if (written < 0 && written != UV_EAGAIN) {
    Close();
    return false;
  }
  if (written > 0) {
    const auto count = static_cast<std::size_t>(written);
    context_.counters[&ServerStats::bytes_out].Add(count);
    output_bytes_ -= count;
    output_.Consume(count);
  }
  if (output_.empty()) {
    context_.pool->GiveBuffer(output_);
    return true;
  }
  std::swap(writing_, output_);
  bytes = uv_buf_init(writing_.mutable_data(), static_cast<unsigned>(writing_.size()));
  const int error = uv_write(&write_, stream(), &bytes, 1, [](uv_write_t* request, int status) {
    static_cast<Connection*>(request->handle->data)->OnWritten(status);
  });
  if (error != 0) {
    Close();
    return false;
  }
  write_in_flight_ = true;
  progress_at_ = context_.loop.now();
  unwritten_seen_ = writing_.size();
  context_.Watch(*this);
  return true;
}

bool Connection::SealOutput() {
  try {
    return gate_->Seal(output_);
  } catch (const std::bad_alloc&) {
    LogWarn("link closed", {{"peer", session_.peer_address}, {"reason", ReplyTooLarge().message}});
    return false;
  }
}

void Connection::OnWritten(int status) {
  if (closed_) return;
  write_in_flight_ = false;
  if (status != 0) return Close();
  IntrusiveListNode<Connection, WatchTag>::Unlink();
  context_.counters[&ServerStats::bytes_out].Add(writing_.size());
  output_bytes_ -= writing_.size();
  context_.pool->GiveBuffer(writing_);
  Flush();
  context_.KeepMemory();
}

}  // namespace gyre
