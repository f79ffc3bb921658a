// The strings of a Redis server (or of what speaks as one), read and written: for import and export.
//
// Reading: SCAN, then TYPE and STRLEN of each key, then GET and PTTL of a few megabytes at a time,
// each step in pipelines. Keys of other types than string are counted by type and left out. A write
// between GET and PTTL may give a value the expiry of its successor.
// Writing: SET, with PX where it expires, in pipelines; each answer is looked at. Redis knows no
// flags: they are left out, and counted.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/shell/server_stream.h"
#include "client/shell/transfer.h"

namespace gyre::client {

// Commands and replies over one connection.
class RedisLink {
 public:
  // Logs in and chooses the database as the URL says. kCannotConnect, or kNotAllowed with what the
  // server says to that.
  static Result<std::unique_ptr<RedisLink>> Connect(const ServerUrl& url);

  void Append(const std::vector<std::string_view>& command);
  std::optional<Error> Flush() { return stream_->Flush(); }
  // The next reply: of the kinds kText, kError (with its text), kInteger, kBulk, kNull, kArray.
  Result<Value> Read() { return ReadAt(0); }
  // One command, by itself. An error reply is an Error: kNotAllowed.
  Result<Value> Call(const std::vector<std::string_view>& command);

 private:
  explicit RedisLink(std::unique_ptr<ServerStream> stream) : stream_(std::move(stream)) {}
  Result<Value> ReadAt(int depth);

  const std::unique_ptr<ServerStream> stream_;
};

class RedisReader final : public EntrySource {
 public:
  static Result<std::unique_ptr<RedisReader>> Open(const ServerUrl& url, std::string match,
                                                   TransferCounts& counts);

  Result<bool> Read(std::vector<Entry>& batch) override;
  Extent extent() const override { return {keys_read_, keys_all_}; }

 private:
  struct Found {
    std::string key;
    std::size_t bytes = 0;
  };

  RedisReader(std::unique_ptr<RedisLink> link, std::string match, TransferCounts& counts)
      : link_(std::move(link)), match_(std::move(match)), counts_(counts) {}
  std::optional<Error> Scan();
  std::optional<Error> Measure(std::vector<Value> keys);
  std::optional<Error> Fetch(std::vector<Entry>& batch);

  const std::unique_ptr<RedisLink> link_;
  const std::string match_;
  TransferCounts& counts_;
  std::string cursor_ = "0";
  bool walked_ = false;
  std::deque<Found> found_;  // strings
  std::uint64_t keys_read_ = 0;
  std::uint64_t keys_all_ = 0;
};

class RedisWriter final : public EntrySink {
 public:
  static Result<std::unique_ptr<RedisWriter>> Open(const ServerUrl& url, TransferCounts& counts);

  std::optional<Error> Write(std::vector<Entry> batch) override;
  std::optional<Error> Finish() override { return std::nullopt; }
  void Abandon() override {}

 private:
  RedisWriter(std::unique_ptr<RedisLink> link, TransferCounts& counts)
      : link_(std::move(link)), counts_(counts) {}

  const std::unique_ptr<RedisLink> link_;
  TransferCounts& counts_;
};

}  // namespace gyre::client
