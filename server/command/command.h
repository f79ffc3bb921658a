// A command is a row: name, arity, flags, key positions, handler. Three kinds of handler:
//
//   keyed   acts on one record (or one partition) under its shard's lock, on the node that owns it.
//           It never sees forwarding, replication or waiting: it reads or writes the shard and says
//           what it found.
//   folded  a keyed handler for each of several keys, whose replies are combined by `fold`. The
//           keys may live on different nodes.
//   plain   anything else: the connection, this node, the cluster as a whole.
//
// A new command is one row, one function, one test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gyre {

using Arguments = std::span<const std::string_view>;

struct KeyedCall;  // keyed_call.h
using KeyedHandler = void (*)(KeyedCall& call);

struct PlainCall;  // plain_call.h
using PlainHandler = void (*)(PlainCall& call);

enum CommandFlag : std::uint32_t {
  kReadOnly = 1U << 0,
  kWrite = 1U << 1,
  // Sent twice, it leaves the same state and the same kind of answer as sent once.
  kRepeatable = 1U << 2,
  // But not with an option that makes the second answer differ (NX, XX, GT, LT, GET).
  kUnlessConditional = 1U << 3,
  kFast = 1U << 4,            // O(1), as COMMAND says
  kAdministrative = 1U << 5,  // "admin" of COMMAND
  kStale = 1U << 6,           // needs no data: "loading", "stale" of COMMAND
  // Between nodes and memcached clients; RESP clients do not see it.
  kHidden = 1U << 7,
  // Only nodes may say it to each other, on links that proved to be a member's (Session::peer).
  kInternal = 1U << 8,
  // Its keys are partition numbers in decimal.
  kPartitionKeys = 1U << 9,
  // The operator's: on the native port alone.
  kNativeOnly = 1U << 10,
  // Admitted after a SELECT that was refused.
  kAnyDatabase = 1U << 11,
};

// How the replies for several keys become one.
enum class Fold : std::uint8_t {
  kNone,    // one key
  kSum,     // integers: their sum
  kArray,   // one element a key, in order
  kConcat,  // lists: one list of all their elements
  kAllOk,   // OK once all are
  kAtomic,  // MSETNX: all or none, so all keys on one node; 1 or 0
};

// Positions of keys in the arguments, as COMMAND has them: `first` is 0 where there is none, `last`
// counts from the end where it is negative.
struct KeyPositions {
  std::uint8_t first = 0;
  std::int8_t last = 0;
  std::uint8_t step = 0;
};
inline constexpr KeyPositions kNoKey{0, 0, 0};
inline constexpr KeyPositions kFirstArgument{1, 1, 1};
inline constexpr KeyPositions kAllArguments{1, -1, 1};

struct Command {
  std::string_view name;  // lower case
  // Arguments, the name included: exactly so many, or at least -arity.
  std::int16_t arity = 0;
  std::uint32_t flags = 0;
  KeyPositions keys;
  std::string_view group;    // as in COMMAND DOCS: "string", "generic", "server", ...
  std::string_view since;    // the Redis version that introduced it; "gyre" for our own
  std::string_view summary;  // one line
  KeyedHandler keyed = nullptr;
  PlainHandler plain = nullptr;
  Fold fold = Fold::kNone;
  std::uint16_t index = 0;  // in the table; set by it

  bool Is(CommandFlag flag) const { return (flags & flag) != 0; }
  bool AcceptsCount(std::size_t argument_count) const {
    const auto count = static_cast<std::ptrdiff_t>(argument_count);
    return arity >= 0 ? count == arity : count >= -arity;
  }
};

}  // namespace gyre
