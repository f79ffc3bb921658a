#include "e2e/history/figures.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace gyre::e2e {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

double Milliseconds(microseconds time) { return static_cast<double>(time.count()) / 1000; }

// "127.0.0.1:7701: connection refused" and the like are one message, whatever their numbers.
std::string WithoutNumbers(const std::string& message) {
  std::string out;
  for (const char c : message) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      out += c;
    } else if (out.empty() || out.back() != '#') {
      out += '#';
    }
  }
  return out;
}

}  // namespace

Figures::Figures(std::vector<std::string> names, Instant now)
    : names_(std::move(names)), acknowledged_at_(names_.size(), now) {
  window_.name = "start";
  total_.name = "total";
  window_.begun = total_.begun = now;
}

nlohmann::json Figures::Mark(const std::string& name, Instant now) {
  std::lock_guard lock(mutex_);
  nlohmann::json ended = Print(Closed(window_, now), now);
  window_ = {};
  window_.name = name;
  window_.begun = now;
  return ended;
}

nlohmann::json Figures::Now(Instant now, bool total) const {
  std::lock_guard lock(mutex_);
  return Print(Closed(total ? total_ : window_, now), now);
}

void Figures::Pause(Instant now) {
  std::lock_guard lock(mutex_);
  window_ = Closed(window_, now);
  total_ = Closed(total_, now);
  paused_ = true;
}

void Figures::Resume(Instant now) {
  std::lock_guard lock(mutex_);
  std::fill(acknowledged_at_.begin(), acknowledged_at_.end(), now);
  paused_ = false;
}

void Figures::ReadDone(std::size_t key, Instant begun, Instant ended, const std::string& error,
                       bool stale) {
  std::lock_guard lock(mutex_);
  const auto took = duration_cast<microseconds>(ended - begun);
  for (Window* window : {&window_, &total_}) {
    ++window->reads;
    if (!error.empty()) {
      ++window->reads_failed;
      NoteError(*window, "read", error);
    }
    if (took > kSlowRead) ++window->reads_slow;
    if (stale) ++window->reads_stale;
    if (took > window->read_longest) {
      window->read_longest = took;
      window->read_longest_key = names_[key];
    }
  }
}

void Figures::WriteDone(std::size_t key, WriteOutcome outcome, Instant ended,
                        const std::string& error) {
  std::lock_guard lock(mutex_);
  for (Window* window : {&window_, &total_}) {
    Count(*window, outcome, error);
    if (outcome == WriteOutcome::kAcknowledged) NoteGap(*window, key, ended);
  }
  if (outcome == WriteOutcome::kAcknowledged) acknowledged_at_[key] = ended;
}

void Figures::SharedDone(WriteOutcome outcome, const std::string& error) {
  std::lock_guard lock(mutex_);
  for (Window* window : {&window_, &total_}) Count(*window, outcome, error);
}

void Figures::Count(Window& window, WriteOutcome outcome, const std::string& error) {
  switch (outcome) {
    case WriteOutcome::kAcknowledged:
      ++window.acknowledged;
      break;
    case WriteOutcome::kRefused:
      ++window.refused;
      NoteError(window, "refused write", error);
      break;
    case WriteOutcome::kUnknown:
      ++window.unknown;
      NoteError(window, "unknown write", error);
      break;
  }
}

void Figures::NoteError(Window& window, std::string_view what, const std::string& error) {
  const std::string message = std::string(what) + ": " + WithoutNumbers(error);
  const auto known = window.errors.find(message);
  if (known != window.errors.end()) {
    ++known->second;
  } else if (window.errors.size() < kErrorsMax) {
    window.errors.emplace(message, 1);
  }
}

void Figures::NoteGap(Window& window, std::size_t key, Instant now) const {
  const Instant since = std::max(acknowledged_at_[key], window.begun);
  const auto gap = duration_cast<microseconds>(now - since);
  if (gap <= window.gap_longest) return;
  window.gap_longest = gap;
  window.gap_longest_key = names_[key];
}

Figures::Window Figures::Closed(const Window& window, Instant now) const {
  Window closed = window;
  if (paused_) return closed;
  for (std::size_t key = 0; key < names_.size(); ++key) NoteGap(closed, key, now);
  return closed;
}

nlohmann::json Figures::Print(const Window& window, Instant now) {
  const std::chrono::duration<double> lasted = now - window.begun;
  return {{"window", window.name},
          {"seconds", lasted.count()},
          {"acknowledged", window.acknowledged},
          {"refused", window.refused},
          {"unknown", window.unknown},
          {"reads", window.reads},
          {"reads_failed", window.reads_failed},
          {"reads_slow", window.reads_slow},
          {"reads_stale", window.reads_stale},
          {"read_ms_max", Milliseconds(window.read_longest)},
          {"read_key", window.read_longest_key},
          {"write_gap_ms_max", Milliseconds(window.gap_longest)},
          {"write_gap_key", window.gap_longest_key},
          {"errors", window.errors}};
}

}  // namespace gyre::e2e
