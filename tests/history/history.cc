#include "history/history.h"

#include <utility>

namespace gyre::history {

History::Sort History::SortOf(Kind kind) {
  if (kind == Kind::kIncrement) return Sort::kCounter;
  return kind == Kind::kSwap ? Sort::kSwaps : Sort::kRegister;
}

void History::Tell(What what, const Operation& operation, std::int64_t now, std::uint64_t result) {
  if (!sink_) return;
  Event event{what, operation.kind, operation.client, operation.key, operation.number};
  event.token = operation.token;
  event.previous = operation.previous;
  event.result = result;
  event.start = operation.start;
  event.end = what == What::kIssue ? 0 : now;
  event.partition = operation.partition;
  event.group = operation.group;
  event.note = operation.note;
  sink_(event);
}

void History::TellCut(What what, std::int64_t now, Cut cut) {
  if (!sink_) return;
  Event event;
  event.what = what;
  event.kind = Kind::kGet;
  event.start = now;
  event.is_divided = cut == Cut::kDivided;
  sink_(event);
}

Operation History::Begin(Operation operation, std::int64_t now) {
  const Sort sort = SortOf(operation.kind);
  const Sort known = sorts_.try_emplace(operation.key, sort).first->second;
  if (sort != known) {
    Violate(Fault::kOther, operation.key,
            operation.key + " is used as two of: a register, a counter, a key of swaps");
  }
  operation.start = now;
  switch (sort) {
    case Sort::kRegister:
      if (operation.number == 0) operation.number = registers_.NextNumber(operation.key);
      registers_.Issue(operation.key, operation.number, operation.kind == Kind::kDelete);
      streams_.Issue({operation.key, operation.number, operation.kind == Kind::kDelete,
                      operation.partition, operation.group},
                     now);
      ++writes_;
      break;
    case Sort::kCounter:
      if (operation.number == 0) operation.number = next_increment_++;
      counters_.Issue(operation.key);
      break;
    case Sort::kSwaps:
      if (operation.number == 0) operation.number = tokens_.NextNumber(operation.key);
      tokens_.Issue(operation.key, operation.number, operation.previous, operation.token);
      break;
  }
  Tell(What::kIssue, operation, now);
  return operation;
}

void History::Acknowledge(const Operation& operation, std::int64_t now, std::uint64_t result) {
  ++acknowledged_;
  Tell(What::kAck, operation, now, result);
  const std::string when = "at " + std::to_string(now) + " us";
  switch (SortOf(operation.kind)) {
    case Sort::kRegister:
      // One that began before a cut ended may have been ordered by who is gone.
      registers_.Acknowledge(
          operation.key, operation.number,
          promise_.durable || (!streams_.cut_open() && operation.start > streams_.last_cut_end()));
      return streams_.Acknowledge(operation.key, operation.number, now);
    case Sort::kCounter:
      return counters_.Acknowledge(operation.key, result, when);
    case Sort::kSwaps:
      return tokens_.Acknowledge(operation.key, operation.number, when);
  }
}

void History::Unknown(const Operation& operation, std::int64_t now) {
  ++unknown_;
  Tell(What::kUnknown, operation, now);
}

void History::Refuse(const Operation& operation, std::int64_t now) {
  ++refused_;
  Tell(What::kRefuse, operation, now);
  switch (SortOf(operation.kind)) {
    case Sort::kRegister:
      registers_.Refuse(operation.key, operation.number);
      return streams_.Refuse(operation.key, operation.number);
    case Sort::kCounter:
      return counters_.Refuse(operation.key);
    case Sort::kSwaps:
      return tokens_.Refuse(operation.key, operation.number);
  }
}

void History::ExecutedLate(const Operation& operation, std::int64_t now) {
  Tell(What::kLate, operation, now);
  if (SortOf(operation.kind) == Sort::kRegister) {
    registers_.ExecutedLate(operation.key, operation.number);
    streams_.ExecutedLate(operation.key, operation.number);
  }
}

void History::BeginCut(std::int64_t now, Cut cut) {
  if (streams_.cut_open()) return;
  cut_ = cut;
  TellCut(What::kCut, now, cut);
  streams_.BeginCut(now);
}

void History::EndCut(std::int64_t now) {
  if (!streams_.cut_open()) return;
  TellCut(What::kHeal, now);
  streams_.EndCut(now);
  if (!promise_.durable) registers_.Forgive();
}

Read History::BeginRead(std::uint32_t client, const std::string& key, std::int64_t now,
                        std::uint64_t snapshot) const {
  Read read{client, key, 0, now, snapshot, streams_.BeginRead(key)};
  const auto sort = sorts_.find(key);
  if (sort == sorts_.end()) return read;
  switch (sort->second) {
    case Sort::kRegister:
      read.floor = registers_.Floor(key);
      break;
    case Sort::kCounter:
      read.floor = counters_.Floor(key);
      break;
    case Sort::kSwaps:
      read.floor = tokens_.Floor(key);
      break;
  }
  return read;
}

void History::EndRead(const Read& read, const ReadValue& value, std::int64_t now,
                      const std::function<std::string()>& note, bool is_final) {
  ++reads_;
  if (sink_) {
    Event event{What::kRead, Kind::kGet, read.client, read.key, value.number};
    event.token = value.token;
    event.start = read.start;
    event.end = now;
    event.is_final = is_final;
    event.group = read.snapshot;
    sink_(event);
  }
  // The note is dear; so violations are worded without it and then get it.
  const std::uint64_t before = violations_.found();
  const std::string when = "at " + std::to_string(now) + " us";
  const auto sort = sorts_.find(read.key);
  switch (sort == sorts_.end() ? Sort::kRegister : sort->second) {
    case Sort::kRegister:
      JudgeRegister(read, value, now, is_final, when);
      break;
    case Sort::kCounter:
      counters_.Judge(read.key, read.floor, value.number, is_final, when);
      break;
    case Sort::kSwaps:
      tokens_.Judge(read.key, read.floor, value.number, value.token, is_final, when);
      break;
  }
  if (violations_.found() != before && note) violations_.Annotate(before, note());
}

void History::JudgeRegister(const Read& read, const ReadValue& value, std::int64_t now,
                            bool is_final, const std::string& when) {
  const std::uint64_t before = violations_.found();
  const bool cut = streams_.cut_open() || streams_.cuts_begun() != read.before.cuts;
  const bool divided = cut && cut_ == Cut::kDivided && !is_final;
  if (promise_.fresh || is_final) {
    const bool binds = !divided && (!cut || promise_.durable);
    registers_.Judge(read.key, binds ? read.floor : 0, value.number, is_final, when);
  }
  // Final reads with no write between are of one state: a snapshot, of a number that no caller has.
  constexpr std::uint64_t kFinal = std::uint64_t{1} << 63;
  const std::uint64_t step = divided ? 0 : read.snapshot;  // sides meet record by record
  const std::uint64_t snapshot = is_final && step == 0 ? kFinal + writes_ : step;
  streams_.Judge({read.key, value.number, read.start, now, snapshot, read.before,
                  violations_.found() != before, when});
}

std::string History::Checked() const {
  return std::to_string(streams_.cuts_begun()) + " cuts, " + std::to_string(streams_.groups()) +
         " groups; reads after a cut showed " + std::to_string(streams_.survivals()) +
         " times that a write from before it was there, and " + std::to_string(streams_.losses()) +
         " times that one was not";
}

void History::Violate(Fault fault, const std::string& key, std::string what) {
  violations_.Add(fault, key, std::move(what));
}

std::vector<std::string> History::keys() const {
  std::vector<std::string> keys;
  keys.reserve(sorts_.size());
  for (const auto& [key, sort] : sorts_) keys.push_back(key);
  return keys;
}

}  // namespace gyre::history
