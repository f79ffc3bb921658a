#include "history/registers.h"

#include <algorithm>

namespace gyre::history {
namespace {

std::string Said(std::optional<std::uint64_t> read) {
  return read ? "reads " + std::to_string(*read) : "is missing";
}

}  // namespace

void Registers::Issue(const std::string& key, std::uint64_t number, bool is_delete) {
  Register& each = keys_[key];
  each.issued = std::max(each.issued, number);
  each.all.insert(number);
  if (is_delete) each.deletions.insert(number);
  each.final.reset();
}

void Registers::Acknowledge(const std::string& key, std::uint64_t number, bool binds) {
  Register& each = keys_[key];
  if (binds) each.acknowledged = std::max(each.acknowledged, number);
  each.acked.insert(number);
}

void Registers::Refuse(const std::string& key, std::uint64_t number) {
  keys_[key].refused.insert(number);
}

void Registers::ExecutedLate(const std::string& key, std::uint64_t number) {
  keys_[key].late.insert(number);
}

void Registers::Forgive() {
  for (auto& [key, each] : keys_) each.acknowledged = 0;
}

std::uint64_t Registers::Floor(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? 0 : found->second.acknowledged;
}

void Registers::Judge(const std::string& key, std::uint64_t floor,
                      std::optional<std::uint64_t> read, bool is_final, const std::string& when) {
  Register& each = keys_[key];
  if (read) {
    JudgeNumber(key, each, floor, *read, when);
  } else {
    JudgeMiss(key, each, floor, when);
  }
  if (!is_final || (may_miss_ && !read)) return;
  if (each.final && *each.final != read) {
    violations_.Add(Fault::kDiverged, key,
                    when + ": " + key + " " + Said(read) + ", another final read says that it " +
                        Said(*each.final));
  }
  each.final = read;
}

void Registers::JudgeMiss(const std::string& key, const Register& each, std::uint64_t floor,
                          const std::string& when) {
  if (may_miss_ || floor == 0 || each.deletions.contains(floor)) return;
  const auto explains = [&each](std::uint64_t deletion) {
    return !each.refused.contains(deletion);
  };
  if (std::any_of(each.deletions.upper_bound(floor), each.deletions.end(), explains)) return;
  const auto late = [&each](std::uint64_t number) { return each.deletions.contains(number); };
  if (std::any_of(each.late.begin(), each.late.end(), late)) return;
  const bool unknown = std::any_of(
      each.deletions.begin(), each.deletions.lower_bound(floor), [&each](std::uint64_t deletion) {
        return !each.acked.contains(deletion) && !each.refused.contains(deletion);
      });
  violations_.Add(unknown ? Fault::kLate : Fault::kLost, key,
                  when + ": " + key + " is missing, write " + std::to_string(floor) +
                      " was acknowledged" +
                      (unknown ? ", an older deletion has an unknown outcome" : ""));
}

void Registers::JudgeNumber(const std::string& key, const Register& each, std::uint64_t floor,
                            std::uint64_t number, const std::string& when) {
  const std::string reads = when + ": " + key + " reads " + std::to_string(number);
  if (!each.all.contains(number) || each.deletions.contains(number) ||
      each.refused.contains(number)) {
    violations_.Add(Fault::kInvented, key, reads + ", which was never stored");
    return;
  }
  if (number >= floor || each.late.contains(number)) return;
  const std::string after = ", write " + std::to_string(floor) + " was acknowledged";
  if (!each.acked.contains(number)) {
    violations_.Add(Fault::kLate, key, reads + ", of unknown outcome" + after);
    return;
  }
  const auto acked = [&each](std::uint64_t deletion) { return each.acked.contains(deletion); };
  const bool deleted =
      std::any_of(each.deletions.upper_bound(number), each.deletions.upper_bound(floor), acked);
  violations_.Add(deleted ? Fault::kResurrected : Fault::kLost, key,
                  reads + (deleted ? ", which was deleted" : "") + after);
}

}  // namespace gyre::history
