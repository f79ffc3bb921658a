// Combines the replies of a scattered command's parts into one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "command/command.h"
#include "protocol/handler.h"

namespace gyre {

class Gather {
 public:
  // `key_count` keys in all. Answers `reply` when the last part has arrived. One part is open from
  // the start: `Started` closes it, so that parts which answer at once do not end the whole too
  // early.
  Gather(const Command& command, std::size_t key_count, PendingReply reply);

  void ExpectPart() { ++parts_open_; }
  // The reply to one expected part, which had the keys at these positions: what a node would have
  // answered had the command had these keys only.
  void Deliver(const std::vector<std::uint32_t>& positions, Reply reply);
  void Started() { ClosePart(); }

 private:
  void Combine(const std::vector<std::uint32_t>& positions, Reply&& reply);
  void ClosePart();
  void Answer();

  const Command& command_;
  PendingReply reply_;
  std::size_t parts_open_ = 1;
  std::int64_t sum_ = 0;
  std::vector<Reply> elements_;
  std::size_t element_bytes_ = 0;
  std::optional<Error> error_;  // the first
};

}  // namespace gyre
