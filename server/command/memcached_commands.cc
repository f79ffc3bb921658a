#include "command/memcached_commands.h"

#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/plain_call.h"
#include "command/record_reply.h"
#include "command/scan_commands.h"
#include "command/version.h"

namespace gyre {
namespace memcached_commands {
namespace {

Error BadFormat() { return {ErrorCode::kInvalidArgument, "bad command line format"}; }

// ---- Retrieval ----------------------------------------------------------------------------------

void Get(KeyedCall& call) { SayRecordOrNull(call.Find(), call.reply); }

// mc.gat exptime key...
void GetAndTouch(KeyedCall& call) {
  const std::optional<UnixMillis> expiry = ParseMemcachedExpiry(call.arg(1), call.now);
  if (!expiry) return call.Fail(ErrorCode::kInvalidArgument, "invalid exptime argument");
  // Counted as a touch, as in memcached.
  SayAndExpire(call, call.FindToChange(), *expiry);
}

// ---- Storage: name key flags exptime [token] data -----------------------------------------------

struct Item {
  std::uint32_t flags = 0;
  UnixMillis expiry_ms = kNeverExpires;
  std::string_view data;
};

std::optional<Item> ReadItem(const KeyedCall& call) {
  const std::optional<std::uint64_t> flags = ParseLenientUnsigned(call.arg(2));
  const std::optional<UnixMillis> expiry = ParseMemcachedExpiry(call.arg(3), call.now);
  if (!flags || !expiry) return std::nullopt;
  // Flags of more than 32 bits lose the upper ones, as in memcached.
  return Item{static_cast<std::uint32_t>(*flags), *expiry, call.args.back()};
}

void StoreItem(KeyedCall& call, const Item& item) {
  if (call.Store(item.data, item.expiry_ms, item.flags)) call.reply.Word(Outcome::kStored);
}

Error ObjectTooLarge() { return {ErrorCode::kTooLarge, "object too large for cache"}; }

// A refused set leaves nothing: the client believes that the old value is replaced.
void Set(KeyedCall& call) {
  const std::optional<Item> item = ReadItem(call);
  if (!item) return call.Fail(BadFormat());
  StoreItem(call, *item);
  if (call.error) call.Remove();
}

// mc.refused key: a set whose data is over --max-value, and was not read.
void Refused(KeyedCall& call) {
  call.Remove();
  call.Fail(ObjectTooLarge());
}

void StoreIf(KeyedCall& call, bool wanted_present) {
  const std::optional<Item> item = ReadItem(call);
  if (!item) return call.Fail(BadFormat());
  const bool present(call.FindToChange());
  if (present != wanted_present) return call.reply.Word(Outcome::kNotStored);
  StoreItem(call, *item);
}
void Add(KeyedCall& call) { StoreIf(call, false); }
void Replace(KeyedCall& call) { StoreIf(call, true); }

// Flags and expiry stay those of the old value.
void Join(KeyedCall& call, bool in_front) {
  const std::optional<Item> item = ReadItem(call);
  if (!item) return call.Fail(BadFormat());
  const RecordView old = call.FindToChange();
  if (!old) return call.reply.Word(Outcome::kNotStored);
  if (old.value_bytes() + item->data.size() > call.value_bytes_max) {
    return call.Fail(ObjectTooLarge());
  }
  if (in_front) call.scratch.Append(item->data);
  old.AppendValueTo(call.scratch);
  if (!in_front) call.scratch.Append(item->data);
  if (call.Store(call.scratch.view(), old.expiry_ms(), old.flags())) {
    call.reply.Word(Outcome::kStored);
  }
}
void Append(KeyedCall& call) { Join(call, false); }
void Prepend(KeyedCall& call) { Join(call, true); }

void CompareAndStore(KeyedCall& call) {
  const std::optional<Item> item = ReadItem(call);
  const std::optional<std::uint64_t> token = ParseLenientUnsigned(call.arg(4));
  if (!item || !token) return call.Fail(BadFormat());
  const RecordView old = call.FindToChange();
  if (!old) return call.reply.Word(Outcome::kNotFound);
  if (old.version() != *token) {
    call.sought = Sought::kMismatched;
    return call.reply.Word(Outcome::kExists);
  }
  StoreItem(call, *item);
}

// ---- Others on one key --------------------------------------------------------------------------

void Delete(KeyedCall& call) {
  call.reply.Word(call.Remove() ? Outcome::kDeleted : Outcome::kNotFound);
}

// Unsigned 64 bits: incr wraps around, decr stops at 0.
void Change(KeyedCall& call, bool up) {
  const std::optional<std::uint64_t> delta = ParseLenientUnsigned(call.arg(2));
  if (!delta) return call.Fail(ErrorCode::kInvalidArgument, "invalid numeric delta argument");
  const RecordView record = call.FindToChange();
  if (!record) return call.reply.Word(Outcome::kNotFound);
  const std::optional<std::uint64_t> old =
      record.is_contiguous() ? ParseLenientUnsigned(record.value()) : std::nullopt;
  if (!old) {
    return call.Fail(ErrorCode::kWrongType, "cannot increment or decrement non-numeric value");
  }
  const std::uint64_t lowered = *delta > *old ? 0 : *old - *delta;
  const std::uint64_t number = up ? *old + *delta : lowered;
  std::array<char, 24> text;
  const char* const end = std::to_chars(text.begin(), text.end(), number).ptr;
  if (call.Store({text.data(), static_cast<std::size_t>(end - text.data())}, record.expiry_ms(),
                 record.flags())) {
    call.reply.Unsigned(number);
  }
}
void Increment(KeyedCall& call) { Change(call, true); }
void Decrement(KeyedCall& call) { Change(call, false); }

void Touch(KeyedCall& call) {
  const std::optional<UnixMillis> expiry = ParseMemcachedExpiry(call.arg(2), call.now);
  if (!expiry) return call.Fail(ErrorCode::kInvalidArgument, "invalid exptime argument");
  if (*expiry != kNeverExpires && *expiry <= call.now) {
    return call.reply.Word(call.Remove() ? Outcome::kTouched : Outcome::kNotFound);
  }
  if (!call.FindToChange()) return call.reply.Word(Outcome::kNotFound);
  if (call.SetExpiry(*expiry)) call.reply.Word(Outcome::kTouched);
}

// ---- The server ---------------------------------------------------------------------------------

// With a delay, what is older at that moment is void from then on: this node's timer sees to it,
// unless another flush came in between. A later one replaces it.
void FlushAll(PlainCall& call) {
  const UnixMillis now = call.context().now();
  Engine& engine = call.services().engine;
  const std::uint64_t order = engine.OrderFlush();
  const auto moment = call.argument_count() > 1 ? ParseMemcachedExpiry(call.arg(1), now)
                                                : std::optional<UnixMillis>(kNeverExpires);
  if (!moment) return call.Fail(BadFormat());
  if (*moment <= now) return FlushCluster(call);  // no delay: kNeverExpires is 0
  Router& router = call.router;
  router.context().Later(std::chrono::milliseconds(*moment - now), [&router, &engine, order, now] {
    if (engine.IsNewestFlush(order)) FlushClusterUnlessSince(router, now);
  });
  call.reply().Word(Outcome::kOk);
}

void Stats(PlainCall& call) {
  const std::string_view argument = call.argument_count() > 1 ? call.arg(1) : std::string_view();
  NodeReport& report = call.services().report;
  if (argument == "reset") {
    report.ResetStats();
    return call.reply().Text("RESET");
  }
  const std::optional<Fields> known = report.MemcachedStats(argument);
  if (!known) return call.Fail(ErrorCode::kUnknownCommand, "unknown argument");
  const Fields& fields = *known;
  call.reply().BeginList(ListShape::kMap, fields.size());
  for (const auto& [name, value] : fields) {
    call.reply().Bulk(name);
    call.reply().Bulk(value);
  }
  call.reply().EndList();
}

void Version(PlainCall& call) {
  call.reply().Text("VERSION " + std::string(kMemcachedVersion) + " gyre");
}
// Its levels do not map to ours: CONFIG SET log-level does it.
void Verbosity(PlainCall& call) { call.reply().Word(Outcome::kOk); }
void Quit(PlainCall& call) {
  call.session.close_after_reply = true;
  call.reply().Word(Outcome::kOk);  // the codec knows that quit has no reply
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("mc.get", Get),
    Bind("mc.gets", Get),
    Bind("mc.gat", GetAndTouch),
    Bind("mc.gats", GetAndTouch),
    Bind("mc.set", Set),
    Bind("mc.refused", Refused),
    Bind("mc.add", Add),
    Bind("mc.replace", Replace),
    Bind("mc.append", Append),
    Bind("mc.prepend", Prepend),
    Bind("mc.cas", CompareAndStore),
    Bind("mc.delete", Delete),
    Bind("mc.incr", Increment),
    Bind("mc.decr", Decrement),
    Bind("mc.touch", Touch),
    Bind("mc.flush_all", FlushAll),
    Bind("mc.stats", Stats),
    Bind("mc.version", Version),
    Bind("mc.verbosity", Verbosity),
    Bind("mc.quit", Quit),
};
// clang-format on

}  // namespace
}  // namespace memcached_commands

std::span<const Binding> MemcachedCommands() { return memcached_commands::kBindings; }

}  // namespace gyre
