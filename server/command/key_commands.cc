#include "command/key_commands.h"

#include <optional>
#include <string>
#include <utility>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/expiry_argument.h"
#include "command/keyed_call.h"
#include "command/messages.h"
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

void ObjectEncoding(KeyedCall& call) {
  const RecordView record = call.Inspect();
  record ? call.reply.Bulk(EncodingOf(record)) : call.reply.Null();
}

void ObjectFreq(KeyedCall& call) {
  const RecordView record = call.Inspect();
  record ? call.reply.Integer(record.uses()) : call.reply.Null();
}

void ObjectIdleTime(KeyedCall& call) {
  if (!call.Inspect()) return call.reply.Null();
  // The answer of a Redis whose policy is the one that INFO names.
  call.Fail(
      ErrorCode::kInvalidArgument,
      "An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
      "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void ObjectRefCount(KeyedCall& call) { call.Inspect() ? call.reply.Integer(1) : call.reply.Null(); }

// ---- MEMORY -------------------------------------------------------------------------------------

// SAMPLES is for values of many elements: here each is counted whole.
void MemoryUsage(KeyedCall& call) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const std::size_t options = call.args.size() - 3;
  if (options != 0 && (options != 2 || !IsWord(call.arg(3), "SAMPLES"))) {
    return call.Fail(SyntaxError());
  }
  if (options == 2) {
    const std::optional<std::int64_t> samples = ParseInteger(call.arg(4));
    if (!samples) return call.Fail(NotAnInteger());
    if (*samples < 0) return call.Fail(SyntaxError());
  }
  const RecordView record = call.Inspect();
  record ? call.reply.Integer(static_cast<std::int64_t>(call.shard.MemoryOf(record)))
         : call.reply.Null();
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("del", Delete),
    Bind("unlink", Delete),
    Bind("exists", Exists),
    Bind("touch", Touch),
    Bind("type", Type),
    Bind("expire", Expire),
    Bind("pexpire", PExpire),
    Bind("expireat", ExpireAt),
    Bind("pexpireat", PExpireAt),
    Bind("ttl", Ttl),
    Bind("pttl", PTtl),
    Bind("expiretime", ExpireTime),
    Bind("pexpiretime", PExpireTime),
    Bind("persist", Persist),
    Bind("object", RunSubcommand),
    Bind("object|encoding", ObjectEncoding),
    Bind("object|freq", ObjectFreq),
    Bind("object|idletime", ObjectIdleTime),
    Bind("object|refcount", ObjectRefCount),
    Bind("object|help", SayHelp),
    Bind("memory", RunSubcommand),
    Bind("memory|usage", MemoryUsage),
    Bind("memory|help", SayHelp),
};
// clang-format on

}  // namespace
}  // namespace key_commands

std::span<const Binding> KeyCommands() { return key_commands::kBindings; }

}  // namespace gyre
