// What clients did and what they were told, judged as it happens; and, if wanted, recorded.
//
//   const Operation write = history.Begin({Kind::kSet, client, key}, now);
//   ... history.Acknowledge(write, now);   or Unknown, Refuse
//   const Read read = history.BeginRead(client, key, now);
//   ... history.EndRead(read, value, now);
//
// A command that writes several keys is an Operation of each, with one `group`; one that reads
// several is a Read of each, with one `snapshot`. Where something breaks, say so (BeginCut).
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
#include "history/streams.h"
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
  std::optional<std::uint32_t> partition = std::nullopt;  // registers: whose stream it is in
  std::uint64_t group = 0;                                // registers: of one command; 0: alone
  std::string note = {};                                  // why it failed, for people
};
struct Read {
  std::uint32_t client = 0;
  std::string key;
  std::uint64_t floor = 0;
  std::int64_t start = 0;
  std::uint64_t snapshot = 0;  // of one step; 0: alone
  Streams::Before before = {};
};
struct ReadValue {
  std::optional<std::uint64_t> number;  // empty: missing
  std::uint64_t token = 0;              // if it is known
};

// What breaks in a cut.
enum class Cut : std::uint8_t {
  kSuccession,  // an owner may be followed by another
  // The network is cut, and each side may have an owner that goes on (no --consistency majority). A read
  // shows what the side has that it got to, until the sides have met, record by record. Reads that have
  // ended by then are held to nothing but that what they show was written.
  kDivided,
};

// What the system under test promises.
struct Promise {
  Level level = Level::kRecords;
  // What was acknowledged outlasts a cut (--write-acks 2 and more). Else the last of it may be lost
  // there; at Level::kStream only the end of each stream.
  bool durable = true;
  // A read never shows less than was acknowledged before it began. Else only final reads do not: a
  // copy that stands in for its owner may be behind.
  bool fresh = true;
};

class History {
 public:
  explicit History(const Promise& promise = {}) : promise_(promise), violations_(promise.level) {}
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Gets each event, to record it (ToLine).
  void set_sink(std::function<void(const Event&)> sink) { sink_ = std::move(sink); }

  // Before all else: registers may vanish, because the cache evicts.
  void AllowMisses() {
    registers_.AllowMisses();
    streams_.AllowMisses();
  }

  // ---- What happens; times are microseconds ----
  Operation Begin(Operation operation, std::int64_t now);
  void Acknowledge(const Operation& operation, std::int64_t now, std::uint64_t result = 0);
  void Unknown(const Operation& operation, std::int64_t now);
  void Refuse(const Operation& operation, std::int64_t now);  // nothing was done
  // An operation of unknown outcome was executed after its client had gone on: it may overtake
  // newer ones.
  void ExecutedLate(const Operation& operation, std::int64_t now);

  // From here on until EndCut an owner may change without a handover: a node dies, sleeps or is cut
  // off, and is not yet replaced.
  void BeginCut(std::int64_t now, Cut cut = Cut::kSuccession);
  void EndCut(std::int64_t now);

  Read BeginRead(std::uint32_t client, const std::string& key, std::int64_t now,
                 std::uint64_t snapshot = 0) const;
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
  const Streams& streams() const { return streams_; }
  // What was checked beside keys by themselves: cuts, groups, what was seen to outlast a cut.
  std::string Checked() const;

 private:
  enum class Sort : std::uint8_t { kRegister, kCounter, kSwaps };
  static Sort SortOf(Kind kind);
  void Tell(What what, const Operation& operation, std::int64_t now, std::uint64_t result = 0);
  void TellCut(What what, std::int64_t now, Cut cut = Cut::kSuccession);
  void JudgeRegister(const Read& read, const ReadValue& value, std::int64_t now, bool is_final,
                     const std::string& when);

  const Promise promise_;
  Cut cut_ = Cut::kSuccession;  // the newest one
  std::function<void(const Event&)> sink_;
  Violations violations_;
  std::map<std::string, Sort> sorts_;
  Registers registers_{violations_};
  Streams streams_{violations_};
  Counters counters_{violations_};
  Tokens tokens_{violations_};
  std::uint64_t next_increment_ = 1;
  std::uint64_t writes_ = 0;  // registers: begun
  std::uint64_t acknowledged_ = 0;
  std::uint64_t unknown_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t reads_ = 0;
};

}  // namespace gyre::history
