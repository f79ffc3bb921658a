#include "client/retry.h"

namespace gyre::client {

Verdict OnLinkLost(Effect effect, bool sent, const RetryPolicy& policy) {
  if (!sent || effect == Effect::kRead) return Verdict::kRetry;
  if (effect == Effect::kIdempotentWrite && policy.retry_idempotent_writes) return Verdict::kRetry;
  return Verdict::kUnknownOutcome;
}

Verdict OnErrorReply(Effect effect, ErrorCode code) {
  switch (code) {
    // The node says that it did nothing, and that another node, or the same a little later, may.
    case ErrorCode::kNotOwner:
    case ErrorCode::kMoved:
    case ErrorCode::kUnavailable:
    case ErrorCode::kClosed:
      return Verdict::kRetry;
    // Nothing was done, and whoever is asked forwards to the same owner: it lacks copies, for as long
    // as a node restarts.
    case ErrorCode::kTooFewReplicas:
      return Verdict::kRetryLater;
    // The node lost sight of the request: harmless for a read, not for a write.
    case ErrorCode::kIo:
      return effect == Effect::kRead ? Verdict::kRetry : Verdict::kUnknownOutcome;
    case ErrorCode::kTimeout:
    case ErrorCode::kUnknownOutcome:
      return effect == Effect::kRead ? Verdict::kRetry : Verdict::kFail;
    default:
      return Verdict::kFail;
  }
}

}  // namespace gyre::client
