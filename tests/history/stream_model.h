// A model of one partition's ordered stream, which makes histories for the checker: sound ones, and
// such as a bug put in on purpose would leave. Deterministic: an event heap in virtual microseconds
// and one seeded generator.
//
// An owner orders groups; a group names its predecessor, travels to each copy by itself, may be lost
// (then it is sent again) or overtake others, and is applied whole and in order. A copy acknowledges
// the position up to which it has everything; a client is answered once enough copies did. The owner
// may evict, by effects. Now and then the owner is killed (it comes back empty), cut off (it comes
// back with what it had), or a copy is cut off. The best copy opens a term: its context says up to
// where it has each earlier term; removals of earlier terms are then forgotten, for the context
// stands for them. Who comes back is compared with the owner: what the context covers and the owner
// lacks was removed, what it does not cover is taken as a new group unless the owner's is newer, and
// then it has what the owner has.
//
// The model is of the promise of Level::kStream, not of any code: it shows that the checker accuses
// nobody who keeps the promise, and whom it catches.
#pragma once

#include <cstdint>

#include "history/history.h"

namespace gyre::history {

enum class Bug : std::uint8_t {
  kNone,
  kSkippedGroup,          // a copy goes on behind a group that it did not get
  kTornGroup,             // a copy applies a part of a group
  kAckBeforePredecessor,  // a copy acknowledges a group that still waits for an earlier one
  kForgottenRemoval,      // a removal leaves nothing by which it is remembered in its term
  kContextTooNew,         // a new owner says that it has more than it has
  kContextTooOld,         // or less
};

struct ModelOptions {
  std::uint64_t seed = 1;
  std::uint32_t copies = 3;
  std::uint32_t acks = 2;  // copies, the owner's included
  bool evicts = false;
  Bug bug = Bug::kNone;

  // What a checker may hold such a stream to: as long as one node fails at a time.
  Promise promise() const { return {Level::kStream, acks >= 2}; }
};

// Runs it with a load of clients, who tell `history` what they did and were told; at the end all
// keys are read, with `is_final`. `history` is to be fresh and with options.promise().
void RunStreamModel(const ModelOptions& options, History& history);

}  // namespace gyre::history
