#include "e2e/history/group_keys.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "e2e/history/outcome.h"

namespace gyre::e2e {
namespace {

// Clients of the history: beyond those of the shared keys (1'000'000) and of the judge (2'000'000).
constexpr std::uint32_t kFirstWriter = 3'000'000;
constexpr std::uint32_t kReader = 4'000'000;

history::ReadValue ValueOf(const client::Value& value) {
  if (value.is_null()) return {};
  std::uint64_t number = 0;
  std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  return {number, 0};
}

}  // namespace

GroupKeys::GroupKeys(std::vector<client::Client>& clients, Journal& journal, Figures& figures,
                     std::size_t sets, std::size_t value_bytes, std::chrono::microseconds interval)
    : clients_(clients),
      journal_(journal),
      figures_(figures),
      value_bytes_(value_bytes),
      interval_(interval) {
  std::uint32_t id = kFirstWriter;
  for (std::size_t at = 0; at < sets; ++at) {
    Set& set = sets_.emplace_back();
    set.tag = "{group:" + std::to_string(at) + "}";
    const std::uint32_t partition = clients_.front().Locate(set.tag).partition;
    set.writers.push_back({{}, id++, partition});
    for (std::size_t i = 0; i < kMembers; ++i) {
      set.writers.front().names.push_back("member:" + std::to_string(i));
    }
    for (std::size_t i = 0; i < kSingles; ++i) {
      set.writers.push_back({{"single:" + std::to_string(i)}, id++, partition});
    }
  }
  if (!sets_.empty()) thread_ = std::thread([this] { Run(); });
}

GroupKeys::~GroupKeys() {
  Pause();
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GroupKeys::Resume() {
  {
    std::lock_guard lock(mutex_);
    running_ = true;
  }
  changed_.notify_all();
}

void GroupKeys::Pause() {
  std::unique_lock lock(mutex_);
  running_ = false;
  changed_.wait(lock, [this] { return in_flight_ == 0; });
}

void GroupKeys::NoteCut() {
  std::lock_guard lock(mutex_);
  switch_at_ = std::chrono::steady_clock::now() + kSwitchAfter;
}

std::string GroupKeys::BlockOf(const Set& set, std::size_t bank, std::size_t block) {
  return set.tag + std::to_string(bank) + ":" + std::to_string(block) + ":";
}

std::vector<std::string> GroupKeys::KeysOf(const Set& set, const std::string& block) {
  std::vector<std::string> keys;
  for (const Writer& writer : set.writers) {
    for (const std::string& name : writer.names) keys.push_back(block + name);
  }
  return keys;
}

std::vector<std::vector<std::string>> GroupKeys::blocks() const {
  std::vector<std::vector<std::string>> blocks;
  for (const Set& set : sets_) {
    for (std::size_t at = 0; at < kBanks * kBlocks; ++at) {
      blocks.push_back(KeysOf(set, BlockOf(set, at / kBlocks, at % kBlocks)));
    }
  }
  return blocks;
}

void GroupKeys::Run() {
  const auto step = interval_ / static_cast<std::int64_t>(sets_.size());
  Instant next = std::chrono::steady_clock::now();
  for (std::size_t at = 0;; at = (at + 1) % sets_.size()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return running_ || ending_; });
      if (ending_) return;
    }
    next = std::max(next + step, std::chrono::steady_clock::now() - interval_);
    std::this_thread::sleep_until(next);
    Visit(sets_[at]);
  }
}

void GroupKeys::Visit(Set& set) {
  bool reads = false;
  std::vector<Writer*> writers;
  std::string block;
  {
    std::lock_guard lock(mutex_);
    if (!running_) return;
    if (std::chrono::steady_clock::now() >= switch_at_) {
      switch_at_ = Instant::max();
      bank_ = (bank_ + 1) % kBanks;
    }
    block = BlockOf(set, bank_, ++set.turn % kBlocks);
    reads = reads_in_flight_ < kReadsInFlightMax;
    if (reads) ++reads_in_flight_;
    for (Writer& writer : set.writers) {
      if (!std::exchange(writer.writing, true)) writers.push_back(&writer);
    }
    in_flight_ += writers.size() + (reads ? 1 : 0);
  }
  for (Writer* writer : writers) Write(set, block, *writer);
  if (reads) Read(set, block);
}

void GroupKeys::Done() {
  std::lock_guard lock(mutex_);
  if (--in_flight_ == 0) changed_.notify_all();
}

void GroupKeys::Read(Set& set, const std::string& block) {
  const std::vector<std::string> keys = KeysOf(set, block);
  client::Command command = {"MGET"};
  command.insert(command.end(), keys.begin(), keys.end());
  auto reads = journal_.BeginReads(kReader, keys, ++reads_);
  NextClient(set).ExecuteAsync(command).Then(
      [this, reads = std::move(reads)](const client::Result<client::Value>& result) {
        if (result && result->elements.size() == reads.size()) {
          std::vector<history::ReadValue> values;
          for (const client::Value& each : result->elements) values.push_back(ValueOf(each));
          journal_.EndReads(reads, values);
        }
        {
          std::lock_guard lock(mutex_);
          --reads_in_flight_;
        }
        Done();
      });
}

void GroupKeys::Write(Set& set, const std::string& block, Writer& writer) {
  // Only this thread counts, and only while the writer is at rest.
  const bool deletes = ++writer.writes % kDeleteEvery == 0;
  const bool is_group = writer.names.size() > 1;
  history::Operation operation{.kind = deletes ? history::Kind::kDelete : history::Kind::kSet,
                               .client = writer.id};
  operation.partition = writer.partition;
  if (is_group) operation.group = ++groups_;
  std::vector<history::Operation> operations;
  for (std::size_t i = 0; i < writer.names.size(); ++i) {
    if (is_group && i == writer.writes % (writer.names.size() + 1)) continue;  // not always all
    operation.key = block + writer.names[i];
    operations.push_back(operation);
  }
  journal_.BeginAll(operations);
  client::Command command = {deletes ? "DEL" : "MSET"};
  for (const history::Operation& each : operations) {
    command.push_back(each.key);
    if (deletes) continue;
    std::string value = std::to_string(each.number);
    value.resize(std::max(value.size(), value_bytes_), ' ');
    command.push_back(std::move(value));
  }
  NextClient(set).ExecuteAsync(command).Then(
      [this, &writer, operations](const client::Result<client::Value>& result) {
        const WriteOutcome outcome = OutcomeOf(result);
        const std::string error = result ? "" : result.error().message;
        journal_.EndAll(operations, outcome, error);
        figures_.SharedDone(outcome, error);
        {
          std::lock_guard lock(mutex_);
          writer.writing = false;
        }
        Done();
      });
}

}  // namespace gyre::e2e
