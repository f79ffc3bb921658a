// One request of a caller, from submission to its single completion, over however many attempts.
// Created on the caller's thread; from ClientCore::Submit on it belongs to the I/O thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/command_traits.h"
#include "client/reply_sink.h"
#include "client/timer_wheel.h"
#include "gyre/client.h"
#include "proto/slot.h"

namespace gyre::client {

class Link;
class RemoteNode;

using TimePoint = std::chrono::steady_clock::time_point;

struct Request : TimerEntry {
  // A read waits for at most so many nodes at once.
  static constexpr std::size_t kAttemptsAtOnceMax = 2;

  struct Attempt {
    Link* link = nullptr;
    std::uint64_t request_id = 0;
    TimePoint sent_at;
  };

  // Set by the caller.
  std::string encoded;  // EncodeRequest
  Effect effect = Effect::kWrite;
  std::optional<Slot> slot;  // of its key
  std::string pinned;        // "host:port": ask this node alone, once
  bool asks_ring = false;    // the client's own: any node will do, each in turn
  TimePoint started;
  TimePoint deadline;
  std::shared_ptr<ReplySink> sink;  // told the end of it, with `index`
  std::size_t index = 0;
  std::size_t charged_bytes = 0;  // of the budget; 0 for the client's own requests

  // The I/O thread's.
  std::array<Attempt, kAttemptsAtOnceMax> attempts;  // the live ones
  std::uint32_t attempt_count = 0;                   // live
  std::uint32_t tries = 0;                           // in all
  std::vector<const RemoteNode*> tried;              // in this round
  bool pausing = false;                              // between two rounds
  bool maybe_applied = false;                        // a write that was sent and never answered
  Milliseconds backoff{0};
  std::string last_failure;  // "127.0.0.1:7701: connection refused"
  // What the request ends with if nothing better than `last_failure` comes.
  ErrorCode last_failure_code = ErrorCode::kUnavailable;

  void EraseAttempt(const Link& link) {
    for (std::uint32_t i = 0; i < attempt_count; ++i) {
      if (attempts[i].link != &link) continue;
      attempts[i] = attempts[--attempt_count];
      return;
    }
  }
};

}  // namespace gyre::client
