// What a command is called, takes and means: one row for all who must agree on it. A node binds a
// handler to each row and answers COMMAND from it; the client library finds the key there, and what
// may be sent again.
//
// The rows stand in command_rows.h: a container's (OBJECT) with its subcommands' (OBJECT ENCODING)
// behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gyre {

// A word in quotes is what COMMAND says of it.
enum CommandFlag : std::uint32_t {
  // What it changes; at most one of the three. A command that has none of them changes something
  // else than records: its connection, the node, the cluster.
  kReadOnly = 1U << 0,  // "readonly": nothing, it is about records
  kWrite = 1U << 1,     // "write": records
  kInquiry = 1U << 2,   // nothing, it is about a connection, the node, the cluster

  kDenyOom = 1U << 3,         // "denyoom": it may need more memory
  kAdministrative = 1U << 4,  // "admin"
  kNoScript = 1U << 5,        // "noscript"
  kLoading = 1U << 6,         // "loading": also while the data is loaded
  kStale = 1U << 7,           // "stale": also by a replica that lost its primary
  kFast = 1U << 8,            // "fast": O(1)
  kNoAuth = 1U << 9,          // "no_auth": before AUTH
  kAllowBusy = 1U << 10,      // "allow_busy": while a script runs

  // Between nodes and memcached clients; RESP clients do not see it.
  kHidden = 1U << 11,
  // Only nodes may say it to each other, on links that proved to be a member's (Session::peer).
  kInternal = 1U << 12,
  // Its keys are partition numbers in decimal.
  kPartitionKeys = 1U << 13,
  // The operator's: on the native port alone.
  kNativeOnly = 1U << 14,
  // Admitted after a SELECT that was refused.
  kAnyDatabase = 1U << 15,
  // From then on its connection is sent to without a request: not for one that others share.
  kSubscribes = 1U << 16,
};

// "@keyspace", ... of ACLs, in Redis's order.
enum AclCategory : std::uint32_t {
  kAclKeyspace = 1U << 0,
  kAclRead = 1U << 1,
  kAclWrite = 1U << 2,
  kAclString = 1U << 3,
  kAclAdmin = 1U << 4,
  kAclFast = 1U << 5,
  kAclSlow = 1U << 6,
  kAclDangerous = 1U << 7,
  kAclConnection = 1U << 8,
};

// Positions of keys in the arguments, as COMMAND has them: `first` is 0 where there is none, `last`
// counts from the end where it is negative.
struct KeyPositions {
  std::uint8_t first = 0;
  std::int8_t last = 0;
  std::uint8_t step = 0;
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

// What comes of doing it twice, for those who do not know whether it was done once: the link broke
// before the answer.
//
// No harm is done where the state is then that of once, and the second answer says at worst that
// nothing was left to do (DEL: 0). Harm is done where the state differs (INCR), or where the second
// answer denies what the first time did: that a condition was met (SET NX), that a value was there to
// be handed out (GETDEL).
struct Repeat {
  enum class Harm : std::uint8_t { kAlways, kNever, kWithOption };

  Harm harm = Harm::kAlways;
  // kWithOption: where its options begin (before them a word is data), and those that do the harm:
  // "NX XX".
  std::uint8_t first_option = 0;
  std::string_view options;
};

// What COMMAND and HELP say beyond that.
struct CommandDocs {
  std::string_view group;        // as in COMMAND DOCS: "string", "generic", "server", ...
  std::string_view since;        // the Redis version that introduced it; "gyre" for our own
  std::string_view summary;      // one line
  std::uint32_t categories = 0;  // beyond those that the flags imply: see AclCategoriesOf
  // What becomes of its keys, in Redis's words: RO, RW, OW (overwritten) or RM (removed); whether the
  // value is handed out (access), and changed how (update, insert, delete). "RW access update".
  std::string_view key_access;
  std::string_view tips;       // for proxies: "request_policy:all_shards"
  std::string_view arguments;  // of a subcommand, as HELP shows them: "<name> <value>..."
};

struct CommandRow {
  std::string_view name;  // lower case; of a subcommand "object|encoding"
  // Arguments, the name included: exactly so many, or at least -arity.
  std::int16_t arity = 0;
  std::uint32_t flags = 0;
  KeyPositions keys;
  Fold fold = Fold::kNone;
  Repeat repeat;
  CommandDocs docs;

  constexpr bool Is(CommandFlag flag) const { return (flags & flag) != 0; }
  constexpr bool ChangesNothing() const { return (flags & (kReadOnly | kInquiry)) != 0; }
  constexpr bool IsSubcommand() const { return name.find('|') != std::string_view::npos; }
  constexpr bool AcceptsCount(std::size_t argument_count) const {
    const auto count = static_cast<std::ptrdiff_t>(argument_count);
    return arity >= 0 ? count == arity : count >= -arity;
  }
};

// The place of a row among CommandRows().
using RowIndex = std::uint16_t;
inline constexpr RowIndex kNoRow = 0xffff;

std::span<const CommandRow> CommandRows();

// Names and words are in any case. kNoRow: there is none of that name.
RowIndex FindCommandRow(std::string_view name);
RowIndex FindSubcommandRow(RowIndex command, std::string_view word);
// So many rows behind the command's are its subcommands'.
std::size_t CountSubcommandRows(RowIndex command);

// The row of a whole request, its name first: the subcommand's where the command is a container and
// has an argument. Null: there is no such command, here; a newer node may know it.
const CommandRow* FindRequestRow(std::span<const std::string_view> args);

std::uint32_t AclCategoriesOf(const CommandRow& row);

// Whether a request may be sent again when it is not known if it was carried out. `row` is its row.
bool MayRepeat(const CommandRow& row, std::span<const std::string_view> args);

}  // namespace gyre
