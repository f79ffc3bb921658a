// One line of a recorded history, as JSON. Example:
//
//   {"event":"issue","kind":"set","client":3,"key":"k7","number":8,"start":10}
//   {"event":"ack","kind":"set","client":3,"key":"k7","number":8,"start":10,"end":18}
//   {"event":"read","kind":"get","client":4,"key":"k7","number":8,"start":20,"end":21,"final":true}
//
// The fields:
//   event     issue, ack, unknown, refuse: a write began, was acknowledged, has an outcome that
//             nobody knows, or did nothing; read: a read was answered (reads without an answer are
//             not recorded); late: see Registers; cut, heal: from the one to the other an owner
//             may change without a handover (streams.h); they have a start and no more, but for
//   divided   cut: the network is cut so that each side may have an owner, and nobody promises more
//             than that the newer version is left once all is whole
//   kind      set, delete: a register. incr: a counter, by one. cas: a key changed by
//             compare-and-swap. get
//   client    who; one client does one thing at a time
//   number    names the operation. set, delete: rising for each key, and what is stored. cas: the
//             value stored, unique for each key. incr: unique for each client and key. read: the
//             value read, left out if missing
//   token     cas: the token that is swapped, 0 or left out to create the key. read: the token that
//             came with it
//   previous  cas: the value that was read with the token
//   result    ack of an incr: the answer
//   start     microseconds of one clock for the whole file
//   end       likewise; left out in an issue
//   final     read: after all writes ended and the cluster healed
//   partition set, delete: whose stream the key is in
//   group     set, delete: all that one command wrote has the same, which nothing else has. read:
//             likewise, all that one command read in one step. 0 or left out: alone
//   note      anything, for people: which node answered, what was just killed
//
// A line of an outcome says all of the operation, so the line of the issue may be left out; without
// an outcome line the outcome is unknown. Lines need not be in the order of time.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

namespace gyre::history {

enum class What : std::uint8_t { kIssue, kAck, kUnknown, kRefuse, kRead, kLate, kCut, kHeal };
enum class Kind : std::uint8_t { kGet, kSet, kDelete, kIncrement, kSwap };

struct Event {
  What what = What::kIssue;
  Kind kind = Kind::kSet;
  std::uint32_t client = 0;
  std::string key;
  std::optional<std::uint64_t> number;
  std::uint64_t token = 0;
  std::uint64_t previous = 0;
  std::uint64_t result = 0;
  std::int64_t start = 0;
  std::int64_t end = 0;
  bool is_final = false;
  bool is_divided = false;
  std::string note;
  std::optional<std::uint32_t> partition = std::nullopt;
  std::uint64_t group = 0;

  bool is_cut() const { return what == What::kCut || what == What::kHeal; }
  bool operator==(const Event&) const = default;
};

// Without the line's end.
std::string ToLine(const Event& event);
// Empty and `error` says why if the line is none.
std::optional<Event> FromLine(const std::string& line, std::string& error);

// Reads all lines; empty lines are skipped. Empty and `error` names the line if one is malformed.
std::optional<std::vector<Event>> ReadEvents(std::istream& in, std::string& error);

}  // namespace gyre::history
