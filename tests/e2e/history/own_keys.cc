#include "e2e/history/own_keys.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "e2e/history/outcome.h"

namespace gyre::e2e {
namespace {

std::uint64_t NumberOf(const std::string& text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

OwnKeys::OwnKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures,
                 const std::vector<std::string>& names, std::size_t value_bytes, bool may_miss,
                 std::chrono::microseconds interval)
    : clients_(clients),
      journal_(journal),
      figures_(figures),
      value_bytes_(value_bytes),
      may_miss_(may_miss),
      interval_(interval) {
  for (const std::string& name : names) {
    Key& key = keys_.emplace_back();
    key.name = name;
    key.index = keys_.size() - 1;
    key.partition = clients_.front().Locate(name).partition;
  }
  thread_ = std::thread([this] { Run(); });
}

OwnKeys::~OwnKeys() {
  Pause();
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void OwnKeys::Resume() {
  {
    std::lock_guard lock(mutex_);
    running_ = true;
  }
  changed_.notify_all();
}

void OwnKeys::Pause() {
  std::unique_lock lock(mutex_);
  running_ = false;
  changed_.wait(lock, [this] { return in_flight_ == 0; });
}

void OwnKeys::Run() {
  const auto step = interval_ / static_cast<std::int64_t>(keys_.size());
  Instant next = std::chrono::steady_clock::now();
  for (std::size_t at = 0;; at = (at + 1) % keys_.size()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return running_ || ending_; });
      if (ending_) return;
    }
    // A thread that got no processor does not make up for it with a burst.
    next = std::max(next + step, std::chrono::steady_clock::now() - interval_);
    std::this_thread::sleep_until(next);
    Visit(keys_[at]);
  }
}

void OwnKeys::Visit(Key& key) {
  bool reads = false;
  bool writes = false;
  {
    std::lock_guard lock(mutex_);
    if (!running_) return;
    reads = reads_in_flight_ < kReadsInFlightMax;
    writes = !std::exchange(key.writing, true);
    reads_in_flight_ += reads ? 1 : 0;
    in_flight_ += (reads ? 1 : 0) + (writes ? 1 : 0);
  }
  if (reads) Read(key);
  if (writes) Write(key);
}

void OwnKeys::Read(Key& key) {
  const Instant begun = std::chrono::steady_clock::now();
  Seen floor;
  {
    std::lock_guard lock(mutex_);
    floor = key.acknowledged;
  }
  clients_[key.index % clients_.size()].GetAsync(key.name).Then(
      [this, &key, begun, floor](const auto& result) { OnRead(key, begun, floor, result); });
}

void OwnKeys::OnRead(Key& key, Instant begun, const Seen& floor,
                     const client::Result<std::optional<client::Record>>& result) {
  const Instant ended = std::chrono::steady_clock::now();
  bool stale = false;
  {
    std::lock_guard lock(mutex_);
    if (result && *result) {
      stale = NumberOf((*result)->value) < floor.number;
    } else if (result) {
      stale = !may_miss_ && floor.number > 0 && !floor.is_delete && key.last_delete < floor.number;
    }
  }
  figures_.ReadDone(key.index, begun, ended, result ? "" : result.error().message, stale);
  std::lock_guard lock(mutex_);
  --reads_in_flight_;
  if (--in_flight_ == 0) changed_.notify_all();
}

void OwnKeys::Write(Key& key) {
  history::Operation operation{.kind = history::Kind::kSet,
                               .client = static_cast<std::uint32_t>(key.index),
                               .key = key.name,
                               .partition = key.partition};
  // Only this key's writer changes these, and it is at rest.
  if (++key.writes % kDeleteEvery == 0) operation.kind = history::Kind::kDelete;
  operation = journal_.Begin(std::move(operation));
  if (operation.kind == history::Kind::kDelete) {
    std::lock_guard lock(mutex_);
    key.last_delete = operation.number;
  }
  client::Client& client = clients_[key.index % clients_.size()];
  auto done = [this, &key, operation](const client::Result<bool>& result) {
    OnWritten(key, operation, result);
  };
  if (operation.kind == history::Kind::kDelete) {
    client.DelAsync(key.name).Then(std::move(done));
  } else {
    std::string value = std::to_string(operation.number);
    value.resize(std::max(value.size(), value_bytes_), ' ');
    client.SetAsync(key.name, value).Then(std::move(done));
  }
}

void OwnKeys::OnWritten(Key& key, const history::Operation& operation,
                        const client::Result<bool>& result) {
  const Instant ended = std::chrono::steady_clock::now();
  const WriteOutcome outcome = OutcomeOf(result);
  journal_.EndAll({operation}, outcome, result ? "" : result.error().message);
  figures_.WriteDone(key.index, outcome, ended, result ? "" : result.error().message);
  std::lock_guard lock(mutex_);
  if (outcome == WriteOutcome::kAcknowledged) {
    key.acknowledged = {operation.number, operation.kind == history::Kind::kDelete};
  }
  key.writing = false;
  if (--in_flight_ == 0) changed_.notify_all();
}

}  // namespace gyre::e2e
