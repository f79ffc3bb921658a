// What a failed attempt means for its operation: pure.
//
// The rule: an attempt that surely had no effect may be repeated; one that may have had it may be
// repeated only if repeating does no harm. Whatever happens later, once a write may have been
// applied, a failure of the operation is reported as kUnknownOutcome.
#pragma once

#include "client/command_traits.h"
#include "gyre/client.h"

namespace gyre::client {

enum class Verdict {
  kRetry,           // another try is right, if the deadline allows one
  kRetryLater,      // likewise, but no other node can do better now: after a pause
  kFail,            // the error is the answer
  kUnknownOutcome,  // the write's fate is unknown
};

// The link broke. `sent`: at least a part of the request may have left.
Verdict OnLinkLost(Effect effect, bool sent, const RetryPolicy& policy);

// The node answered with an error.
Verdict OnErrorReply(Effect effect, ErrorCode code);

}  // namespace gyre::client
