// Keys with one writer each, and readers of them: the load that shows what a fault costs.
//
// One thread walks over the keys, each of them once an interval. It reads the key, whether or not
// the last read was answered (so a node that stands still delays every read of its keys, as it
// would delay independent users); and it writes the next number, unless the last write is still
// under way. Each kDeleteEvery-th write is a deletion.
//
// Every read is judged when its answer comes: one that shows less than what was acknowledged before
// the read began is stale. (What the keys hold after a fault is the checker's matter.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/history/figures.h"
#include "e2e/history/journal.h"
#include "gyre/client.h"

namespace gyre::e2e {

class OwnKeys {
 public:
  // The key numbered n goes through the client numbered n mod clients. All outlive this. Values are
  // numbers, with blanks behind them up to `value_bytes`. `may_miss`: the ring evicts, and a read that
  // finds nothing is not stale.
  OwnKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures,
          const std::vector<std::string>& names, std::size_t value_bytes, bool may_miss,
          std::chrono::microseconds interval);
  ~OwnKeys();
  OwnKeys(const OwnKeys&) = delete;
  OwnKeys& operator=(const OwnKeys&) = delete;

  void Resume();
  // Returns once nothing is under way.
  void Pause();

 private:
  static constexpr std::uint64_t kDeleteEvery = 4;
  static constexpr std::size_t kReadsInFlightMax = 1 << 16;

  // A write as its key's writer knows it.
  struct Seen {
    std::uint64_t number = 0;
    bool is_delete = false;
  };
  struct Key {
    std::string name;
    std::size_t index = 0;
    std::uint32_t partition = 0;
    bool writing = false;
    std::uint64_t writes = 0;
    Seen acknowledged;              // the newest acknowledged write
    std::uint64_t last_delete = 0;  // the newest deletion that was tried
  };

  void Run();
  void Visit(Key& key);
  void Read(Key& key);
  void OnRead(Key& key, Instant begun, const Seen& floor,
              const client::Result<std::optional<client::Record>>& result);
  void Write(Key& key);
  void OnWritten(Key& key, const history::Operation& operation, const client::Result<bool>& result);

  std::vector<client::Client>& clients_;
  Journal& journal_;
  Figures& figures_;
  const std::size_t value_bytes_;
  const bool may_miss_;
  const std::chrono::microseconds interval_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Key> keys_;
  std::size_t in_flight_ = 0;
  std::size_t reads_in_flight_ = 0;
  bool running_ = false;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace gyre::e2e
