#include "command/key_commands.h"

#include <optional>
#include <string>
#include <utility>

#include "command/arguments.h"
#include "command/command_table.h"
#include "command/expiry_argument.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/plain_call.h"
#include "command/subcommands.h"

namespace gyre {
namespace key_commands {
namespace {

constexpr std::size_t kEmbeddedStringMax = 44;  // above it Redis calls a string "raw"

void Delete(KeyedCall& call) { call.reply.Integer(call.Remove() ? 1 : 0); }

void Touch(KeyedCall& call) { call.reply.Integer(call.Find() ? 1 : 0); }
void Exists(KeyedCall& call) { call.reply.Integer(call.Inspect() ? 1 : 0); }

void Type(KeyedCall& call) { call.reply.Text(call.Inspect() ? "string" : "none"); }

// ---- EXPIRE and its kin -------------------------------------------------------------------------

struct ExpireConditions {
  bool if_none = false;    // NX
  bool if_some = false;    // XX
  bool if_later = false;   // GT; no expiry counts as infinitely late
  bool if_sooner = false;  // LT
};

Result<ExpireConditions> ParseConditions(const KeyedCall& call) {
  ExpireConditions conditions;
  for (std::size_t i = 3; i < call.args.size(); ++i) {
    const std::string_view word = call.arg(i);
    if (IsWord(word, "NX")) {
      conditions.if_none = true;
    } else if (IsWord(word, "XX")) {
      conditions.if_some = true;
    } else if (IsWord(word, "GT")) {
      conditions.if_later = true;
    } else if (IsWord(word, "LT")) {
      conditions.if_sooner = true;
    } else {
      return Fail(ErrorCode::kInvalidArgument, "Unsupported option " + std::string(word));
    }
  }
  if (conditions.if_none && (conditions.if_some || conditions.if_later || conditions.if_sooner)) {
    return Fail(ErrorCode::kInvalidArgument,
                "NX and XX, GT or LT options at the same time are not compatible");
  }
  if (conditions.if_later && conditions.if_sooner) {
    return Fail(ErrorCode::kInvalidArgument,
                "GT and LT options at the same time are not compatible");
  }
  return conditions;
}

bool Admits(const ExpireConditions& conditions, UnixMillis old, UnixMillis wanted) {
  const bool has_expiry = old != kNeverExpires;
  if (conditions.if_none && has_expiry) return false;
  if (conditions.if_some && !has_expiry) return false;
  if (conditions.if_later && (!has_expiry || wanted <= old)) return false;
  return !(conditions.if_sooner && has_expiry && wanted >= old);
}

// `expiry` may be kNeverExpires.
void SetExpiry(KeyedCall& call, UnixMillis expiry) {
  if (!call.SetExpiry(expiry)) return;
  call.reply.Integer(1);
}

void ExpireAs(KeyedCall& call, ExpiryForm form, std::string_view name) {
  const Result<ExpireConditions> conditions = ParseConditions(call);
  if (!conditions) return call.Fail(conditions.error());
  const std::optional<std::int64_t> number = ParseInteger(call.arg(2));
  if (!number) return call.Fail(NotAnInteger());
  const std::optional<UnixMillis> expiry = ToExpiry(*number, form, call.now);
  if (!expiry) return call.Fail(InvalidExpiry(name));
  const RecordView record = call.FindToChange();
  if (record && !Admits(*conditions, record.expiry_ms(), *expiry)) return call.reply.Integer(0);
  // As in Redis, what would be over at once is a removal.
  if (*expiry <= call.now) return call.reply.Integer(call.Remove() ? 1 : 0);
  if (!record) return call.reply.Integer(0);
  SetExpiry(call, *expiry);
}

void Expire(KeyedCall& call) { ExpireAs(call, {.absolute = false, .seconds = true}, "expire"); }
void PExpire(KeyedCall& call) { ExpireAs(call, {.absolute = false, .seconds = false}, "pexpire"); }
void ExpireAt(KeyedCall& call) { ExpireAs(call, {.absolute = true, .seconds = true}, "expireat"); }
void PExpireAt(KeyedCall& call) {
  ExpireAs(call, {.absolute = true, .seconds = false}, "pexpireat");
}

void Persist(KeyedCall& call) {
  const RecordView record = call.FindToChange();
  if (!record || record.expiry_ms() == kNeverExpires) return call.reply.Integer(0);
  SetExpiry(call, kNeverExpires);
}

// ---- TTL and its kin ----------------------------------------------------------------------------

// -2: no such key; -1: it never expires.
void SayExpiry(KeyedCall& call, ExpiryForm form) {
  const RecordView record = call.Inspect();
  if (!record) return call.reply.Integer(-2);
  const UnixMillis expiry = record.expiry_ms();
  if (expiry == kNeverExpires) return call.reply.Integer(-1);
  const std::int64_t ms = form.absolute ? expiry : expiry - call.now;
  call.reply.Integer(form.seconds ? ms / 1000 + (ms % 1000 >= 500 ? 1 : 0) : ms);
}

void Ttl(KeyedCall& call) { SayExpiry(call, {.absolute = false, .seconds = true}); }
void PTtl(KeyedCall& call) { SayExpiry(call, {.absolute = false, .seconds = false}); }
void ExpireTime(KeyedCall& call) { SayExpiry(call, {.absolute = true, .seconds = true}); }
void PExpireTime(KeyedCall& call) { SayExpiry(call, {.absolute = true, .seconds = false}); }

// ---- OBJECT -------------------------------------------------------------------------------------

std::string_view EncodingOf(const RecordView& record) {
  if (!record.is_contiguous() || record.value_bytes() > kEmbeddedStringMax) return "raw";
  return ParseInteger(record.value()) ? "int" : "embstr";
}

// OBJECT ENCODING, FREQ, IDLETIME, REFCOUNT, with their key.
void ObjectOfKey(KeyedCall& call) {
  const RecordView record = call.Inspect();
  if (!record) return call.reply.Null();
  if (IsWord(call.arg(1), "ENCODING")) return call.reply.Bulk(EncodingOf(record));
  if (IsWord(call.arg(1), "REFCOUNT")) return call.reply.Integer(1);
  if (IsWord(call.arg(1), "FREQ")) return call.reply.Integer(record.uses());
  // The answer of a Redis whose policy is the one that INFO names.
  call.Fail(
      ErrorCode::kInvalidArgument,
      "An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
      "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void AskOwner(PlainCall& call) {
  static const Command& of_key = *CommandTable::Get().Find("gyre.object");
  call.failed = call.router.Run(of_key, call.request, nullptr, call.session, call.responder);
}

void Object(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"ENCODING", 3, AskOwner, "<key>", "How Redis would keep the value."},
      {"FREQ", 3, AskOwner, "<key>", "How often the key was used lately: 0 to 3."},
      {"IDLETIME", 3, AskOwner, "<key>", "Refused: eviction goes by use, not by age."},
      {"REFCOUNT", 3, AskOwner, "<key>", "1: values are not shared."},
  };
  RunSubcommand(call, kSubcommands);
}

constexpr KeyPositions kSecondArgument{2, 2, 1};
constexpr std::uint32_t kExpire = kWrite | kFast | kRepeatable | kUnlessConditional;
constexpr std::uint32_t kRead = kReadOnly | kFast;
constexpr std::uint32_t kRemove = kWrite | kRepeatable;
constexpr std::string_view kGroup = "generic";

// clang-format off
constexpr Command kCommands[] = {
    {"del", -2, kRemove, kAllArguments, kGroup, "1.0.0", "Removes keys.", Delete, nullptr, Fold::kSum},
    {"unlink", -2, kRemove | kFast, kAllArguments, kGroup, "4.0.0", "Removes keys (as DEL).", Delete, nullptr, Fold::kSum},
    {"exists", -2, kRead, kAllArguments, kGroup, "1.0.0", "Counts how many of the keys exist.", Exists, nullptr, Fold::kSum},
    {"touch", -2, kRead, kAllArguments, kGroup, "3.2.1", "Marks keys as used.", Touch, nullptr, Fold::kSum},
    {"type", 2, kRead, kFirstArgument, kGroup, "1.0.0", "Returns the type of a value.", Type},
    {"expire", -3, kExpire, kFirstArgument, kGroup, "1.0.0", "Sets the expiry of a key in seconds from now.", Expire},
    {"pexpire", -3, kExpire, kFirstArgument, kGroup, "2.6.0", "Sets the expiry of a key in milliseconds from now.", PExpire},
    {"expireat", -3, kExpire, kFirstArgument, kGroup, "1.2.0", "Sets the expiry of a key as unix time in seconds.", ExpireAt},
    {"pexpireat", -3, kExpire, kFirstArgument, kGroup, "2.6.0", "Sets the expiry of a key as unix time in milliseconds.", PExpireAt},
    {"ttl", 2, kRead, kFirstArgument, kGroup, "1.0.0", "Returns the seconds until a key expires.", Ttl},
    {"pttl", 2, kRead, kFirstArgument, kGroup, "2.6.0", "Returns the milliseconds until a key expires.", PTtl},
    {"expiretime", 2, kRead, kFirstArgument, kGroup, "7.0.0", "Returns when a key expires, as unix time in seconds.", ExpireTime},
    {"pexpiretime", 2, kRead, kFirstArgument, kGroup, "7.0.0", "Returns when a key expires, as unix time in milliseconds.", PExpireTime},
    {"persist", 2, kWrite | kFast, kFirstArgument, kGroup, "2.2.0", "Removes the expiry of a key.", Persist},
    {"object", -2, kReadOnly, kNoKey, kGroup, "2.2.3", "OBJECT ENCODING, FREQ, IDLETIME, REFCOUNT.", nullptr, Object},
    {"gyre.object", 3, kReadOnly | kHidden | kInternal, kSecondArgument, kGroup, "gyre", "OBJECT at the owner of its key.", ObjectOfKey},
};
// clang-format on

}  // namespace
}  // namespace key_commands

std::span<const Command> KeyCommands() { return key_commands::kCommands; }

}  // namespace gyre
