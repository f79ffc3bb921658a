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

Journal::Journal(const std::string& path, bool evicts) : recording_(!path.empty()) {
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
  switch (outcome) {
    case WriteOutcome::kAcknowledged:
      return history_.Acknowledge(operation, NowMicroseconds(), result);
    case WriteOutcome::kRefused:
      return history_.Refuse(operation, NowMicroseconds());
    case WriteOutcome::kUnknown:
      return history_.Unknown(operation, NowMicroseconds());
  }
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
  verdict.violations = history_.violations().count();
  verdict.late = history_.violations().count(history::Fault::kLate);
  for (const history::Violation& each : history_.violations().kept()) {
    verdict.texts.push_back(std::string(NameOf(each.fault)) + ": " + each.text);
  }
  return verdict;
}

}  // namespace gyre::e2e
