// What a client's answer says of a write.
#pragma once

#include "e2e/history/figures.h"
#include "gyre/client.h"

namespace gyre::e2e {

// A wording of `error` that does not promise that nothing was written counts as unknown.
inline WriteOutcome OutcomeOf(const client::Error& error) {
  switch (error.code) {
    case client::ErrorCode::kUnavailable:
    case client::ErrorCode::kTimeout:
    case client::ErrorCode::kTooFewReplicas:
    case client::ErrorCode::kOverloaded:
    case client::ErrorCode::kClosed:
    case client::ErrorCode::kOutOfMemory:
      return WriteOutcome::kRefused;
    default:
      return WriteOutcome::kUnknown;
  }
}

template <typename T>
WriteOutcome OutcomeOf(const client::Result<T>& result) {
  return result ? WriteOutcome::kAcknowledged : OutcomeOf(result.error());
}

}  // namespace gyre::e2e
