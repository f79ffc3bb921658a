// Combines the replies of a scattered command's parts into one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/client_memory.h"
#include "command/pending_command.h"
#include "protocol/handler.h"

namespace gyre {

class Gather {
 public:
  struct Kind {
    Fold fold = Fold::kNone;
    bool writes = false;
    bool forwarded = false;  // by another node, which takes refusals to whoever owns the keys now
  };
  static Kind KindOf(const PendingCommand& pending) {
    return {pending.command.fold, pending.command.Is(kWrite), pending.request->hops > 0};
  }

  // What it gathers is charged to `account` (null: to nobody); the reply is an error where there is
  // no room. `key_count` keys in all. Answers `reply` when the last part has arrived: with the first
  // error, if there is one, and with an unknown outcome where it would say that nothing was written
  // although a part was. One part is open from the start: `Started` closes it, so that parts which
  // answer at once do not end the whole too early.
  Gather(Kind kind, std::size_t key_count, PendingReply reply, ClientMemoryAccount* account);

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

  bool MayRefuse() const;

  const Kind kind_;
  PendingReply reply_;
  std::size_t parts_open_ = 1;
  std::int64_t sum_ = 0;
  std::shared_ptr<Elements> elements_;  // kArray, kConcat; shared with what writes them
  std::optional<Error> error_;          // the first
  bool any_done_ = false;               // a part was executed
};

}  // namespace gyre
