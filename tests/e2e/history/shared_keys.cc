#include "e2e/history/shared_keys.h"

#include <charconv>
#include <utility>

#include "e2e/history/outcome.h"

namespace gyre::e2e {
namespace {

using history::Kind;

// Clients of the history: writers of own keys count from 0, and there are fewer of them than this.
constexpr std::uint32_t kFirstContender = 1'000'000;

}  // namespace

SharedKeys::SharedKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures,
                       Names names, std::size_t contenders, std::chrono::microseconds pause)
    : clients_(clients),
      journal_(journal),
      figures_(figures),
      names_(std::move(names)),
      pause_(pause) {
  for (std::size_t i = 0; i < contenders; ++i) {
    threads_.emplace_back([this, i] { Run(i); });
  }
}

SharedKeys::~SharedKeys() {
  {
    std::lock_guard lock(mutex_);
    running_ = false;
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SharedKeys::Resume() {
  {
    std::lock_guard lock(mutex_);
    running_ = true;
  }
  changed_.notify_all();
}

void SharedKeys::Pause() {
  std::unique_lock lock(mutex_);
  running_ = false;
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void SharedKeys::Run(std::size_t contender) {
  const auto id = static_cast<std::uint32_t>(kFirstContender + contender);
  client::Client& client = clients_[contender % clients_.size()];
  for (std::size_t step = contender;; ++step) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return running_ || ending_; });
      if (ending_) return;
      ++busy_;
    }
    if (!names_.counters.empty()) {
      Increment(client, id, names_.counters[step % names_.counters.size()]);
    }
    if (!names_.swaps.empty()) Swap(client, id, names_.swaps[step % names_.swaps.size()]);
    {
      std::lock_guard lock(mutex_);
      if (--busy_ == 0) changed_.notify_all();
    }
    std::this_thread::sleep_for(pause_);
  }
}

void SharedKeys::Increment(client::Client& client, std::uint32_t id, const std::string& key) {
  const auto operation = journal_.Begin({.kind = Kind::kIncrement, .client = id, .key = key});
  const client::Result<std::int64_t> sum = client.Incr(key);
  const WriteOutcome outcome = OutcomeOf(sum);
  journal_.End(operation, outcome, sum ? static_cast<std::uint64_t>(*sum) : 0);
  figures_.SharedDone(outcome, sum ? "" : sum.error().message);
}

void SharedKeys::Swap(client::Client& client, std::uint32_t id, const std::string& key) {
  const auto record = client.Get(key);
  if (!record) return;
  history::Operation operation{.kind = Kind::kSwap, .client = id, .key = key};
  if (*record) {
    const std::string& value = (*record)->value;
    std::from_chars(value.data(), value.data() + value.size(), operation.previous);
    operation.token = (*record)->version;
  }
  operation = journal_.Begin(std::move(operation));
  const std::string value = std::to_string(operation.number);
  const client::Result<bool> won =
      *record ? client.CompareAndSet(key, value, operation.token)
              : client.Set(key, value, {.condition = client::SetOptions::Condition::kIfAbsent});
  // A race that was lost is an answer; for the history it did nothing.
  const bool lost = won && !*won;
  journal_.End(operation, lost ? WriteOutcome::kRefused : OutcomeOf(won));
  if (!lost) figures_.SharedDone(OutcomeOf(won), won ? "" : won.error().message);
}

}  // namespace gyre::e2e
