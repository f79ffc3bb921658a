#include "command/range_commands.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/keyed_call.h"
#include "command/messages.h"

namespace gyre {
namespace range_commands {
namespace {

void Append(KeyedCall& call) {
  const std::string_view suffix = call.arg(2);
  const RecordView old = call.FindToChange();
  if (!old) {
    if (call.Store(suffix, kNeverExpires)) {
      call.reply.Integer(static_cast<std::int64_t>(suffix.size()));
    }
    return;
  }
  const std::size_t total = old.value_bytes() + suffix.size();
  if (total > call.value_bytes_max) return call.Fail(ValueTooLarge());
  old.AppendValueTo(call.scratch);
  call.scratch.Append(suffix);
  if (call.Store(call.scratch.view(), old.expiry_ms(), old.flags())) {
    call.reply.Integer(static_cast<std::int64_t>(total));
  }
}

// What stands behind the end of the old value up to `offset` becomes zero bytes.
void SetRange(KeyedCall& call) {
  const std::optional<std::int64_t> offset = ParseInteger(call.arg(2));
  if (!offset) return call.Fail(NotAnInteger());
  if (*offset < 0) return call.Fail(ErrorCode::kInvalidArgument, "offset is out of range");
  const std::string_view patch = call.arg(3);
  const RecordView old = call.FindToChange();
  const std::size_t old_bytes = old ? old.value_bytes() : 0;
  if (patch.empty()) return call.reply.Integer(static_cast<std::int64_t>(old_bytes));

  const auto begin = static_cast<std::size_t>(*offset);
  if (patch.size() > call.value_bytes_max || begin > call.value_bytes_max - patch.size()) {
    return call.Fail(ValueTooLarge());
  }
  const std::size_t total = std::max(old_bytes, begin + patch.size());
  if (old) old.AppendValueTo(call.scratch);
  std::memset(call.scratch.Prepare(total - old_bytes), 0, total - old_bytes);
  call.scratch.Commit(total - old_bytes);
  std::memcpy(call.scratch.mutable_data() + begin, patch.data(), patch.size());
  const UnixMillis expiry = old ? old.expiry_ms() : kNeverExpires;
  const std::uint32_t flags = old ? old.flags() : 0;
  if (call.Store(call.scratch.view(), expiry, flags)) {
    call.reply.Integer(static_cast<std::int64_t>(total));
  }
}

struct Range {
  std::size_t begin = 0;
  std::size_t size = 0;
};

// Redis's inclusive range, in which negative positions count from the end.
Range ClampRange(std::int64_t start, std::int64_t end, std::int64_t length) {
  if (start < 0 && end < 0 && start > end) return {};
  if (start < 0) start = std::max<std::int64_t>(start + length, 0);
  if (end < 0) end = std::max<std::int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  if (start > end || length == 0) return {};
  return {static_cast<std::size_t>(start), static_cast<std::size_t>(end - start + 1)};
}

void GetRange(KeyedCall& call) {
  const std::optional<std::int64_t> start = ParseInteger(call.arg(2));
  const std::optional<std::int64_t> end = ParseInteger(call.arg(3));
  if (!start || !end) return call.Fail(NotAnInteger());
  const RecordView record = call.Find();
  if (!record) return call.reply.Bulk({});
  const Range range = ClampRange(*start, *end, static_cast<std::int64_t>(record.value_bytes()));
  if (record.is_contiguous()) {
    return call.reply.Bulk(record.value().substr(range.begin, range.size));
  }
  record.CopyValue(range.begin, range.size, call.scratch.Prepare(range.size));
  call.scratch.Commit(range.size);
  call.reply.Bulk(call.scratch.view());
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("append", Append),
    Bind("setrange", SetRange),
    Bind("getrange", GetRange),
    Bind("substr", GetRange),
};
// clang-format on

}  // namespace
}  // namespace range_commands

std::span<const Binding> RangeCommands() { return range_commands::kBindings; }

}  // namespace gyre
