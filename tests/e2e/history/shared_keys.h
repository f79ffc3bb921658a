// Keys that several clients write: counters, which all increment, and keys that all change by
// compare-and-set. Each contender is a thread that does one thing at a time, as an application's
// would: a step is an increment of the next counter and a swap of the next key, then a pause.
#pragma once

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

class SharedKeys {
 public:
  struct Names {
    std::vector<std::string> counters;
    std::vector<std::string> swaps;
  };
  // The contender numbered n uses the client numbered n mod clients. All outlive this.
  SharedKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures, Names names,
             std::size_t contenders, std::chrono::microseconds pause);
  ~SharedKeys();
  SharedKeys(const SharedKeys&) = delete;
  SharedKeys& operator=(const SharedKeys&) = delete;

  void Resume();
  // Returns once nothing is under way.
  void Pause();

 private:
  void Run(std::size_t contender);
  void Increment(client::Client& client, std::uint32_t id, const std::string& key);
  void Swap(client::Client& client, std::uint32_t id, const std::string& key);

  std::vector<client::Client>& clients_;
  Journal& journal_;
  Figures& figures_;
  const Names names_;
  const std::chrono::microseconds pause_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t busy_ = 0;
  bool running_ = false;
  bool ending_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace gyre::e2e
