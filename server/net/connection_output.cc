// From replies to bytes that the kernel took: their order, writes, and when reading goes on.
#include <utility>

#include "net/connection.h"

namespace gyre {

void Connection::Flush() {
  if (closed_) return;
  for (;;) {
    Promote();
    if (output_bytes_ > context_.limits.output_bytes_max) {
      return CloseAsSlow("its output is over the limit");
    }
    if (!Write()) return;
    if (!paused_ || !MayResume()) break;
    paused_ = false;
    ExecuteInput();
  }
  if (input_over_ && !paused_) ending_ = true;
  if (ending_) return MaybeEnd();
  if (!IntrusiveListNode<Connection, DueTag>::linked()) yielded_ = false;  // its turn is over
  if (paused_ || MustPause()) {
    paused_ = true;
    StopReading();
  } else if (!input_over_ && !yielded_) {
    StartReading();
  }
}

// Moves replies that may leave into the output.
void Connection::Promote() {
  while (!queue_.empty() && queue_.front().finished()) {
    PendingSlot& slot = queue_.PopFront();
    Emit(slot.reply_);
    Emit(slot.tail_);
    slot.Detach();
  }
  while (!ready_.empty()) {
    PendingSlot& slot = ready_.PopFront();
    Emit(slot.reply_);
    slot.Detach();
  }
}

void Connection::Emit(Buffer& bytes) {
  if (bytes.empty()) return;
  if (output_.empty()) {
    std::swap(output_, bytes);
  } else {
    output_.Append(bytes.view());
  }
}

// Gives the output to the kernel. False if that ended the connection.
bool Connection::Write() {
  if (write_in_flight_ || output_.empty()) return true;
  if (gate_ != nullptr && gate_->sealed()) {
    const std::size_t plain_bytes = output_.size();
    if (!gate_->Seal(output_)) {
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
    context_.counters.bytes_out.Add(count);
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

void Connection::OnWritten(int status) {
  if (closed_) return;
  write_in_flight_ = false;
  if (status != 0) return Close();
  IntrusiveListNode<Connection, WatchTag>::Unlink();
  context_.counters.bytes_out.Add(writing_.size());
  output_bytes_ -= writing_.size();
  context_.pool->GiveBuffer(writing_);
  Flush();
}

}  // namespace gyre
