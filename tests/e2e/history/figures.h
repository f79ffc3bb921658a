// What the clients of a run saw, by window: from one mark of the nemesis to the next.
//
// A window's "longest gap without a write" is over all keys: the longest time within it in which
// one key had no acknowledged write although its writer kept trying. Where a fault begins with a
// mark, that is the time until the writes of the affected keys resumed (plus the writer's
// interval). A gap that is still open when the window ends counts up to its end.
//
// Thread-safe: answers come on the clients' threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::e2e {

using Instant = std::chrono::steady_clock::time_point;

enum class WriteOutcome : std::uint8_t { kAcknowledged, kRefused, kUnknown };

class Figures {
 public:
  // Reads that take longer are counted.
  static constexpr std::chrono::milliseconds kSlowRead{250};

  // `names` of the keys whose gaps are watched.
  Figures(std::vector<std::string> names, Instant now);

  // Ends the window and begins another; returns the one that ended.
  nlohmann::json Mark(const std::string& name, Instant now);
  // The window so far; `total`: of the whole run instead.
  nlohmann::json Now(Instant now, bool total) const;
  // The writers stand still until Resume: a gap does not grow.
  void Pause(Instant now);
  void Resume(Instant now);

  // `error`: empty if it was answered. `stale`: it showed less than was acknowledged before it.
  void ReadDone(std::size_t key, Instant begun, Instant ended, const std::string& error,
                bool stale);
  void WriteDone(std::size_t key, WriteOutcome outcome, Instant ended, const std::string& error);
  // A write of a key that several clients write: its gaps are not watched.
  void SharedDone(WriteOutcome outcome, const std::string& error);

 private:
  static constexpr std::size_t kErrorsMax = 8;  // different ones that a window keeps

  struct Window {
    std::string name;
    Instant begun;
    std::uint64_t acknowledged = 0;
    std::uint64_t refused = 0;
    std::uint64_t unknown = 0;
    std::uint64_t reads = 0;
    std::uint64_t reads_failed = 0;
    std::uint64_t reads_slow = 0;
    std::uint64_t reads_stale = 0;
    std::chrono::microseconds read_longest{0};
    std::string read_longest_key;
    std::chrono::microseconds gap_longest{0};
    std::string gap_longest_key;
    std::map<std::string, std::uint64_t> errors;  // message without its numbers: how often
  };

  static void Count(Window& window, WriteOutcome outcome, const std::string& error);
  static void NoteError(Window& window, std::string_view what, const std::string& error);
  static nlohmann::json Print(const Window& window, Instant now);
  void NoteGap(Window& window, std::size_t key, Instant now) const;
  // With the gaps that are open now.
  Window Closed(const Window& window, Instant now) const;

  const std::vector<std::string> names_;

  mutable std::mutex mutex_;
  Window window_;
  Window total_;
  std::vector<Instant> acknowledged_at_;  // [key]: its last acknowledged write
  bool paused_ = true;
};

}  // namespace gyre::e2e
