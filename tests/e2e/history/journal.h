// The history of a run: what every client tried and was told, for the checker (tests/history),
// which judges it as it happens; and, if wanted, as lines in a file that `history_check` judges
// again.
//
// Only the reads of Judge (judge.h) are told: a read during a fault may be old, and says so in the
// figures. Thread-safe.
#pragma once

#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "e2e/history/figures.h"
#include "history/history.h"

namespace gyre::e2e {

class Journal {
 public:
  // An empty `path` records nothing. `evicts`: the ring may lose any key, but not bring one back.
  explicit Journal(const std::string& path, bool evicts = false);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // False: the file cannot be written.
  bool good() const { return !recording_ || file_.good(); }

  // A write begins; its number is given.
  history::Operation Begin(history::Operation operation);
  void End(const history::Operation& operation, WriteOutcome outcome, std::uint64_t result = 0);

  // A final read was answered.
  void FinalRead(std::uint32_t client, const std::string& key, const history::ReadValue& value,
                 const std::string& note);
  void Unreadable(const std::string& key, const std::string& why);

  struct Verdict {
    std::uint64_t violations = 0;
    std::uint64_t late = 0;  // of them: a write of unknown outcome overtook a newer one
    std::vector<std::string> texts;
  };
  // Of the whole run so far.
  Verdict verdict() const;

 private:
  mutable std::mutex mutex_;
  const bool recording_;
  std::ofstream file_;
  history::History history_;
};

}  // namespace gyre::e2e
