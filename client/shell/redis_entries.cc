#include "client/shell/redis_entries.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proto/limits.h"

namespace gyre::client {
namespace {

constexpr std::int64_t kElementsMax = 1 << 20;
// SCAN's answer is an array in an array.
constexpr int kNestingMax = 4;
constexpr std::string_view kRedisScanCount = "1000";
// PTTL's answers that are no time.
constexpr std::int64_t kRedisNoExpiry = -1;
constexpr std::int64_t kRedisNoKey = -2;

std::optional<std::int64_t> IntegerOf(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

bool IsError(const Value& reply) { return reply.kind == Value::Kind::kError; }

}  // namespace

// ---- The connection ---------------------------------------------------------------------------

Result<std::unique_ptr<RedisLink>> RedisLink::Connect(const ServerUrl& url) {
  Result<std::unique_ptr<ServerStream>> stream = ServerStream::Connect(url);
  if (!stream) return stream.error();
  std::unique_ptr<RedisLink> link(new RedisLink(std::move(*stream)));
  if (!url.password.empty()) {
    const Result<Value> in = url.user.empty() ? link->Call({"AUTH", url.password})
                                              : link->Call({"AUTH", url.user, url.password});
    if (!in) return in.error();
  }
  const Result<Value> chosen = link->Call({"SELECT", url.path.empty() ? "0" : url.path});
  if (!chosen) return chosen.error();
  return link;
}

void RedisLink::Append(const std::vector<std::string_view>& command) {
  stream_->Append("*" + std::to_string(command.size()) + "\r\n");
  for (const std::string_view word : command) {
    stream_->Append("$" + std::to_string(word.size()) + "\r\n");
    stream_->Append(word);
    stream_->Append("\r\n");
  }
}

Result<Value> RedisLink::Call(const std::vector<std::string_view>& command) {
  Append(command);
  if (std::optional<Error> error = Flush()) return *std::move(error);
  Result<Value> reply = Read();
  if (reply && IsError(*reply)) {
    const Error broken = stream_->Broken(std::string(command[0]) + " is refused: " + reply->text);
    return Error{ErrorCode::kNotAllowed, broken.message};
  }
  return reply;
}

Result<Value> RedisLink::ReadAt(int depth) {
  const auto nonsense = [this] {
    return stream_->Broken("does not answer as a Redis server does");
  };
  Result<std::string> line = stream_->ReadLine();
  if (!line) return line.error();
  if (line->empty() || depth > kNestingMax) return nonsense();
  const char kind = line->front();
  Value reply;
  reply.text = line->substr(1);
  if (kind == '+' || kind == '-') {
    reply.kind = kind == '+' ? Value::Kind::kText : Value::Kind::kError;
    return reply;
  }
  const std::optional<std::int64_t> number = IntegerOf(reply.text);
  if (!number) return nonsense();
  if (kind == ':') {
    reply.kind = Value::Kind::kInteger;
    reply.integer = *number;
    return reply;
  }
  if (kind != '$' && kind != '*') return nonsense();
  reply.text.clear();
  if (*number == -1) return reply;  // null
  if (kind == '$') {
    if (*number < 0 || static_cast<std::uint64_t>(*number) > kValueBytesHardMax) return nonsense();
    Result<std::string> bytes = stream_->ReadBlock(static_cast<std::size_t>(*number));
    if (!bytes) return bytes.error();
    reply.kind = Value::Kind::kBulk;
    reply.text = std::move(*bytes);
    return reply;
  }
  if (*number < 0 || *number > kElementsMax) return nonsense();
  reply.kind = Value::Kind::kArray;
  for (std::int64_t i = 0; i < *number; ++i) {
    Result<Value> element = ReadAt(depth + 1);
    if (!element) return element.error();
    reply.elements.push_back(std::move(*element));
  }
  return reply;
}

// ---- Reading ----------------------------------------------------------------------------------

Result<std::unique_ptr<RedisReader>> RedisReader::Open(const ServerUrl& url, std::string match,
                                                       TransferCounts& counts) {
  Result<std::unique_ptr<RedisLink>> link = RedisLink::Connect(url);
  if (!link) return link.error();
  std::unique_ptr<RedisReader> reader(new RedisReader(std::move(*link), std::move(match), counts));
  if (reader->match_ == "*") {
    const Result<Value> size = reader->link_->Call({"DBSIZE"});
    if (size && size->integer > 0) reader->keys_all_ = static_cast<std::uint64_t>(size->integer);
  }
  return reader;
}

std::optional<Error> RedisReader::Scan() {
  Result<Value> page = link_->Call({"SCAN", cursor_, "MATCH", match_, "COUNT", kRedisScanCount});
  if (!page) return page.error();
  if (page->elements.size() != 2) {
    return Error{ErrorCode::kProtocol, "the server's answer to SCAN makes no sense"};
  }
  cursor_ = page->elements[0].text;
  walked_ = cursor_ == "0";
  return Measure(std::move(page->elements[1].elements));
}

std::optional<Error> RedisReader::Measure(std::vector<Value> keys) {
  for (const Value& key : keys) {
    link_->Append({"TYPE", key.text});
    link_->Append({"STRLEN", key.text});
  }
  if (std::optional<Error> error = link_->Flush()) return error;
  for (Value& key : keys) {
    const Result<Value> type = link_->Read();
    if (!type) return type.error();
    const Result<Value> bytes = link_->Read();
    if (!bytes) return bytes.error();
    if (IsError(*type)) {
      counts_.AddFailed(type->text);
    } else if (type->text == "string") {
      const std::int64_t size = std::max<std::int64_t>(bytes->integer, 0);
      found_.push_back({std::move(key.text), static_cast<std::size_t>(size)});
      continue;
    } else if (type->text != "none") {  // none: gone meanwhile
      ++counts_.unsupported[type->text];
    }
    ++keys_read_;
  }
  return std::nullopt;
}

std::optional<Error> RedisReader::Fetch(std::vector<Entry>& batch) {
  std::vector<std::string> keys;
  std::size_t bytes = 0;
  while (!found_.empty() && keys.size() < kBatchKeysMax &&
         (keys.empty() || bytes + found_.front().bytes <= kBatchBytesMax)) {
    bytes += found_.front().bytes;
    keys.push_back(std::move(found_.front().key));
    found_.pop_front();
    link_->Append({"GET", keys.back()});
    link_->Append({"PTTL", keys.back()});
  }
  if (std::optional<Error> error = link_->Flush()) return error;
  keys_read_ += keys.size();
  for (std::string& key : keys) {
    Result<Value> value = link_->Read();
    if (!value) return value.error();
    const Result<Value> ttl = link_->Read();
    if (!ttl) return ttl.error();
    if (IsError(*value) || IsError(*ttl)) {
      // WRONGTYPE too: it became something else just now.
      counts_.AddFailed(IsError(*value) ? value->text : ttl->text);
      continue;
    }
    if (value->is_null() || ttl->integer == kRedisNoKey) continue;  // gone meanwhile
    const std::int64_t expiry =
        ttl->integer == kRedisNoExpiry ? 0 : UnixNow() + std::max<std::int64_t>(ttl->integer, 1);
    batch.push_back({std::move(key), std::move(value->text), 0, expiry});
  }
  return std::nullopt;
}

Result<bool> RedisReader::Read(std::vector<Entry>& batch) {
  while (found_.empty()) {
    if (walked_) return false;
    if (std::optional<Error> error = Scan()) return *std::move(error);
  }
  if (std::optional<Error> error = Fetch(batch)) return *std::move(error);
  return true;
}

// ---- Writing ----------------------------------------------------------------------------------

Result<std::unique_ptr<RedisWriter>> RedisWriter::Open(const ServerUrl& url,
                                                       TransferCounts& counts) {
  Result<std::unique_ptr<RedisLink>> link = RedisLink::Connect(url);
  if (!link) return link.error();
  return std::unique_ptr<RedisWriter>(new RedisWriter(std::move(*link), counts));
}

std::optional<Error> RedisWriter::Write(std::vector<Entry> batch) {
  const std::int64_t now = UnixNow();
  for (const Entry& entry : batch) {
    const std::string ttl = std::to_string(std::max<std::int64_t>(entry.expiry_ms - now, 1));
    entry.expiry_ms != 0 ? link_->Append({"SET", entry.key, entry.value, "PX", ttl})
                         : link_->Append({"SET", entry.key, entry.value});
  }
  if (std::optional<Error> error = link_->Flush()) return error;
  for (const Entry& entry : batch) {
    const Result<Value> reply = link_->Read();
    if (!reply) return reply.error();
    if (reply->kind != Value::Kind::kText) {
      counts_.AddFailed(reply->text);
      continue;
    }
    ++counts_.keys;
    counts_.bytes += entry.bytes();
    if (entry.flags != 0) ++counts_.flags_dropped;
  }
  return std::nullopt;
}

}  // namespace gyre::client
