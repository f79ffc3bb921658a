// The life of a request on the I/O thread: sent to a node, hedged, tried again, and finished
// once. Which node, says node_selector.h; what an error or a lost link means for it, retry.h.
#include <algorithm>
#include <string>
#include <utility>

#include "client/client_core.h"
#include "client/retry.h"
#include "client/wire.h"

namespace gyre::client {

void ClientCore::Start(std::unique_ptr<Request> owned) {
  Request& request = *owned.release();  // the wheel's invariant keeps it; Finish frees it
  const TimePoint now = Now();
  if (wheel_.empty()) {
    uv_update_time(&loop_);
    uv_timer_start(
        &tick_, [](uv_timer_t* timer) { static_cast<ClientCore*>(timer->data)->OnTick(); },
        TimerWheel::kTickMs, TimerWheel::kTickMs);
  }
  wheel_.Arm(request, Millis(request.deadline));
  if (!request.pinned.empty()) {
    const Result<NodeAddress> address = NodeAddress::Parse(request.pinned);
    if (!address) return FailNow(request, address.error());
    selector_.NodeAt(*address);
    request.pinned = address->ToString();
  }
  if (now >= request.deadline) return FailAtDeadline(request);
  DispatchOrPause(request, now);
}

bool ClientCore::Dispatch(Request& request, TimePoint now) {
  RemoteNode* node = selector_.Choose(request, now);
  if (node == nullptr) return false;
  const auto left = std::chrono::duration_cast<Milliseconds>(request.deadline - now);
  const auto node_deadline = std::max(Milliseconds{1}, left - std::min(kDeadlineMargin, left / 10));
  request.tried.push_back(node);
  ++request.tries;
  Link& link = node->LinkFor(request);
  // Counted as live before it is sent: a link that cannot even begin to connect fails later, never
  // here.
  Request::Attempt& attempt = request.attempts[request.attempt_count++];
  attempt.link = &link;
  attempt.sent_at = now;
  attempt.request_id = link.Send(request, static_cast<std::uint32_t>(node_deadline.count()), now);
  return true;
}

void ClientCore::DispatchOrPause(Request& request, TimePoint now) {
  if (Dispatch(request, now)) return ArmNext(request, now);
  Pause(request, now);  // all were tried, or are known to be down
}

void ClientCore::Pause(Request& request, TimePoint now) {
  HintRing();
  request.tried.clear();
  request.pausing = true;
  request.backoff =
      std::clamp(request.backoff * 2, options_.retry.backoff_min, options_.retry.backoff_max);
  wheel_.Arm(request, Millis(std::min(request.deadline, now + request.backoff)));
}

void ClientCore::ArmNext(Request& request, TimePoint now) {
  TimePoint due = request.deadline;
  const Milliseconds hedge_after = options_.retry.hedge_after;
  if (request.pinned.empty() && hedge_after.count() > 0) due = std::min(due, now + hedge_after);
  wheel_.Arm(request, Millis(due));
}

void ClientCore::OnTick() {
  const TimePoint now = Now();
  const auto now_ms =
      static_cast<std::uint64_t>(std::chrono::floor<Milliseconds>(now.time_since_epoch()).count());
  wheel_.Advance(now_ms, [&](TimerEntry& entry) { OnDue(static_cast<Request&>(entry), now); });
  FlushDirty();
  if (wheel_.empty()) uv_timer_stop(&tick_);
}

void ClientCore::OnDue(Request& request, TimePoint now) {
  wheel_.Arm(request, Millis(request.deadline));  // the invariant, whatever follows
  if (now >= request.deadline) return FailAtDeadline(request);
  if (request.pausing) {
    request.pausing = false;
    if (request.tries >= options_.retry.attempts_max) return FailExhausted(request);
    if (request.tries > 0) counters_.retries.fetch_add(1, std::memory_order_relaxed);
    return DispatchOrPause(request, now);
  }
  NoteSilence(request, now);
  if (MayHedge(request, now)) Hedge(request, now);
  ArmNext(request, now);
}

void ClientCore::Hedge(Request& request, TimePoint now) {
  if (Dispatch(request, now)) {
    counters_.hedges.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // The others could not help, but may next time: somebody takes over from a node that is silent.
  request.tried.assign(1, &request.attempts[0].link->node());
}

// A read is passed over a silent node from now on. Not so a write's: it may wait for its copies.
void ClientCore::NoteSilence(const Request& request, TimePoint now) {
  for (std::uint32_t i = 0; i < request.attempt_count; ++i) {
    const Request::Attempt& attempt = request.attempts[i];
    if (!attempt.link->SilentSince(attempt.sent_at)) continue;
    if (request.effect == Effect::kRead) attempt.link->node().set_stalled(true);
    ring_.HintSilence(now);
    ArmRingTimer();
  }
}

// A node that answers others is busy rather than gone: asking a second one early would only make
// more load.
bool ClientCore::MayHedge(const Request& request, TimePoint now) const {
  if (request.effect != Effect::kRead || !request.pinned.empty() || request.attempt_count != 1) {
    return false;
  }
  const Request::Attempt& attempt = request.attempts[0];
  if (attempt.link->SilentSince(attempt.sent_at)) return true;
  return now - request.started >= (request.deadline - request.started) / 2;
}

bool ClientCore::OnReply(Link& link, Request& request, std::string_view payload) {
  request.EraseAttempt(link);
  Result<DecodedReply> reply = DecodeReply(payload);
  if (!reply) {
    OnLostAttempt(request, true,
                  {reply.error().code, link.node().name() + ": " + reply.error().message});
    return false;
  }
  if (reply->stale_ring) {
    counters_.stale_replies.fetch_add(1, std::memory_order_relaxed);
    HintRing();
  }
  Value& value = reply->value;
  if (value.kind != Value::Kind::kError) {
    Finish(request, std::move(value));
    return true;
  }
  Error error{value.error, std::move(value.text)};
  const Verdict verdict = OnErrorReply(request.effect, error.code);
  if (verdict == Verdict::kRetry) HintRing();
  AfterFailedAttempt(request, verdict, std::move(error));
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
  for (const auto& [request, sent] : lost) {
    request->EraseAttempt(link);
    OnLostAttempt(*request, sent, failure);
  }
  FlushDirty();
}

void ClientCore::OnLostAttempt(Request& request, bool sent, Error error) {
  request.maybe_applied |= sent && request.effect != Effect::kRead;
  AfterFailedAttempt(request, OnLinkLost(request.effect, sent, options_.retry), std::move(error));
}

void ClientCore::AfterFailedAttempt(Request& request, Verdict verdict, Error error) {
  request.maybe_applied |= verdict == Verdict::kUnknownOutcome;
  const bool retry = verdict == Verdict::kRetry || verdict == Verdict::kRetryLater;
  if (!retry) return FailNow(request, std::move(error));
  if (request.attempt_count > 0) return ArmNext(request, Now());  // another node is still asked
  if (!request.pinned.empty()) return FailNow(request, std::move(error));
  request.last_failure = std::move(error.message);
  request.last_failure_code = error.code == ErrorCode::kTooFewReplicas ? ErrorCode::kTooFewReplicas
                                                                       : ErrorCode::kUnavailable;
  if (request.tries >= options_.retry.attempts_max) return FailExhausted(request);
  const TimePoint now = Now();
  if (now >= request.deadline) return FailAtDeadline(request);
  if (verdict == Verdict::kRetryLater) return Pause(request, now);
  counters_.retries.fetch_add(1, std::memory_order_relaxed);
  DispatchOrPause(request, now);
}

void ClientCore::FailExhausted(Request& request) {
  FailNow(request, {request.last_failure_code,
                    "no node could serve the request after " + std::to_string(request.tries) +
                        " tries; last: " + request.last_failure + "; see `gyre status`"});
}

void ClientCore::FailAtDeadline(Request& request) {
  const auto waited = std::chrono::duration_cast<Milliseconds>(request.deadline - request.started);
  const std::string limit = std::to_string(waited.count()) + " ms";
  std::string asked;
  bool sent = false;  // else it only waits for a connection
  for (std::uint32_t i = 0; i < request.attempt_count; ++i) {
    const Request::Attempt& attempt = request.attempts[i];
    asked += (i == 0 ? " from " : " and ") + attempt.link->node().name();
    sent |= attempt.link->WasSent(attempt.request_id);
  }
  request.maybe_applied |= sent && request.effect != Effect::kRead;
  // Nodes that are known to be down were not even tried.
  if (!sent && request.last_failure.empty()) request.last_failure = selector_.WhyNot(request);
  if (sent || request.last_failure.empty()) {
    counters_.timeouts.fetch_add(1, std::memory_order_relaxed);
    return FailNow(request,
                   {ErrorCode::kTimeout, "no answer within " + limit + asked +
                                             "; see `gyre status`, or allow a longer deadline"});
  }
  FailNow(request, {request.last_failure_code, "no node could serve the request within " + limit +
                                                   "; last: " + request.last_failure +
                                                   "; see `gyre status`"});
}

void ClientCore::FailNow(Request& request, Error error) {
  if (request.maybe_applied) {
    counters_.unknown_outcomes.fetch_add(1, std::memory_order_relaxed);
    error = {ErrorCode::kUnknownOutcome,
             "the write may or may not have been carried out: " + error.message};
  }
  Finish(request, std::move(error));
}

void ClientCore::Finish(Request& request, Result<Value> result) {
  const std::unique_ptr<Request> owned(&request);
  wheel_.Cancel(request);
  for (std::uint32_t i = 0; i < request.attempt_count; ++i) {
    request.attempts[i].link->Forget(request.attempts[i].request_id);
  }
  if (request.charged_bytes > 0) budget_.Give(request.charged_bytes);
  request.sink->OnReply(request.index, std::move(result));
}

}  // namespace gyre::client
