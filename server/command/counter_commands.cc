#include "command/counter_commands.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/keyed_call.h"
#include "command/messages.h"

namespace gyre {
namespace counter_commands {
namespace {

// A longer value is no number, whatever stands in it.
constexpr std::size_t kNumberBytesMax = 8192;

// What a record says as a number; a missing one says 0.
std::optional<std::int64_t> IntegerOf(const RecordView& record) {
  if (!record) return 0;
  if (!record.is_contiguous()) return std::nullopt;
  return ParseInteger(record.value());
}

// What is wrong is the value at the key, not the argument; the words are Redis's.
Error WrongType(std::string_view words) { return {ErrorCode::kWrongType, std::string(words)}; }

void Add(KeyedCall& call, std::int64_t delta) {
  const RecordView record = call.FindToChange();
  const std::optional<std::int64_t> old = IntegerOf(record);
  if (!old) return call.Fail(WrongType(NotAnInteger().message));
  std::int64_t sum = 0;
  if (__builtin_add_overflow(*old, delta, &sum)) {
    return call.Fail(ErrorCode::kInvalidArgument, "increment or decrement would overflow");
  }
  std::array<char, 24> text;
  const char* const end = std::to_chars(text.begin(), text.end(), sum).ptr;
  const UnixMillis expiry = record ? record.expiry_ms() : kNeverExpires;
  const std::uint32_t flags = record ? record.flags() : 0;
  if (call.Store({text.data(), static_cast<std::size_t>(end - text.data())}, expiry, flags)) {
    call.reply.Integer(sum);
  }
}

void Incr(KeyedCall& call) { Add(call, 1); }
void Decr(KeyedCall& call) { Add(call, -1); }

void IncrBy(KeyedCall& call) {
  const std::optional<std::int64_t> delta = ParseInteger(call.arg(2));
  delta ? Add(call, *delta) : call.Fail(NotAnInteger());
}

void DecrBy(KeyedCall& call) {
  const std::optional<std::int64_t> delta = ParseInteger(call.arg(2));
  if (!delta) return call.Fail(NotAnInteger());
  if (*delta == std::numeric_limits<std::int64_t>::min()) {
    return call.Fail(ErrorCode::kInvalidArgument, "decrement would overflow");
  }
  Add(call, -*delta);
}

void IncrByFloat(KeyedCall& call) {
  const Error not_a_float{ErrorCode::kInvalidArgument, "value is not a valid float"};
  const std::optional<long double> delta = ParseFloat(call.arg(2));
  const RecordView record = call.FindToChange();
  std::optional<long double> old = 0.0L;
  if (record) {
    if (record.value_bytes() <= kNumberBytesMax) record.AppendValueTo(call.scratch);
    old = ParseFloat(call.scratch.view());
  }
  if (!delta) return call.Fail(not_a_float);
  if (!old) return call.Fail(WrongType(not_a_float.message));
  const long double sum = *old + *delta;
  if (!std::isfinite(sum)) {
    return call.Fail(ErrorCode::kInvalidArgument, "increment would produce NaN or Infinity");
  }
  const std::string text = FormatFloat(sum);
  const UnixMillis expiry = record ? record.expiry_ms() : kNeverExpires;
  const std::uint32_t flags = record ? record.flags() : 0;
  if (call.Store(text, expiry, flags)) call.reply.Bulk(text);
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("incr", Incr),
    Bind("decr", Decr),
    Bind("incrby", IncrBy),
    Bind("decrby", DecrBy),
    Bind("incrbyfloat", IncrByFloat),
};
// clang-format on

}  // namespace
}  // namespace counter_commands

std::span<const Binding> CounterCommands() { return counter_commands::kBindings; }

}  // namespace gyre
