// The records of a memcached server, read and written: for import and export.
//
// Reading: memcached has no command that walks all keys but `lru_crawler metadump all` (1.4.31 and
// newer), which lists them with their expiries; a second connection gets the values, as many as fit
// in a few megabytes at a time. Where the server does not know it or has it switched off, import is
// refused, for there is no other way to find the keys.
// Writing: `set`, in pipelines; each answer is looked at. Expiries are in seconds there: rounded up.
// A key of more than 250 bytes, of none, or with blanks or control characters in it, has no place
// there and is counted as failed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/shell/server_stream.h"
#include "client/shell/transfer.h"

namespace gyre::client {

class MemcachedReader final : public EntrySource {
 public:
  static Result<std::unique_ptr<MemcachedReader>> Open(const ServerUrl& url,
                                                       TransferCounts& counts);

  Result<bool> Read(std::vector<Entry>& batch) override;
  Extent extent() const override { return {keys_read_, keys_all_}; }

 private:
  struct Listed {
    std::string key;
    std::int64_t expiry_ms = 0;
    std::size_t bytes = 0;
  };

  MemcachedReader(std::unique_ptr<ServerStream> list, std::unique_ptr<ServerStream> values,
                  TransferCounts& counts)
      : list_(std::move(list)), values_(std::move(values)), counts_(counts) {}
  std::optional<Error> StartList();
  // Nothing: the line is about no key that can be asked for, which is counted.
  std::optional<Listed> ParseListed(std::string_view line);
  std::optional<Error> Fetch(std::vector<Listed> keys, std::vector<Entry>& batch);

  const std::unique_ptr<ServerStream> list_;
  const std::unique_ptr<ServerStream> values_;
  TransferCounts& counts_;
  std::optional<std::string> first_line_;  // of the list, which told that it is one
  std::uint64_t keys_read_ = 0;
  std::uint64_t keys_all_ = 0;
};

class MemcachedWriter final : public EntrySink {
 public:
  static Result<std::unique_ptr<MemcachedWriter>> Open(const ServerUrl& url,
                                                       TransferCounts& counts);

  std::optional<Error> Write(std::vector<Entry> batch) override;
  std::optional<Error> Finish() override { return std::nullopt; }
  void Abandon() override {}

 private:
  MemcachedWriter(std::unique_ptr<ServerStream> stream, TransferCounts& counts)
      : stream_(std::move(stream)), counts_(counts) {}

  const std::unique_ptr<ServerStream> stream_;
  TransferCounts& counts_;
};

}  // namespace gyre::client
