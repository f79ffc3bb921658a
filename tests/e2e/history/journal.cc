#include "e2e/history/journal.h"

#include <chrono>
#include <utility>

namespace gyre::e2e {
namespace {

std::int64_t NowMicroseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Journal::Journal(const std::string& path, const history::Promise& promise, bool evicts)
    : recording_(!path.empty()), history_(promise) {
  if (evicts) history_.AllowMisses();
  if (!recording_) return;
  file_.open(path, std::ios::trunc);
  history_.set_sink([this](const history::Event& event) { file_ << ToLine(event) << '\n'; });
}

history::Operation Journal::Begin(history::Operation operation) {
  std::lock_guard lock(mutex_);
  return history_.Begin(std::move(operation), NowMicroseconds());
}

void Journal::End(const history::Operation& operation, WriteOutcome outcome, std::uint64_t result) {
  std::lock_guard lock(mutex_);
  EndLocked(operation, outcome, NowMicroseconds(), result);
}

void Journal::EndLocked(const history::Operation& operation, WriteOutcome outcome, std::int64_t now,
                        std::uint64_t result) {
  switch (outcome) {
    case WriteOutcome::kAcknowledged:
      return history_.Acknowledge(operation, now, result);
    case WriteOutcome::kRefused:
      return history_.Refuse(operation, now);
    case WriteOutcome::kUnknown:
      return history_.Unknown(operation, now);
  }
}

void Journal::BeginAll(std::vector<history::Operation>& operations) {
  std::lock_guard lock(mutex_);
  const std::int64_t now = NowMicroseconds();
  for (history::Operation& each : operations) each = history_.Begin(each, now);
}

void Journal::EndAll(std::vector<history::Operation> operations, WriteOutcome outcome,
                     const std::string& error) {
  std::lock_guard lock(mutex_);
  const std::int64_t now = NowMicroseconds();
  for (history::Operation& each : operations) {
    each.note = error;
    EndLocked(each, outcome, now, 0);
  }
}

std::vector<history::Read> Journal::BeginReads(std::uint32_t client,
                                               const std::vector<std::string>& keys,
                                               std::uint64_t step) {
  std::lock_guard lock(mutex_);
  const std::int64_t now = NowMicroseconds();
  std::vector<history::Read> reads;
  for (const std::string& key : keys) reads.push_back(history_.BeginRead(client, key, now, step));
  return reads;
}

void Journal::EndReads(const std::vector<history::Read>& reads,
                       const std::vector<history::ReadValue>& values) {
  std::lock_guard lock(mutex_);
  const std::int64_t now = NowMicroseconds();
  for (std::size_t i = 0; i < reads.size(); ++i) {
    history_.EndRead(reads[i], values[i], now, [] { return std::string("by MGET"); });
  }
}

void Journal::BeginCut(history::Cut cut) {
  std::lock_guard lock(mutex_);
  history_.BeginCut(NowMicroseconds(), cut);
}

void Journal::EndCut() {
  std::lock_guard lock(mutex_);
  history_.EndCut(NowMicroseconds());
}

void Journal::FinalRead(std::uint32_t client, const std::string& key,
                        const history::ReadValue& value, const std::string& note) {
  std::lock_guard lock(mutex_);
  const std::int64_t now = NowMicroseconds();
  const history::Read read = history_.BeginRead(client, key, now);
  history_.EndRead(
      read, value, now, [&note] { return note; }, true);
}

void Journal::Unreadable(const std::string& key, const std::string& why) {
  std::lock_guard lock(mutex_);
  history_.Violate(history::Fault::kUnreadable, key, key + " cannot be read: " + why);
}

Journal::Verdict Journal::verdict() const {
  std::lock_guard lock(mutex_);
  Verdict verdict;
  const history::Violations& violations = history_.violations();
  const auto word = [](const history::Violation& each) {
    return std::string(NameOf(each.fault)) + ": " + each.text;
  };
  verdict.violations = violations.count();
  verdict.late = violations.count(history::Fault::kLate);
  verdict.beyond = violations.count_beyond();
  for (const history::Violation& each : violations.kept()) verdict.texts.push_back(word(each));
  for (const history::Violation& each : violations.beyond()) {
    verdict.beyond_texts.push_back(word(each));
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(history::Fault::kCount); ++i) {
    const auto fault = static_cast<history::Fault>(i);
    if (violations.count(fault) == 0) continue;
    verdict.by_fault[std::string(NameOf(fault))] = violations.count(fault);
  }
  verdict.checked = history_.Checked();
  return verdict;
}

}  // namespace gyre::e2e
