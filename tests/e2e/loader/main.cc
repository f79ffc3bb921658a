// Loads key<TAB>value lines from standard input through the client library, and counts.
//
//   e2e_loader HOST:PORT[,HOST:PORT...] < lines
//
// A key ends at the first tab; its value is the rest of the line, further tabs included. Lines are
// written in batches (Client::MSet) by two threads, so that the client is shared as an application
// would. Prints "stored N" and exits 0 if every line was acknowledged, else the first error, and 1.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gyre/client.h"

namespace {

using gyre::client::Client;
using gyre::client::KeyValue;

constexpr std::size_t kBatchEntries = 1000;
constexpr int kThreads = 2;

// Hands out batches of standard input; thread-safe.
class Lines {
 public:
  // False: the input has ended.
  bool Next(std::vector<KeyValue>& batch) {
    std::lock_guard lock(mutex_);
    batch.clear();
    std::string line;
    while (batch.size() < kBatchEntries && std::getline(std::cin, line)) {
      const std::size_t tab = line.find('\t');
      if (tab == std::string::npos) continue;
      batch.push_back({line.substr(0, tab), line.substr(tab + 1)});
    }
    return !batch.empty();
  }

 private:
  std::mutex mutex_;
};

class Tally {
 public:
  void Stored(std::size_t count) {
    std::lock_guard lock(mutex_);
    stored_ += count;
  }
  void Failed(const std::string& reason) {
    std::lock_guard lock(mutex_);
    if (failed_++ == 0) first_failure_ = reason;
  }
  int Report() const {
    if (failed_ > 0) {
      std::fprintf(stderr, "%zu of %zu not stored; first: %s\n", failed_, failed_ + stored_,
                   first_failure_.c_str());
      return 1;
    }
    std::printf("stored %zu\n", stored_);
    return 0;
  }

 private:
  std::mutex mutex_;
  std::size_t stored_ = 0;
  std::size_t failed_ = 0;
  std::string first_failure_;
};

void Load(Client& client, Lines& lines, Tally& tally) {
  std::vector<KeyValue> batch;
  while (lines.Next(batch)) {
    const auto results = client.MSet(batch, {}, {.deadline = std::chrono::seconds(10)});
    std::size_t stored = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i].ok() && *results[i]) {
        ++stored;
      } else {
        tally.Failed(batch[i].key + ": " +
                     (results[i].ok() ? "refused" : results[i].error().message));
      }
    }
    tally.Stored(stored);
  }
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: e2e_loader HOST:PORT[,HOST:PORT...] < lines\n");
    return 2;
  }
  std::ios::sync_with_stdio(false);
  auto client = Client::Connect({.seeds = SplitAtCommas(argv[1])});
  if (!client) {
    std::fprintf(stderr, "%s\n", client.error().message.c_str());
    return 3;
  }
  Lines lines;
  Tally tally;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] { Load(*client, lines, tally); });
  }
  for (std::thread& thread : threads) thread.join();
  return tally.Report();
}
