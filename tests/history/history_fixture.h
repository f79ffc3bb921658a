// Words for tests of the judge: one client's view of a key at a time, times that grow by
// themselves.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "history/history.h"

namespace gyre::history {

class HistoryTest : public testing::Test {
 protected:
  explicit HistoryTest(const Promise& promise = {}) : history_(promise) {}

  Operation Begin(Kind kind, std::uint64_t number = 0, const std::string& key = "k") {
    return history_.Begin({kind, 1, key, number}, ++now_);
  }
  Operation Swap(std::uint64_t previous, std::uint64_t token, const std::string& key = "k") {
    return history_.Begin({Kind::kSwap, 1, key, 0, token, previous}, ++now_);
  }
  void Ack(const Operation& operation, std::uint64_t result = 0) {
    history_.Acknowledge(operation, ++now_, result);
  }
  void Unknown(const Operation& operation) { history_.Unknown(operation, ++now_); }
  void Refuse(const Operation& operation) { history_.Refuse(operation, ++now_); }
  void Set() { Ack(Begin(Kind::kSet)); }
  void Delete() { Ack(Begin(Kind::kDelete)); }

  Read BeginRead(const std::string& key = "k") { return history_.BeginRead(2, key, ++now_); }
  void EndRead(const Read& read, std::optional<std::uint64_t> number, std::uint64_t token = 0) {
    history_.EndRead(read, {number, token}, ++now_);
  }
  void See(std::optional<std::uint64_t> number, std::uint64_t token = 0) {
    EndRead(BeginRead(), number, token);
  }
  void SeeLast(std::optional<std::uint64_t> number, std::uint64_t token = 0) {
    const Read read = BeginRead();
    const auto note = [] { return "at the end"; };
    history_.EndRead(read, {number, token}, ++now_, note, true);
  }

  // What was found since the last call: the name of the fault, "none", or how many.
  std::string Found() {
    const Violations& violations = history_.violations();
    const std::uint64_t fresh = violations.count() - seen_;
    seen_ = violations.count();
    if (fresh == 0) return "none";
    if (fresh > 1) return std::to_string(fresh) + ": " + history_.Report();
    return std::string(NameOf(violations.kept()[seen_ - 1].fault));
  }

  History history_;
  std::int64_t now_ = 0;
  std::uint64_t seen_ = 0;
};

}  // namespace gyre::history
