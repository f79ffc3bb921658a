// Keys that many clients increment by one.
//
// A read must lie between what was acknowledged before it began and what was issued and not refused
// before it ended; at the end: acknowledged <= value <= acknowledged + unknown. The number that an
// increment is answered with belongs to it alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "history/violation.h"

namespace gyre::history {

class Counters {
 public:
  explicit Counters(Violations& violations) : violations_(violations) {}

  void Issue(const std::string& key) { ++keys_[key].issued; }
  // `result`: the answer; 0 if it is not known.
  void Acknowledge(const std::string& key, std::uint64_t result, const std::string& when);
  void Refuse(const std::string& key) { ++keys_[key].refused; }

  std::uint64_t Floor(const std::string& key) const;
  void Judge(const std::string& key, std::uint64_t floor, std::optional<std::uint64_t> read,
             bool is_final, const std::string& when);

 private:
  struct Counter {
    std::uint64_t issued = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t refused = 0;
    std::set<std::uint64_t> results;
    std::optional<std::uint64_t> final;
    std::uint64_t final_issued = 0;  // nobody incremented since
  };
  Violations& violations_;
  std::map<std::string, Counter> keys_;
};

}  // namespace gyre::history
