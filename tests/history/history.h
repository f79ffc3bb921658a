// What clients did and what they were told, judged as it happens; and, if wanted, recorded.
//
//   const Operation write = history.Begin({Kind::kSet, client, key}, now);
//   ... history.Acknowledge(write, now);   or Unknown, Refuse
//   const Read read = history.BeginRead(client, key, now);
//   ... history.EndRead(read, value, now);
//
// The first operation on a key says what the key is: a register, a counter or a key of swaps. Calls
// come in the order in which things happen; not from two threads at once. Recorded histories are
// judged by judge.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "history/counters.h"
#include "history/event.h"
#include "history/registers.h"
#include "history/tokens.h"
#include "history/violation.h"

namespace gyre::history {

struct Operation {
  Kind kind = Kind::kSet;
  std::uint32_t client = 0;
  std::string key;
  std::uint64_t number = 0;    // 0: Begin gives the next
  std::uint64_t token = 0;     // swaps: what was read before
  std::uint64_t previous = 0;  // likewise
  std::int64_t start = 0;
};
struct Read {
  std::uint32_t client = 0;
  std::string key;
  std::uint64_t floor = 0;
  std::int64_t start = 0;
};
struct ReadValue {
  std::optional<std::uint64_t> number;  // empty: missing
  std::uint64_t token = 0;              // if it is known
};

class History {
 public:
  History() = default;
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Gets each event, to record it (ToLine).
  void set_sink(std::function<void(const Event&)> sink) { sink_ = std::move(sink); }

  // Before all else: registers may vanish, because the cache evicts.
  void AllowMisses() { registers_.AllowMisses(); }

  // ---- What happens; times are microseconds ----
  Operation Begin(Operation operation, std::int64_t now);
  void Acknowledge(const Operation& operation, std::int64_t now, std::uint64_t result = 0);
  void Unknown(const Operation& operation, std::int64_t now);
  void Refuse(const Operation& operation, std::int64_t now);  // nothing was done
  // An operation of unknown outcome was executed after its client had gone on: it may overtake
  // newer ones.
  void ExecutedLate(const Operation& operation, std::int64_t now);

  Read BeginRead(std::uint32_t client, const std::string& key, std::int64_t now) const;
  // `note` words the circumstances; it is called only for a violation or a record.
  void EndRead(const Read& read, const ReadValue& value, std::int64_t now,
               const std::function<std::string()>& note = nullptr, bool is_final = false);
  // Another invariant does not hold.
  void Violate(Fault fault, const std::string& key, std::string what);

  // ---- What came of it ----
  const Violations& violations() const { return violations_; }
  std::string Report() const { return violations_.Report(); }
  std::vector<std::string> keys() const;
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t unknown() const { return unknown_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t reads() const { return reads_; }

 private:
  enum class Sort : std::uint8_t { kRegister, kCounter, kSwaps };
  static Sort SortOf(Kind kind);
  void Tell(What what, const Operation& operation, std::int64_t now, std::uint64_t result = 0);

  std::function<void(const Event&)> sink_;
  Violations violations_;
  std::map<std::string, Sort> sorts_;
  Registers registers_{violations_};
  Counters counters_{violations_};
  Tokens tokens_{violations_};
  std::uint64_t next_increment_ = 1;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t unknown_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t reads_ = 0;
};

}  // namespace gyre::history
