// What a judge may find.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::history {

enum class Fault : std::uint8_t {
  kLost,         // an acknowledged write, increment or swap is gone, or an older value is read
  kResurrected,  // a key that was deleted reads an older value
  kInvented,     // a value is read that nobody stored, or whose write was refused
  kLate,         // a write of unknown outcome, older than an acknowledged one, is read after it
  kDiverged,     // final reads of one key differ
  kOvercounted,  // a counter is above all that may have been counted
  kRepeated,     // two increments were answered with the same number
  kTwoWinners,   // two swaps of one token were acknowledged
  kForked,       // the final value does not descend from every acknowledged swap
  kTokenReused,  // one token was read with two values, or one value with two tokens
  kUnreadable,   // a final read had no answer
  kPartial,      // readers saw a part of a group, and nothing had broken since it was begun
  kTorn,         // a part of a group outlasted a cut
  kReordered,    // a later write of the partition outlasted a cut, an earlier one did not
  kRegressed,    // a newer value was read before, and nothing had broken meanwhile
  kReturned,     // a key was missing, and reads what it held before, which nobody wrote again
  kOther,        // whatever else the caller judges: two owners, for example
  kCount,
};
std::string_view NameOf(Fault fault);

// What the system under test promises of the order of its writes (theory: streams.h).
enum class Level : std::uint8_t {
  kRecords,  // each record is replicated by itself: kTorn, kReordered, kRegressed, kReturned happen
  kStream,   // one ordered stream of groups for each partition: none of them
};
constexpr bool Promises(Level level, Fault fault) {
  return level == Level::kStream || fault < Fault::kTorn || fault == Fault::kOther;
}

struct Violation {
  Fault fault = Fault::kOther;
  std::string key;
  std::string text;         // says all of it, the key included
  std::uint64_t found = 0;  // how many were found before it
};

// All are counted, the first are kept. What the level does not promise is no violation; it is kept
// apart, as a finding beyond.
class Violations {
 public:
  static constexpr std::size_t kKept = 20;

  explicit Violations(Level level = Level::kRecords) : level_(level) {}

  void Add(Fault fault, std::string key, std::string text);
  // Adds `note` to the texts of all since found() was `since`.
  void Annotate(std::uint64_t since, const std::string& note);
  const std::vector<Violation>& kept() const { return kept_; }
  const std::vector<Violation>& beyond() const { return beyond_; }
  bool empty() const { return count_ == 0; }
  std::uint64_t count() const { return count_; }
  std::uint64_t count_beyond() const { return found_ - count_; }
  std::uint64_t found() const { return found_; }
  // Of one kind, promised or not.
  std::uint64_t count(Fault fault) const { return counts_[static_cast<std::size_t>(fault)]; }
  Level level() const { return level_; }
  // One line each, and how many were not kept; empty if there is none.
  std::string Report() const;
  // The same of what is beyond the level.
  std::string ReportBeyond() const;

 private:
  static std::string Lines(const std::vector<Violation>& kept, std::uint64_t count);

  const Level level_;
  std::vector<Violation> kept_;
  std::vector<Violation> beyond_;
  std::array<std::uint64_t, static_cast<std::size_t>(Fault::kCount)> counts_{};
  std::uint64_t count_ = 0;  // promised
  std::uint64_t found_ = 0;  // all
};

}  // namespace gyre::history
