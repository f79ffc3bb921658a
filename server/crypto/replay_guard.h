// Whether a datagram was seen before.
//
// A sender is a process: it draws a number at its start (its *life*) and counts its datagrams up.
// So a sender that is started again is a new one and begins anew, and needs no memory on disk.
//
//   known life     accepted once for each count, as long as that is no further than kWindow behind
//                  the highest one seen. Clocks play no part: one that jumps later cuts nobody off.
//   unknown life   accepted if the wall-clock time in the datagram is within kClockSkewMax of ours;
//                  from then on the life is known, and lower counts of it are refused. So what was
//                  recorded before we started, or of a life that was forgotten, is of no use.
//
// A life is forgotten when nothing was heard of it for twice kClockSkewMax: then its datagrams are
// too old to be accepted as those of a new one. The table has room for kLivesMax; where more nodes
// than that start within those minutes, the one heard of longest ago goes first, and only what it
// sent within kClockSkewMax could be repeated.
//
// Cost: 160 bytes a life, one look-up a datagram.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "base/clock.h"

namespace gyre {

class ReplayGuard {
 public:
  static constexpr std::size_t kWindow = 1024;
  static constexpr std::size_t kLivesMax = 4096;
  static constexpr Duration kClockSkewMax = std::chrono::minutes(5);
  static constexpr Duration kForgetAfter = 2 * kClockSkewMax;

  struct Stamp {
    std::uint64_t life = 0;
    std::uint64_t count = 0;
    UnixMillis sent_ms = 0;
  };
  enum class Verdict : std::uint8_t { kFresh, kReplayed, kStale };

  // `stamp` must be authentic. kFresh: it is remembered.
  Verdict Check(const Stamp& stamp, TimePoint now, UnixMillis wall);

  std::size_t lives() const { return lives_.size(); }

 private:
  struct Life {
    std::uint64_t highest = 0;
    TimePoint heard{};
    std::array<std::uint64_t, kWindow / 64> seen{};  // a bit for each count modulo kWindow
  };
  void Forget(TimePoint now);

  std::unordered_map<std::uint64_t, Life> lives_;
  TimePoint forget_at_{};
};

}  // namespace gyre
