#include "crypto/replay_guard.h"

#include <algorithm>

namespace gyre {
namespace {

constexpr Duration kForgetInterval = std::chrono::seconds(10);

std::uint64_t Bit(std::uint64_t count) { return std::uint64_t{1} << (count % 64); }

std::size_t Word(std::uint64_t count) { return count % ReplayGuard::kWindow / 64; }

}  // namespace

ReplayGuard::Verdict ReplayGuard::Check(const Stamp& stamp, TimePoint now, UnixMillis wall) {
  if (now >= forget_at_) Forget(now);
  auto found = lives_.find(stamp.life);
  if (found == lives_.end()) {
    constexpr UnixMillis kSkewMs =
        std::chrono::duration_cast<std::chrono::milliseconds>(kClockSkewMax).count();
    // In an order in which no stamp overflows.
    if (stamp.sent_ms < wall - kSkewMs || stamp.sent_ms > wall + kSkewMs) return Verdict::kStale;
    if (lives_.size() >= kLivesMax) {
      lives_.erase(std::min_element(lives_.begin(), lives_.end(), [](const auto& a, const auto& b) {
        return a.second.heard < b.second.heard;
      }));
    }
    found = lives_.emplace(stamp.life, Life{}).first;
    found->second.highest = stamp.count;
    found->second.seen.fill(~std::uint64_t{0});
    found->second.seen[Word(stamp.count)] &= ~Bit(stamp.count);
  }
  Life& life = found->second;
  if (stamp.count > life.highest) {
    // The counts between are not seen yet; what stood in their places is behind the window now.
    const std::uint64_t steps = std::min<std::uint64_t>(stamp.count - life.highest, kWindow);
    for (std::uint64_t i = 1; i <= steps; ++i) {
      life.seen[Word(stamp.count - steps + i)] &= ~Bit(stamp.count - steps + i);
    }
    life.highest = stamp.count;
  } else if (life.highest - stamp.count >= kWindow) {
    return Verdict::kReplayed;
  }
  std::uint64_t& word = life.seen[Word(stamp.count)];
  if ((word & Bit(stamp.count)) != 0) return Verdict::kReplayed;
  word |= Bit(stamp.count);
  life.heard = now;
  return Verdict::kFresh;
}

void ReplayGuard::Forget(TimePoint now) {
  forget_at_ = now + kForgetInterval;
  std::erase_if(lives_,
                [now](const auto& entry) { return now - entry.second.heard >= kForgetAfter; });
}

}  // namespace gyre
