// A reply slot that is no connection's: it records the reply and hands it to a callback. So that a
// part of a scattered command, or a question that a command asks the cluster, takes the same route
// as a client's request.
#pragma once

#include <functional>

#include "protocol/handler.h"

namespace gyre {

class RecordingSlot final : public ReplySlot {
 public:
  using Done = std::function<void(Reply)>;

  // `done` is called once: with the reply, or with kInternal if the last handle goes without one.
  // What it records is charged to `account` (null: to nobody), which outlives it.
  static PendingReply Make(Done done, ClientMemoryAccount* account = nullptr);

  ReplyWriter& writer() override { return recorder_; }
  void Finish() override;
  void FinishWithError(const Error& error) override;
  bool finished() const override { return done_ == nullptr; }
  void AddRef() override { ++references_; }
  void Unref() override;

 private:
  RecordingSlot(Done done, ClientMemoryAccount* account)
      : recorder_(account), done_(std::move(done)) {}
  ~RecordingSlot() override = default;

  ReplyRecorder recorder_;
  Done done_;
  int references_ = 0;
};

}  // namespace gyre
