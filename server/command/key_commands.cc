#include "command/key_commands.h"

#include <optional>
#include <string>
#include <utility>

#include "command/arguments.h"
#include "command/expiry_argument.h"
#include "command/keyed_call.h"
#include "command/messages.h"

namespace gyre {
namespace {

constexpr std::size_t kEmbeddedStringMax = 44;  // above it Redis calls a string "raw"

void Delete(KeyedCall& call) { call.reply.Integer(call.Remove() ? 1 : 0); }

void Exists(KeyedCall& call) { call.reply.Integer(call.Find() ? 1 : 0); }

void Type(KeyedCall& call) { call.reply.Text(call.Find() ? "string" : "none"); }

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
  const Record record = call.Find();
  if (!record || !Admits(*conditions, record.expiry_ms(), *expiry)) return call.reply.Integer(0);
  // As in Redis, what would be over at once is a removal.
  if (*expiry <= call.now) {
    call.Remove();
    return call.reply.Integer(1);
  }
  SetExpiry(call, *expiry);
}

void Expire(KeyedCall& call) { ExpireAs(call, {.absolute = false, .seconds = true}, "expire"); }
void PExpire(KeyedCall& call) { ExpireAs(call, {.absolute = false, .seconds = false}, "pexpire"); }
void ExpireAt(KeyedCall& call) { ExpireAs(call, {.absolute = true, .seconds = true}, "expireat"); }
void PExpireAt(KeyedCall& call) {
  ExpireAs(call, {.absolute = true, .seconds = false}, "pexpireat");
}

void Persist(KeyedCall& call) {
  const Record record = call.Find();
  if (!record || record.expiry_ms() == kNeverExpires) return call.reply.Integer(0);
  SetExpiry(call, kNeverExpires);
}

// ---- TTL and its kin ----------------------------------------------------------------------------

// -2: no such key; -1: it never expires.
void SayExpiry(KeyedCall& call, ExpiryForm form) {
  const Record record = call.Find();
  if (!record) return call.reply.Integer(-2);
  const UnixMillis expiry = record.expiry_ms();
  if (expiry == kNeverExpires) return call.reply.Integer(-1);
  const std::int64_t ms = form.absolute ? expiry : expiry - call.now;
  call.reply.Integer(form.seconds ? (ms + 500) / 1000 : ms);
}

void Ttl(KeyedCall& call) { SayExpiry(call, {.absolute = false, .seconds = true}); }
void PTtl(KeyedCall& call) { SayExpiry(call, {.absolute = false, .seconds = false}); }
void ExpireTime(KeyedCall& call) { SayExpiry(call, {.absolute = true, .seconds = true}); }
void PExpireTime(KeyedCall& call) { SayExpiry(call, {.absolute = true, .seconds = false}); }

// ---- OBJECT -------------------------------------------------------------------------------------

std::string_view EncodingOf(const Record& record) {
  if (!record.is_contiguous() || record.value_bytes() > kEmbeddedStringMax) return "raw";
  return ParseInteger(record.value()) ? "int" : "embstr";
}

void Object(KeyedCall& call) {
  if (!IsWord(call.arg(1), "ENCODING")) {
    return call.Fail(UnknownSubcommand("OBJECT", call.arg(1)));
  }
  const Record record = call.Find();
  record ? call.reply.Bulk(EncodingOf(record)) : call.reply.Null();
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
    {"touch", -2, kRead, kAllArguments, kGroup, "3.2.1", "Marks keys as used.", Exists, nullptr, Fold::kSum},
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
    {"object", 3, kReadOnly, kSecondArgument, kGroup, "2.2.3", "OBJECT ENCODING key: how Redis would keep the value.", Object},
};
// clang-format on

}  // namespace

std::span<const Command> KeyCommands() { return kCommands; }

}  // namespace gyre
