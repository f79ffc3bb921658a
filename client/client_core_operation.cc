// The life of an operation on the I/O thread: sent to a node, hedged, tried again, and finished
// once. Which node, says node_selector.h; what an error or a lost link means for it, retry.h.
#include <algorithm>
#include <string>
#include <utility>

#include "client/client_core.h"
#include "client/retry.h"
#include "client/wire.h"

namespace gyre::client {

void ClientCore::Start(std::unique_ptr<Operation> owned) {
  Operation& operation = *owned.release();  // the wheel's invariant keeps it; Finish frees it
  const TimePoint now = Now();
  if (wheel_.empty()) {
    uv_update_time(&loop_);
    uv_timer_start(
        &tick_, [](uv_timer_t* timer) { static_cast<ClientCore*>(timer->data)->OnTick(); },
        TimerWheel::kTickMs, TimerWheel::kTickMs);
  }
  wheel_.Arm(operation, Millis(operation.deadline));
  if (!operation.pinned.empty()) {
    const Result<NodeAddress> address = NodeAddress::Parse(operation.pinned);
    if (!address) return FailNow(operation, address.error());
    selector_.NodeAt(*address);
    operation.pinned = address->ToString();
  }
  if (now >= operation.deadline) return FailAtDeadline(operation);
  DispatchOrPause(operation, now);
}

bool ClientCore::Dispatch(Operation& operation, TimePoint now) {
  RemoteNode* node = selector_.Choose(operation, now);
  if (node == nullptr) return false;
  const auto left = std::chrono::duration_cast<Milliseconds>(operation.deadline - now);
  const auto node_deadline = std::max(Milliseconds{1}, left - std::min(kDeadlineMargin, left / 10));
  operation.tried.push_back(node);
  ++operation.tries;
  Link& link = node->LinkFor(operation);
  // Counted as live before it is sent: a link that cannot even begin to connect fails later, never
  // here.
  Operation::Attempt& attempt = operation.attempts[operation.attempt_count++];
  attempt.link = &link;
  attempt.sent_at = now;
  attempt.request_id = link.Send(operation, static_cast<std::uint32_t>(node_deadline.count()), now);
  return true;
}

void ClientCore::DispatchOrPause(Operation& operation, TimePoint now) {
  if (Dispatch(operation, now)) return ArmNext(operation, now);
  Pause(operation, now);  // all were tried, or are known to be down
}

void ClientCore::Pause(Operation& operation, TimePoint now) {
  HintRing();
  operation.tried.clear();
  operation.pausing = true;
  operation.backoff =
      std::clamp(operation.backoff * 2, options_.retry.backoff_min, options_.retry.backoff_max);
  wheel_.Arm(operation, Millis(std::min(operation.deadline, now + operation.backoff)));
}

void ClientCore::ArmNext(Operation& operation, TimePoint now) {
  TimePoint due = operation.deadline;
  const Milliseconds hedge_after = options_.retry.hedge_after;
  if (operation.pinned.empty() && hedge_after.count() > 0) due = std::min(due, now + hedge_after);
  wheel_.Arm(operation, Millis(due));
}

void ClientCore::OnTick() {
  const TimePoint now = Now();
  const auto now_ms =
      static_cast<std::uint64_t>(std::chrono::floor<Milliseconds>(now.time_since_epoch()).count());
  wheel_.Advance(now_ms, [&](TimerEntry& entry) { OnDue(static_cast<Operation&>(entry), now); });
  FlushDirty();
  if (wheel_.empty()) uv_timer_stop(&tick_);
}

void ClientCore::OnDue(Operation& operation, TimePoint now) {
  wheel_.Arm(operation, Millis(operation.deadline));  // the invariant, whatever follows
  if (now >= operation.deadline) return FailAtDeadline(operation);
  if (operation.pausing) {
    operation.pausing = false;
    if (operation.tries >= options_.retry.attempts_max) return FailExhausted(operation);
    if (operation.tries > 0) counters_.retries.fetch_add(1, std::memory_order_relaxed);
    return DispatchOrPause(operation, now);
  }
  NoteSilence(operation, now);
  if (MayHedge(operation, now)) Hedge(operation, now);
  ArmNext(operation, now);
}

void ClientCore::Hedge(Operation& operation, TimePoint now) {
  if (Dispatch(operation, now)) {
    counters_.hedges.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // The others could not help, but may next time: somebody takes over from a node that is silent.
  operation.tried.assign(1, &operation.attempts[0].link->node());
}

// A read is passed over a silent node from now on. Not so a write's: it may wait for its copies.
void ClientCore::NoteSilence(const Operation& operation, TimePoint now) {
  for (std::uint32_t i = 0; i < operation.attempt_count; ++i) {
    const Operation::Attempt& attempt = operation.attempts[i];
    if (!attempt.link->SilentSince(attempt.sent_at)) continue;
    if (operation.effect == Effect::kRead) attempt.link->node().set_stalled(true);
    ring_.HintSilence(now);
    ArmRingTimer();
  }
}

// A node that answers others is busy rather than gone: asking a second one early would only make
// more load.
bool ClientCore::MayHedge(const Operation& operation, TimePoint now) const {
  if (operation.effect != Effect::kRead || !operation.pinned.empty() ||
      operation.attempt_count != 1) {
    return false;
  }
  const Operation::Attempt& attempt = operation.attempts[0];
  if (attempt.link->SilentSince(attempt.sent_at)) return true;
  return now - operation.started >= (operation.deadline - operation.started) / 2;
}

bool ClientCore::OnReply(Link& link, Operation& operation, std::string_view payload) {
  operation.EraseAttempt(link);
  Result<DecodedReply> reply = DecodeReply(payload);
  if (!reply) {
    OnLostAttempt(operation, true,
                  {reply.error().code, link.node().name() + ": " + reply.error().message});
    return false;
  }
  if (reply->stale_ring) {
    counters_.stale_replies.fetch_add(1, std::memory_order_relaxed);
    HintRing();
  }
  Value& value = reply->value;
  if (value.kind != Value::Kind::kError) {
    Finish(operation, std::move(value));
    return true;
  }
  Error error{value.error, std::move(value.text)};
  const Verdict verdict = OnErrorReply(operation.effect, error.code);
  if (verdict == Verdict::kRetry) HintRing();
  AfterFailedAttempt(operation, verdict, std::move(error));
  return true;
}

void ClientCore::OnLost(Link& link, bool was_connected, const Error& error,
                        std::vector<Link::Lost> lost) {
  const Error failure{error.code, link.node().name() + ": " + error.message};
  if (was_connected) {
    counters_.connections_lost.fetch_add(1, std::memory_order_relaxed);
  } else {
    link.node().OnConnectFailed(Now(), failure.message);
  }
  if (closing_) return;
  HintRing();
  for (const auto& [operation, sent] : lost) {
    operation->EraseAttempt(link);
    OnLostAttempt(*operation, sent, failure);
  }
  FlushDirty();
}

void ClientCore::OnLostAttempt(Operation& operation, bool sent, Error error) {
  operation.maybe_applied |= sent && operation.effect != Effect::kRead;
  AfterFailedAttempt(operation, OnLinkLost(operation.effect, sent, options_.retry),
                     std::move(error));
}

void ClientCore::AfterFailedAttempt(Operation& operation, Verdict verdict, Error error) {
  operation.maybe_applied |= verdict == Verdict::kUnknownOutcome;
  const bool retry = verdict == Verdict::kRetry || verdict == Verdict::kRetryLater;
  if (!retry) return FailNow(operation, std::move(error));
  if (operation.attempt_count > 0) return ArmNext(operation, Now());  // another node is still asked
  if (!operation.pinned.empty()) return FailNow(operation, std::move(error));
  operation.last_failure = std::move(error.message);
  operation.last_failure_code = error.code == ErrorCode::kTooFewReplicas
                                    ? ErrorCode::kTooFewReplicas
                                    : ErrorCode::kUnavailable;
  if (operation.tries >= options_.retry.attempts_max) return FailExhausted(operation);
  const TimePoint now = Now();
  if (now >= operation.deadline) return FailAtDeadline(operation);
  if (verdict == Verdict::kRetryLater) return Pause(operation, now);
  counters_.retries.fetch_add(1, std::memory_order_relaxed);
  DispatchOrPause(operation, now);
}

void ClientCore::FailExhausted(Operation& operation) {
  FailNow(operation, {operation.last_failure_code,
                      "no node could serve the request after " + std::to_string(operation.tries) +
                          " tries; last: " + operation.last_failure + "; see `gyre status`"});
}

void ClientCore::FailAtDeadline(Operation& operation) {
  const auto waited =
      std::chrono::duration_cast<Milliseconds>(operation.deadline - operation.started);
  const std::string limit = std::to_string(waited.count()) + " ms";
  std::string asked;
  bool sent = false;  // else it only waits for a connection
  for (std::uint32_t i = 0; i < operation.attempt_count; ++i) {
    const Operation::Attempt& attempt = operation.attempts[i];
    asked += (i == 0 ? " from " : " and ") + attempt.link->node().name();
    sent |= attempt.link->WasSent(attempt.request_id);
  }
  operation.maybe_applied |= sent && operation.effect != Effect::kRead;
  // Nodes that are known to be down were not even tried.
  if (!sent && operation.last_failure.empty()) operation.last_failure = selector_.WhyNot(operation);
  if (sent || operation.last_failure.empty()) {
    counters_.timeouts.fetch_add(1, std::memory_order_relaxed);
    return FailNow(operation,
                   {ErrorCode::kTimeout, "no answer within " + limit + asked +
                                             "; see `gyre status`, or allow a longer deadline"});
  }
  FailNow(operation, {operation.last_failure_code, "no node could serve the request within " +
                                                       limit + "; last: " + operation.last_failure +
                                                       "; see `gyre status`"});
}

void ClientCore::FailNow(Operation& operation, Error error) {
  if (operation.maybe_applied) {
    counters_.unknown_outcomes.fetch_add(1, std::memory_order_relaxed);
    error = {ErrorCode::kUnknownOutcome,
             "the write may or may not have been carried out: " + error.message};
  }
  Finish(operation, std::move(error));
}

void ClientCore::Finish(Operation& operation, Result<Value> result) {
  const std::unique_ptr<Operation> owned(&operation);
  wheel_.Cancel(operation);
  for (std::uint32_t i = 0; i < operation.attempt_count; ++i) {
    operation.attempts[i].link->Forget(operation.attempts[i].request_id);
  }
  if (operation.charged_bytes > 0) budget_.Give(operation.charged_bytes);
  operation.done(std::move(result));
}

}  // namespace gyre::client
