// The client library of Gyre: a thread-safe handle on a whole cluster.
//
//   auto client = gyre::client::Client::Connect({.seeds = {"127.0.0.1:7700"}});
//   if (!client) return Complain(client.error().message);
//   auto stored = client->Set("greeting", "hello");  // Result<bool>
//   if (!stored) return Complain(stored.error().message);
//   auto record = client->Get("greeting");           // Result<std::optional<Record>>
//   if (record && *record) Print((*record)->value);
//
// Every call that asks nodes has an asynchronous form, which returns at once. What the blocking one
// returns is the outcome of its Operation (gyre/operation.h): wait for it, leave a callback, or
// co_await it. Any number may be under way.
//
//   client->IncrAsync("visits").Then([](auto visits) { if (visits) Print(std::to_string(*visits)); });
//
// The client learns the ring from any seed and sends each request straight to the node that owns
// its key, over a few connections that all threads of the process share. One background thread does
// the I/O; requests of many callers leave in one write.
//
// What is promised
//  - Every call ends by its deadline (1 s unless said otherwise), with a value or an Error. Nothing
//    throws.
//  - Reads survive the death of a node: a lost link, a refusal or a slow answer sends the read to
//    the next holder.
//  - A write is sent again only if the first try surely was not carried out, or if doing it twice
//    equals doing it once (RetryPolicy::retry_idempotent_writes). Otherwise its fate is unknown,
//    and the error says so: kUnknownOutcome means "maybe done". kTimeout, kUnavailable,
//    kTooFewReplicas, kOverloaded and kCancelled mean "not done".
//  - Writes of one thread to one key are carried out in the order of the calls as long as no retry
//    happens; a caller that needs more waits for each reply.
//
// This is the header to include. With the three it includes, it needs C++20 and the standard library
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gyre/feed.h"
#include "gyre/operation.h"
#include "gyre/result.h"

namespace gyre::client {

// ---- Values ------------------------------------------------------------------------------------

// A stored record with its metadata.
struct Record {
  std::string value;
  std::uint32_t flags = 0;    // opaque, the application's
  std::uint64_t version = 0;  // grows with each write of the key; the token of CompareAndSet

  friend bool operator==(const Record&, const Record&) = default;
};

// What a node answered to Execute: a tree.
struct Value {
  enum class Kind : std::uint8_t {
    kNull,      // no such key, or a condition that was not met
    kWord,      // `text`: OK STORED NOT_STORED EXISTS NOT_FOUND DELETED TOUCHED PONG
    kText,      // `text`: a status line
    kBulk,      // `text`: bytes
    kInteger,   // `integer`
    kUnsigned,  // `unsigned_integer`
    kNumber,    // `number`
    kBoolean,   // `boolean`
    kError,     // `error`, `text`: only inside lists; at the top it is the call's Error
    kArray,     // `elements`
    kMap,       // `elements`: key, value, key, value, ...
    kSet,       // `elements`
    kRecord,    // `key`, `text` (the value), `flags`, `version`
  };

  Kind kind = Kind::kNull;
  ErrorCode error = ErrorCode::kInternal;
  bool boolean = false;
  std::uint32_t flags = 0;
  std::uint64_t version = 0;
  std::int64_t integer = 0;
  std::uint64_t unsigned_integer = 0;
  double number = 0;
  std::string text;
  std::string key;
  std::vector<Value> elements;

  bool is_null() const { return kind == Kind::kNull; }
  friend bool operator==(const Value&, const Value&) = default;
};

// ---- Options -----------------------------------------------------------------------------------

struct RetryPolicy {
  // Writes that give the same state when done twice (SET, DEL, EXPIRE, PERSIST, MSET: not INCR,
  // APPEND, nor anything with a condition) are sent again when the link breaks before the answer.
  // If another client writes the same key in that moment, the repetition may win over it. A
  // repeated DEL may report "was not there".
  bool retry_idempotent_writes = true;
  // Tries of one request, the first included; as a rule the deadline ends them. Between two rounds
  // through the nodes lies a pause, see below.
  std::uint32_t attempts_max = 1000;
  // A read without an answer for so long is asked of another holder as well; the first answer
  // counts. 0: never.
  Milliseconds hedge_after{100};
  // The pause once all holders refused, doubled for each round up to the maximum.
  Milliseconds backoff_min{10};
  Milliseconds backoff_max{100};
};

struct Options {
  // "host:port", "[::1]:port" or "host" (port 7700). One that answers is enough; name several.
  std::vector<std::string> seeds = {};
  // Establishing one TCP connection.
  Milliseconds connect_timeout{500};
  // Every call, retries included, unless CallOptions says otherwise. At least 1 ms.
  Milliseconds deadline{1000};
  // More help only where one TCP stream is the bottleneck (large values). At least 1, at most 64.
  std::uint32_t connections_per_node = 1;
  // Copies that must acknowledge each write; 0: as the nodes are configured (--write-acks). More than
  // the nodes keep (--replicas) is kInvalidArgument.
  std::uint32_t write_acks = 0;
  RetryPolicy retry = {};
  // Bytes of requests not yet answered. Above it, blocking calls wait and asynchronous ones fail
  // with kOverloaded. A single request of more is still let through when nothing else is in flight.
  std::size_t in_flight_bytes_max = std::size_t{64} << 20;
  // How often the ring is fetched when nothing else tells that it changed.
  Milliseconds ring_refresh_interval{10000};
};

// Of one call; 0: as in Options.
struct CallOptions {
  Milliseconds deadline{0};
  std::uint32_t write_acks = 0;
  // An asynchronous call waits for room in Options::in_flight_bytes_max as blocking ones do, before
  // it returns, instead of failing with kOverloaded. Not in a callback: kNotAllowed.
  bool wait_for_room = false;
};

struct SetOptions {
  enum class Condition : std::uint8_t { kAlways, kIfAbsent, kIfPresent };

  // 0: never expires. Together with flags, and in CompareAndSet, rounded up to whole seconds.
  Milliseconds ttl{0};
  // Keep the expiry that the record has; not together with ttl or flags, nor in CompareAndSet.
  bool keep_ttl = false;
  Condition condition = Condition::kAlways;
  std::uint32_t flags = 0;
};

struct TimeToLive {
  bool exists = false;
  std::optional<Milliseconds> left;  // nothing: never expires
};

struct KeyValue {
  std::string key;
  std::string value;
};

// A command's name and its arguments, any bytes.
using Command = std::vector<std::string>;

// One node of the ring as the client knows it.
struct NodeInfo {
  std::string id;  // UUID
  std::string name;
  std::string address;  // "host:port" of the native protocol
  std::string zone;
  std::string state;  // alive, suspect, dead, stopped, drained
  std::uint32_t weight = 1;
  std::uint32_t partitions_owned = 0;  // orders their writes
  std::uint32_t partitions_held = 0;   // has a copy, owned ones included
};

struct RingInfo {
  std::uint64_t digest = 0;  // changes whenever anything here does
  std::uint32_t partition_count = 0;
  std::uint32_t replicas = 0;  // copies of each key, the owner's included
  std::vector<NodeInfo> nodes;
};

// Where one key lives.
struct KeyLocation {
  std::uint32_t slot = 0;
  std::uint32_t partition = 0;
  std::vector<std::string> holders;  // addresses, the owner first
};

// Since Connect. Counters only grow.
struct Stats {
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t hedges = 0;  // reads asked of a second holder
  std::uint64_t unknown_outcomes = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t stale_replies = 0;  // a node had to forward: the ring had changed
  std::uint64_t ring_refreshes = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t in_flight_bytes = 0;  // gauge
};

// ---- The client --------------------------------------------------------------------------------

// Move-only. All methods may be called from any thread at once; moving and destroying may not run
// beside them. The destructor ends requests in flight with kClosed (kUnknownOutcome for writes
// already sent) and joins the I/O thread.
//
// A client that was moved from, or that a forked child has from its parent, answers every call with
// kNotAllowed (Ring, Locate and GetStats: with nothing); the child calls Connect for its own.
//
// Callbacks and coroutines run on the I/O thread: keep them short. Blocking calls made from one fail
// with kNotAllowed, because they would wait for themselves; asynchronous ones are welcome.
//
// Arguments are copied before a call returns. An asynchronous call of which nothing could be sent
// (kOverloaded, kClosed, kInvalidArgument, kTooLarge) is complete when it returns.
class Client {
 public:
  // Blocks until one seed told the ring, at most about connect_timeout + deadline. kCannotConnect
  // with the reason for each seed; kInvalidArgument for options that make no sense.
  static Result<Client> Connect(Options options);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // ---- One key --------------------------------------------------------------------------------

  // Nothing: no such key.
  Result<std::optional<Record>> Get(std::string_view key, const CallOptions& call = {});
  Operation<Result<std::optional<Record>>> GetAsync(std::string_view key,
                                                    const CallOptions& call = {});

  // False: the condition was not met, nothing changed.
  Result<bool> Set(std::string_view key, std::string_view value, const SetOptions& set = {},
                   const CallOptions& call = {});
  Operation<Result<bool>> SetAsync(std::string_view key, std::string_view value,
                                   const SetOptions& set = {}, const CallOptions& call = {});

  // Stores if the key's version is still `version` (Record::version). False: it changed, or the key
  // is gone.
  Result<bool> CompareAndSet(std::string_view key, std::string_view value, std::uint64_t version,
                             const SetOptions& set = {}, const CallOptions& call = {});
  Operation<Result<bool>> CompareAndSetAsync(std::string_view key, std::string_view value,
                                             std::uint64_t version, const SetOptions& set = {},
                                             const CallOptions& call = {});

  // False: no such key.
  Result<bool> Del(std::string_view key, const CallOptions& call = {});
  Operation<Result<bool>> DelAsync(std::string_view key, const CallOptions& call = {});

  Result<bool> Exists(std::string_view key, const CallOptions& call = {});
  Operation<Result<bool>> ExistsAsync(std::string_view key, const CallOptions& call = {});

  // Adds `delta` to an integer, 0 if there is none; gives the sum. kWrongType if it is not an
  // integer.
  Result<std::int64_t> Incr(std::string_view key, std::int64_t delta = 1,
                            const CallOptions& call = {});
  Operation<Result<std::int64_t>> IncrAsync(std::string_view key, std::int64_t delta = 1,
                                            const CallOptions& call = {});

  // Appends to the value, empty if there is none; gives its new length in bytes.
  Result<std::int64_t> Append(std::string_view key, std::string_view suffix,
                              const CallOptions& call = {});
  Operation<Result<std::int64_t>> AppendAsync(std::string_view key, std::string_view suffix,
                                              const CallOptions& call = {});

  // In bytes; 0: no such key.
  Result<std::int64_t> Strlen(std::string_view key, const CallOptions& call = {});
  Operation<Result<std::int64_t>> StrlenAsync(std::string_view key, const CallOptions& call = {});

  // False: no such key. `ttl` > 0.
  Result<bool> Expire(std::string_view key, Milliseconds ttl, const CallOptions& call = {});
  Operation<Result<bool>> ExpireAsync(std::string_view key, Milliseconds ttl,
                                      const CallOptions& call = {});

  // Removes the expiry. False: no such key, or it had none.
  Result<bool> Persist(std::string_view key, const CallOptions& call = {});
  Operation<Result<bool>> PersistAsync(std::string_view key, const CallOptions& call = {});

  // Marks the record as used, for eviction. False: no such key.
  Result<bool> Touch(std::string_view key, const CallOptions& call = {});
  Operation<Result<bool>> TouchAsync(std::string_view key, const CallOptions& call = {});

  Result<TimeToLive> Ttl(std::string_view key, const CallOptions& call = {});
  Operation<Result<TimeToLive>> TtlAsync(std::string_view key, const CallOptions& call = {});

  // ---- Any command ----------------------------------------------------------------------------

  // Runs a command as Redis spells it, e.g. {"GETRANGE", "key", "0", "9"}, at the owner of its
  // (first) key; commands without a key at a seed, else at any live node. Error replies are the
  // Result's Error.
  Result<Value> Execute(const Command& command, const CallOptions& call = {});
  Operation<Result<Value>> ExecuteAsync(const Command& command, const CallOptions& call = {});

  // The same at one node, "host:port", without retry: for operators.
  Result<Value> ExecuteOn(const std::string& address, const Command& command,
                          const CallOptions& call = {});
  Operation<Result<Value>> ExecuteOnAsync(const std::string& address, const Command& command,
                                          const CallOptions& call = {});

  // ---- Batches: many keys or commands at once -------------------------------------------------
  //
  // They leave together, to all their owners in parallel, and the deadline is that of the whole
  // batch. There is one result for each, in the order given; each is routed and retried for itself,
  // so that a failure costs only its own result. Where in_flight_bytes_max leaves no room, a
  // blocking batch waits for it; an asynchronous one fails from there on, with kOverloaded.

  std::vector<Result<std::optional<Record>>> MGet(const std::vector<std::string>& keys,
                                                  const CallOptions& call = {});
  Operation<std::vector<Result<std::optional<Record>>>> MGetAsync(
      const std::vector<std::string>& keys, const CallOptions& call = {});

  std::vector<Result<bool>> MSet(const std::vector<KeyValue>& entries, const SetOptions& set = {},
                                 const CallOptions& call = {});
  Operation<std::vector<Result<bool>>> MSetAsync(const std::vector<KeyValue>& entries,
                                                 const SetOptions& set = {},
                                                 const CallOptions& call = {});

  std::vector<Result<bool>> MDel(const std::vector<std::string>& keys,
                                 const CallOptions& call = {});
  Operation<std::vector<Result<bool>>> MDelAsync(const std::vector<std::string>& keys,
                                                 const CallOptions& call = {});

  // A pipeline. Commands of one key are carried out in the order given as long as no retry happens
  // (a read may then overtake a write that waits for a silent node); those of different keys in any
  // order. One that fails does not stop those behind it.
  std::vector<Result<Value>> ExecuteMany(const std::vector<Command>& commands,
                                         const CallOptions& call = {});
  Operation<std::vector<Result<Value>>> ExecuteManyAsync(const std::vector<Command>& commands,
                                                         const CallOptions& call = {});

  // ---- The cluster ----------------------------------------------------------------------------

  // As last learned; costs no request.
  RingInfo Ring() const;
  KeyLocation Locate(std::string_view key) const;
  // Fetches the ring now.
  Result<RingInfo> RefreshRing(const CallOptions& call = {});
  Operation<Result<RingInfo>> RefreshRingAsync(const CallOptions& call = {});
  Stats GetStats() const;
  // The changes of all keys, from now on or from a cursor (gyre/feed.h). Blocks until each partition is
  // read; kUnavailable if that takes longer than options.open_within. kInvalidArgument: a cursor of
  // another cluster, or none. It has connections of its own.
  Result<Feed> Watch(const FeedOptions& options = {}) const;
  // Ends all requests that are in flight: kCancelled, or kUnknownOutcome for writes already sent. May
  // be called from a signal handler.
  void CancelAll();

 private:
  class Impl;
  explicit Client(std::shared_ptr<Impl> impl);
  // One that is unusable where there is none.
  Impl& impl() const;

  std::shared_ptr<Impl> impl_;
};

}  // namespace gyre::client
