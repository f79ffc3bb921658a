#include "history/counters.h"

namespace gyre::history {

void Counters::Acknowledge(const std::string& key, std::uint64_t result, const std::string& when) {
  Counter& each = keys_[key];
  ++each.acknowledged;
  if (result == 0 || each.results.insert(result).second) return;
  violations_.Add(Fault::kRepeated, key,
                  when + ": " + key + " was incremented to " + std::to_string(result) + " twice");
}

std::uint64_t Counters::Floor(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? 0 : found->second.acknowledged;
}

void Counters::Judge(const std::string& key, std::uint64_t floor, std::optional<std::uint64_t> read,
                     bool is_final, const std::string& when) {
  Counter& each = keys_[key];
  const std::uint64_t value = read.value_or(0);
  const std::uint64_t ceiling = each.issued - each.refused;
  const std::string reads = when + ": " + key + " reads " + std::to_string(value) + ", ";
  if (value < floor) {
    violations_.Add(Fault::kLost, key,
                    reads + std::to_string(floor) + " increments were acknowledged");
  } else if (value > ceiling) {
    violations_.Add(Fault::kOvercounted, key,
                    reads + "only " + std::to_string(ceiling) + " increments were issued");
  }
  if (!is_final) return;
  if (each.final && each.final_issued == each.issued && *each.final != value) {
    violations_.Add(Fault::kDiverged, key,
                    reads + "another final read says " + std::to_string(*each.final));
  }
  each.final = value;
  each.final_issued = each.issued;
}

}  // namespace gyre::history
