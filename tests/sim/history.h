// What clients did and what they were told, and the judge of it.
//
// Each key has one writer, which writes rising numbers one after the other, so a read is judged by
// itself:
//   - it must not return less than the last acknowledged write (lost, or an old value came back);
//   - it must not miss a key whose last acknowledged write stored something, unless a deletion of
//   unknown outcome
//     followed;
//   - it must not return what was never written, or a deletion's number.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/sim_node.h"

namespace gyre::sim {

class History {
 public:
  // The number of the new write.
  std::uint64_t Issue(const std::string& key, bool is_delete) {
    KeyHistory& history = keys_[key];
    const std::uint64_t number = ++history.issued;
    if (is_delete) history.deletions.insert(number);
    return number;
  }
  void Acknowledge(const std::string& key, std::uint64_t number) {
    KeyHistory& history = keys_[key];
    history.acknowledged = std::max(history.acknowledged, number);
    ++acknowledged_;
  }
  // Nothing was done.
  void Refuse(const std::string& key, std::uint64_t number) {
    keys_[key].refused.insert(number);
    ++refused_;
  }
  void Unknown() { ++unknown_; }

  // `when` words the circumstances, for a violation's report.
  void Judge(const std::string& key, const Answer& answer,
             const std::function<std::string()>& circumstances) {
    const auto when = [&] { return circumstances() + " by " + answer.by; };
    const KeyHistory& history = keys_[key];
    if (answer.kind == Answer::Kind::kMiss) {
      ++reads_;
      if (history.acknowledged == 0 || history.deletions.contains(history.acknowledged)) return;
      // A later deletion whose outcome nobody knows explains the miss.
      for (auto each = history.deletions.upper_bound(history.acknowledged);
           each != history.deletions.end(); ++each) {
        if (!history.refused.contains(*each)) return;
      }
      Violate(when() + ": " + key + " is missing, write " + std::to_string(history.acknowledged) +
              " was acknowledged");
    } else if (answer.kind == Answer::Kind::kValue) {
      ++reads_;
      const std::uint64_t number = std::stoull(answer.value);
      if (number < history.acknowledged) {
        Violate(when() + ": " + key + " reads " + std::to_string(number) + ", write " +
                std::to_string(history.acknowledged) + " was acknowledged");
      } else if (number > history.issued || history.deletions.contains(number) ||
                 history.refused.contains(number)) {
        Violate(when() + ": " + key + " reads " + std::to_string(number) +
                ", which was never stored");
      }
    }
  }
  void Violate(std::string what) {
    if (violations_.size() < kViolationsKept) violations_.push_back(std::move(what));
  }

  const std::vector<std::string>& violations() const { return violations_; }
  std::string Report() const {
    std::string report;
    for (const std::string& each : violations_) report += each + "\n";
    return report;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, history] : keys_) keys.push_back(key);
    return keys;
  }
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t reads() const { return reads_; }
  std::uint64_t unknown() const { return unknown_; }
  std::uint64_t refused() const { return refused_; }

 private:
  static constexpr std::size_t kViolationsKept = 20;
  struct KeyHistory {
    std::uint64_t issued = 0;
    std::uint64_t acknowledged = 0;
    std::set<std::uint64_t> deletions;
    std::set<std::uint64_t> refused;
  };
  std::map<std::string, KeyHistory> keys_;
  std::vector<std::string> violations_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t unknown_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace gyre::sim
