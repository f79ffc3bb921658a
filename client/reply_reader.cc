#include "client/reply_reader.h"

#include <limits>

namespace gyre::client {
namespace {

Error Unexpected(std::string_view wanted) {
  return {ErrorCode::kProtocol, "the node answered with something else than " +
                                    std::string(wanted) +
                                    "; do client and nodes have releases next to each other?"};
}

}  // namespace

Result<std::optional<Record>> ReadRecord(Value value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kNull:
      return std::optional<Record>();
    case Kind::kRecord:
      return std::optional<Record>(Record{std::move(value.text), value.flags, value.version});
    case Kind::kBulk:
      return std::optional<Record>(Record{std::move(value.text)});
    case Kind::kWord:
      if (value.text == "NOT_FOUND") return std::optional<Record>();
      break;
    default:
      break;
  }
  return Unexpected("a record");
}

// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<bool> ReadDone(Value value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kNull:
      return false;
    case Kind::kWord:
      return value.text != "NOT_STORED" && value.text != "EXISTS" && value.text != "NOT_FOUND";
    case Kind::kInteger:
      return value.integer > 0;
    case Kind::kUnsigned:
      return value.unsigned_integer > 0;
    case Kind::kBoolean:
      return value.boolean;
    default:
      return Unexpected("an outcome");
  }
}

// By value, like the others: Impl::Send takes any of them.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<std::int64_t> ReadInteger(Value value) {
  if (value.kind == Value::Kind::kInteger) return value.integer;
  if (value.kind == Value::Kind::kUnsigned &&
      value.unsigned_integer <=
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return static_cast<std::int64_t>(value.unsigned_integer);
  }
  return Unexpected("an integer");
}

// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<TimeToLive> ReadTimeToLive(Value value) {
  const Result<std::int64_t> left = ReadInteger(std::move(value));
  if (!left) return left.error();
  TimeToLive ttl;
  ttl.exists = *left != -2;
  if (*left >= 0) ttl.left = Milliseconds{*left};
  return ttl;
}

Result<Value> ReadValue(Value value) { return value; }

}  // namespace gyre::client
