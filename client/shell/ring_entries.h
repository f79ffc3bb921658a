// The records of a ring, read and written while it serves.
//
// Reading walks the whole ring by SCAN: a key that is there from begin to end is met, whatever else
// comes and goes, and whichever node dies or moves meanwhile, because a place in the walk means the
// same on each node. What the walk finds is asked of the keys' owners, in three overlapping steps:
//
//   SCAN -> keys -> PEXPIRETIME, STRLEN -> keys of a few megabytes -> GET, PEXPIRETIME -> records
//
// The lengths bound the memory; the two expiries around the value show a write in between, whose
// record is then read again. So each record is one that the key had at one moment, but there is no
// moment that all records are of.
//
// Writing sends batches and counts what was acknowledged. What could not be carried out, because
// nodes died or moved, is tried again for Patience::kInAll; what a node refuses for good is counted
// as failed.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "client/shell/transfer.h"
#include "gyre/client.h"

namespace gyre::client {

class RingReader final : public EntrySource {
 public:
  // `match`: the keys that are wanted, a pattern as SCAN has it.
  RingReader(Client& client, const CallOptions& call, std::string match, TransferCounts& counts);

  Result<bool> Read(std::vector<Entry>& batch) override;
  Extent extent() const override { return {keys_read_, keys_all_}; }

 private:
  using Replies = Operation<std::vector<Result<Value>>>;

  // Of the walk, before it pauses; one page of it comes on top.
  static constexpr std::size_t kKeysAheadMax = 20'000;
  static constexpr std::size_t kKeyBytesAheadMax = std::size_t{16} << 20;
  static constexpr std::size_t kScanCount = 5'000;
  static constexpr std::size_t kMeasuresMax = 4;

  struct Measured {
    std::string key;
    std::int64_t expiry_ms = 0;
    std::size_t bytes = 0;
  };
  struct Measure {
    std::vector<std::string> keys;
    Replies replies;
  };
  struct Fetch {
    std::vector<Measured> keys;
    std::size_t bytes = 0;
    Replies replies;
  };

  void StartScan();
  std::optional<Error> TakeScan();
  void StartMeasures();
  void TakeMeasure();
  void StartFetches();
  std::optional<Error> TakeFetch(std::vector<Entry>& batch);
  // By itself, until the value and its expiry belong together.
  std::optional<Error> FetchAlone(const std::string& key, std::vector<Entry>& batch);

  Client& client_;
  const CallOptions call_;
  const std::string match_;
  TransferCounts& counts_;
  std::string cursor_ = "0";
  bool walked_ = false;
  std::optional<Operation<Result<Value>>> scan_;
  std::deque<std::string> keys_;
  std::deque<Measure> measures_;
  std::deque<Measured> measured_;
  // Of the keys in these three.
  std::size_t keys_ahead_ = 0;
  std::size_t key_bytes_ahead_ = 0;
  std::deque<Fetch> fetches_;
  std::size_t fetch_bytes_ = 0;
  std::uint64_t keys_read_ = 0;
  std::uint64_t keys_all_ = 0;
};

class RingWriter final : public EntrySink {
 public:
  // `if_absent`: keys that are there are left as they are, and counted as skipped.
  RingWriter(Client& client, const CallOptions& call, bool if_absent, TransferCounts& counts);

  std::optional<Error> Write(std::vector<Entry> batch) override;
  std::optional<Error> Finish() override;
  void Abandon() override { (void)Finish(); }

 private:
  struct Flight {
    std::vector<Command> commands;
    std::size_t bytes = 0;
    Operation<std::vector<Result<Value>>> replies;
  };

  std::optional<Error> Send();
  std::optional<Error> Settle();
  std::optional<Error> StoreAgain(const Command& command, Error first);
  void CountStored(const Command& command);
  void CountAnswer(const Command& command, const Value& answer);

  Client& client_;
  const CallOptions call_;
  const bool if_absent_;
  TransferCounts& counts_;
  std::vector<Command> commands_;  // not yet sent
  std::size_t bytes_ = 0;
  std::deque<Flight> flights_;
  std::size_t flight_bytes_ = 0;
  bool given_up_ = false;  // the ring does not come back: nothing is tried again
  // Of the commands above: a key comes once at a time, so that of two records the later one stays.
  std::unordered_set<std::string> keys_;
};

// The pattern of the keys that begin with `prefix`.
std::string PatternOfPrefix(std::string_view prefix);

}  // namespace gyre::client
