#include "command/recording_slot.h"

#include <utility>

namespace gyre {

PendingReply RecordingSlot::Make(Done done, ClientMemoryAccount* account) {
  return PendingReply(*new RecordingSlot(std::move(done), account));  // deleted by the last Unref
}

void RecordingSlot::Finish() {
  if (finished()) return;
  // Emptied first: the callback may let go of the last handle but the caller's.
  std::exchange(done_, nullptr)(recorder_.Take());
}

void RecordingSlot::FinishWithError(const Error& error) {
  if (finished()) return;
  recorder_.Restart();
  recorder_.Fail(error);
  Finish();
}

void RecordingSlot::Unref() {
  if (--references_ > 0) return;
  if (!finished()) {
    references_ = 1;  // the callback must not bring us here again
    FinishWithError(Error{ErrorCode::kInternal, "the request was dropped without a reply"});
  }
  delete this;
}

}  // namespace gyre
