// Keys that are written and read together: what one command does to several keys of one partition,
// and in which order the writes of a partition outlast what breaks.
//
// A set is the keys of one hash tag, in blocks: of kMembers keys, which one writer changes by MSET
// and DEL of several of them (a group), and kSingles keys with a writer each. One thread walks over
// the sets, each of them once an interval, and each time to the set's next block: it lets each writer
// write whose last write has its answer, and reads the block by one MGET, which is one step at the
// owner. So a partition has several writes under way at once.
//
// What was written just before something broke must not be overwritten before it is judged. So the
// blocks are in two banks, and soon after a cut the other one is written.
//
// Unlike those of OwnKeys, the reads are told to the checker as they come.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "e2e/history/figures.h"
#include "e2e/history/journal.h"
#include "gyre/client.h"

namespace gyre::e2e {

class GroupKeys {
 public:
  // `sets` of keys; the set numbered n is read and written through all clients in turn. All outlive
  // this. Values are numbers, with blanks behind them up to `value_bytes`.
  GroupKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures,
            std::size_t sets, std::size_t value_bytes, std::chrono::microseconds interval);
  ~GroupKeys();
  GroupKeys(const GroupKeys&) = delete;
  GroupKeys& operator=(const GroupKeys&) = delete;

  void Resume();
  // Returns once nothing is under way.
  void Pause();

  // Something is about to break.
  void NoteCut();

  // All keys, by block.
  std::vector<std::vector<std::string>> blocks() const;

 private:
  static constexpr std::size_t kBanks = 2;
  static constexpr std::size_t kBlocks = 32;  // of a bank; all are written in so many intervals
  // From a cut on, until the other bank is written: so short that most blocks stay as they were.
  static constexpr std::chrono::milliseconds kSwitchAfter{200};
  static constexpr std::size_t kMembers = 4;
  static constexpr std::size_t kSingles = 4;
  static constexpr std::uint64_t kDeleteEvery = 5;  // write of a writer
  static constexpr std::size_t kReadsInFlightMax = 1 << 12;

  struct Writer {
    std::vector<std::string> names;  // of its keys, without their block
    std::uint32_t id = 0;            // in the history
    std::uint32_t partition = 0;
    bool writing = false;
    std::uint64_t writes = 0;
  };
  struct Set {
    std::string tag;
    std::vector<Writer> writers;  // the first has several keys
    std::size_t turn = 0;         // which block is next
    std::size_t client = 0;       // and which client
  };

  void Run();
  void Visit(Set& set);
  void Read(Set& set, const std::string& block);
  void Write(Set& set, const std::string& block, Writer& writer);
  static std::string BlockOf(const Set& set, std::size_t bank, std::size_t block);
  static std::vector<std::string> KeysOf(const Set& set, const std::string& block);
  void Done();
  client::Client& NextClient(Set& set) { return clients_[++set.client % clients_.size()]; }

  std::vector<client::Client>& clients_;
  Journal& journal_;
  Figures& figures_;
  const std::size_t value_bytes_;
  const std::chrono::microseconds interval_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Set> sets_;
  std::size_t in_flight_ = 0;
  std::size_t bank_ = 0;
  Instant switch_at_ = Instant::max();
  std::uint64_t groups_ = 0;  // begun
  std::uint64_t reads_ = 0;   // likewise
  std::size_t reads_in_flight_ = 0;
  bool running_ = false;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace gyre::e2e
