// Combines the replies of a scattered command's parts into one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/client_memory.h"
#include "proto/command_schema.h"
#include "protocol/handler.h"

namespace gyre {

class Gather {
 public:
  // What it gathers is charged to `account` (null: to nobody); the reply is an error where there is
  // no room. `key_count` keys in all. Answers `reply` when the last part has arrived. One part is open from
  // the start: `Started` closes it, so that parts which answer at once do not end the whole too
  // early.
  Gather(Fold fold, std::size_t key_count, PendingReply reply, ClientMemoryAccount* account);

  void ExpectPart() { ++parts_open_; }
  // The reply to one expected part, which had the keys at these positions: what a node would have
  // answered had the command had these keys only.
  void Deliver(const std::vector<std::uint32_t>& positions, Reply reply);
  void Started() { ClosePart(); }
  // What comes from now on is of no use.
  bool failed() const { return error_.has_value(); }

 private:
  struct Elements;

  void Combine(const std::vector<std::uint32_t>& positions, Reply&& reply);
  bool Grow(std::size_t bytes);
  bool Append(const std::vector<Reply>& elements);
  void ClosePart();
  void Answer();
  void AnswerList();

  const Fold fold_;
  PendingReply reply_;
  std::size_t parts_open_ = 1;
  std::int64_t sum_ = 0;
  std::shared_ptr<Elements> elements_;  // kArray, kConcat; shared with what writes them
  std::optional<Error> error_;          // the first
};

}  // namespace gyre
