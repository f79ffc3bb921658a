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
  kOther,        // whatever else the caller judges: two owners, for example
  kCount,
};
std::string_view NameOf(Fault fault);

struct Violation {
  Fault fault = Fault::kOther;
  std::string key;
  std::string text;  // says all of it, the key included
};

// All are counted, the first are kept.
class Violations {
 public:
  static constexpr std::size_t kKept = 20;

  void Add(Fault fault, std::string key, std::string text);
  // Adds `note` to the texts of those since there were `since`.
  void Annotate(std::uint64_t since, const std::string& note);
  const std::vector<Violation>& kept() const { return kept_; }
  bool empty() const { return count_ == 0; }
  std::uint64_t count() const { return count_; }
  std::uint64_t count(Fault fault) const { return counts_[static_cast<std::size_t>(fault)]; }
  // One line each, and how many were not kept; empty if there is none.
  std::string Report() const;

 private:
  std::vector<Violation> kept_;
  std::array<std::uint64_t, static_cast<std::size_t>(Fault::kCount)> counts_{};
  std::uint64_t count_ = 0;
};

}  // namespace gyre::history
