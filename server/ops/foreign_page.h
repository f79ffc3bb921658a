// A page of numbers as another server words it: Redis's INFO, memcached's stats. Its lines stand in
// that server's order. Numbers of our Stats that it has a name for (StatText) come by themselves:
// placed where that server has them, or else at the end.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/statistic.h"
#include "command/admin.h"

namespace gyre {

class ForeignPage {
 public:
  // `name`: &StatText::redis, &StatText::memcached.
  explicit ForeignPage(std::string_view StatText::*name) : name_(name) {}

  template <Described Stats>
  void Know(const Stats& stats) {
    for (const Statistic<Stats>& row : Stats::kStatistics) {
      const std::string_view name = row.text.*name_;
      if (!name.empty()) known_.emplace_back(name, std::to_string(stats.*row.field));
    }
  }

  void Say(std::string_view name, std::string value) {
    fields_.emplace_back(name, std::move(value));
  }
  // The next lines: numbers that are known by these names.
  void Place(std::initializer_list<std::string_view> names);
  // All lines; last those of numbers that were not placed.
  Fields Take();

 private:
  std::string_view StatText::*const name_;
  Fields known_;
  Fields fields_;
};

}  // namespace gyre
