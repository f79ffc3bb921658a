// Keys that many clients change by compare-and-swap: each read gives a value and its token, a swap
// names the token and the value that it was read with, and wins only if nobody changed the key
// since. The first value is created by a swap of token 0 ("add": only if there is none). Keys are
// never deleted.
//
// Every value is written at most once, so the values form a tree by "was swapped for", in which at
// most one child of each value may be a winner:
//   - of the swaps of one token at most one is acknowledged;
//   - a value that is read was issued and not refused, and has one token;
//   - the final value descends from every acknowledged swap (those of unknown outcome may stand
//   between).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "history/violation.h"

namespace gyre::history {

class Tokens {
 public:
  explicit Tokens(Violations& violations) : violations_(violations) {}

  // `number`: the new value, > 0, never used before for the key. `previous`: the value that was
  // read with `token`; 0 for none.
  void Issue(const std::string& key, std::uint64_t number, std::uint64_t previous,
             std::uint64_t token);
  std::uint64_t NextNumber(const std::string& key) { return keys_[key].issued + 1; }
  void Acknowledge(const std::string& key, std::uint64_t number, const std::string& when);
  // It lost the race, or nothing was done.
  void Refuse(const std::string& key, std::uint64_t number);

  // How many acknowledged swaps the value read must have behind it.
  std::uint64_t Floor(const std::string& key) const;
  void Judge(const std::string& key, std::uint64_t floor, std::optional<std::uint64_t> read,
             std::uint64_t token, bool is_final, const std::string& when);

 private:
  enum class State : std::uint8_t { kUnknown, kAcknowledged, kRefused };
  struct Swap {
    std::uint64_t previous = 0;
    std::uint64_t token = 0;
    std::uint64_t depth = 0;  // swaps from nothing to this value
    State state = State::kUnknown;
  };
  struct Chain {
    std::uint64_t issued = 0;  // the highest number
    std::uint64_t depth = 0;   // of the deepest acknowledged swap
    std::uint64_t acknowledged = 0;
    std::map<std::uint64_t, Swap> swaps;               // by number
    std::map<std::uint64_t, std::uint64_t> winners;    // token -> number
    std::map<std::uint64_t, std::uint64_t> token_of;   // number -> token
    std::map<std::uint64_t, std::uint64_t> number_of;  // token -> number
    std::optional<std::uint64_t> final;
    std::uint64_t final_issued = 0;
  };

  void NoteToken(const std::string& key, Chain& chain, std::uint64_t number, std::uint64_t token,
                 const std::string& when);
  void JudgeDescent(const std::string& key, const Chain& chain, std::uint64_t number,
                    const std::string& when);

  Violations& violations_;
  std::map<std::string, Chain> keys_;
};

}  // namespace gyre::history
