#include "client/shell/memcached_entries.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "client/shell/words.h"
#include "proto/limits.h"

namespace gyre::client {
namespace {

// Of one get: its answer is read while nothing else is sent.
constexpr std::size_t kGetKeysMax = 100;

bool FitsMemcached(std::string_view key) {
  const bool plain = std::all_of(key.begin(), key.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
  });
  return plain && !key.empty() && key.size() <= kMemcachedKeyBytesMax;
}

template <typename Number>
bool NumberIn(std::string_view text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && !text.empty();
}

// "a b c" -> "a", and "b c" stays.
std::string_view NextWord(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

// ---- Reading ----------------------------------------------------------------------------------

Result<std::unique_ptr<MemcachedReader>> MemcachedReader::Open(const ServerUrl& url,
                                                               TransferCounts& counts) {
  Result<std::unique_ptr<ServerStream>> list = ServerStream::Connect(url);
  if (!list) return list.error();
  Result<std::unique_ptr<ServerStream>> values = ServerStream::Connect(url);
  if (!values) return values.error();
  std::unique_ptr<MemcachedReader> reader(
      new MemcachedReader(std::move(*list), std::move(*values), counts));
  if (std::optional<Error> error = reader->StartList()) return *std::move(error);
  return reader;
}

std::optional<Error> MemcachedReader::StartList() {
  values_->Append("stats\r\n");
  if (std::optional<Error> error = values_->Flush()) return error;
  while (true) {  // only for the progress
    const Result<std::string> line = values_->ReadLine();
    if (!line) return line.error();
    std::string_view rest = *line;
    if (NextWord(rest) != "STAT") break;
    if (NextWord(rest) == "curr_items") (void)NumberIn(rest, keys_all_);
  }
  list_->Append("lru_crawler metadump all\r\n");
  if (std::optional<Error> error = list_->Flush()) return error;
  Result<std::string> line = list_->ReadLine();
  if (!line) return line.error();
  if (line->starts_with("key=") || *line == "END") {
    first_line_ = std::move(*line);
    return std::nullopt;
  }
  if (line->starts_with("BUSY")) {
    return Error{
        ErrorCode::kUnavailable,
        list_->Broken("its crawler is busy with another list: try again in a while").message};
  }
  return Error{ErrorCode::kNotAllowed,
               list_->Broken("keys cannot be listed there: it needs memcached 1.4.31 or newer with "
                             "its lru_crawler on, and says to 'lru_crawler metadump all': ")
                       .message +
                   line->substr(0, 100)};
}

// key=a%20b exp=1700000000 la=... cas=... fetch=no cls=1 size=64; exp=-1: never
std::optional<MemcachedReader::Listed> MemcachedReader::ParseListed(std::string_view line) {
  Listed listed;
  std::optional<std::string> key;
  while (!line.empty()) {
    const std::string_view field = NextWord(line);
    const std::size_t equals = std::min(field.find('='), field.size());
    const std::string_view name = field.substr(0, equals);
    const std::string_view value = field.substr(std::min(equals + 1, field.size()));
    if (name == "key") {
      key = DecodePercent(value);
    } else if (name == "exp") {
      std::int64_t seconds = 0;
      if (NumberIn(value, seconds) && seconds > 0) listed.expiry_ms = seconds * 1000;
    } else if (name == "size") {
      (void)NumberIn(value, listed.bytes);
    }
  }
  if (!key || !FitsMemcached(*key)) {
    counts_.AddFailed("a key with blanks or control characters cannot be asked for");
    return std::nullopt;
  }
  listed.key = *std::move(key);
  return listed;
}

Result<bool> MemcachedReader::Read(std::vector<Entry>& batch) {
  std::vector<Listed> keys;
  std::size_t bytes = 0;
  bool more = true;
  while (keys.size() < kGetKeysMax && bytes < kBatchBytesMax) {
    Result<std::string> line = first_line_
                                   ? Result<std::string>(*std::exchange(first_line_, std::nullopt))
                                   : list_->ReadLine();
    if (!line) return line.error();
    if (*line == "END") {
      more = false;
      break;
    }
    if (!line->starts_with("key=")) return list_->Broken("its list of keys makes no sense");
    ++keys_read_;
    if (std::optional<Listed> listed = ParseListed(*line)) {
      bytes += listed->bytes;
      keys.push_back(*std::move(listed));
    }
  }
  if (!keys.empty()) {
    if (std::optional<Error> error = Fetch(std::move(keys), batch)) return *std::move(error);
  }
  return more;
}

std::optional<Error> MemcachedReader::Fetch(std::vector<Listed> keys, std::vector<Entry>& batch) {
  std::map<std::string, std::int64_t, std::less<>> expiries;
  std::string command = "get";
  for (const Listed& listed : keys) {
    command += " " + listed.key;
    expiries[listed.key] = listed.expiry_ms;
  }
  values_->Append(command + "\r\n");
  if (std::optional<Error> error = values_->Flush()) return error;
  while (true) {
    const Result<std::string> line = values_->ReadLine();
    if (!line) return line.error();
    if (*line == "END") return std::nullopt;
    // VALUE key flags bytes
    std::string_view rest = *line;
    const bool is_value = NextWord(rest) == "VALUE";
    Entry entry;
    entry.key = NextWord(rest);
    std::uint64_t bytes = 0;
    const bool whole = is_value && NumberIn(NextWord(rest), entry.flags) &&
                       NumberIn(NextWord(rest), bytes) && bytes <= kValueBytesHardMax;
    if (!whole) return values_->Broken("says to a get: " + line->substr(0, 100));
    Result<std::string> value = values_->ReadBlock(static_cast<std::size_t>(bytes));
    if (!value) return value.error();
    entry.value = std::move(*value);
    const auto expiry = expiries.find(entry.key);
    if (expiry != expiries.end()) entry.expiry_ms = expiry->second;
    batch.push_back(std::move(entry));
  }
}

// ---- Writing ----------------------------------------------------------------------------------

Result<std::unique_ptr<MemcachedWriter>> MemcachedWriter::Open(const ServerUrl& url,
                                                               TransferCounts& counts) {
  Result<std::unique_ptr<ServerStream>> stream = ServerStream::Connect(url);
  if (!stream) return stream.error();
  return std::unique_ptr<MemcachedWriter>(new MemcachedWriter(std::move(*stream), counts));
}

std::optional<Error> MemcachedWriter::Write(std::vector<Entry> batch) {
  constexpr std::int64_t kMillisInSecond = 1000;
  std::erase_if(batch, [this](const Entry& entry) {
    if (FitsMemcached(entry.key)) return false;
    counts_.AddFailed("memcached cannot have the key " + Quote(entry.key.substr(0, 64)) +
                      ": 1 to 250 bytes, no blanks and no control characters");
    return true;
  });
  for (const Entry& entry : batch) {
    // Seconds of unix time, which is what memcached takes a number beyond 30 days for.
    const std::int64_t seconds = (entry.expiry_ms + kMillisInSecond - 1) / kMillisInSecond;
    stream_->Append("set " + entry.key + " " + std::to_string(entry.flags) + " " +
                    std::to_string(seconds) + " " + std::to_string(entry.value.size()) + "\r\n");
    stream_->Append(entry.value);
    stream_->Append("\r\n");
  }
  if (std::optional<Error> error = stream_->Flush()) return error;
  for (const Entry& entry : batch) {
    const Result<std::string> line = stream_->ReadLine();
    if (!line) return line.error();
    if (*line == "STORED") {
      ++counts_.keys;
      counts_.bytes += entry.bytes();
    } else if (line->starts_with("SERVER_ERROR") || *line == "NOT_STORED") {
      counts_.AddFailed("memcached says: " + line->substr(0, 100));
    } else {
      return stream_->Broken("says to a set: " + line->substr(0, 100));
    }
  }
  return std::nullopt;
}

}  // namespace gyre::client
