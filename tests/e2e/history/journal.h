// The history of a run: what every client tried and was told, for the checker (tests/history),
// which judges it as it happens; and, if wanted, as lines in a file that `history_check` judges
// again.
//
// Of the own keys only the reads of Judge (judge.h) are told: a read during a fault may be old, and
// says so in the figures. The reads of group keys are told as they come. Thread-safe.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "e2e/history/figures.h"
#include "history/history.h"

namespace gyre::e2e {

class Journal {
 public:
  // An empty `path` records nothing. `evicts`: the ring may lose any key, but not bring one back.
  explicit Journal(const std::string& path, const history::Promise& promise = {},
                   bool evicts = false);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // False: the file cannot be written.
  bool good() const { return !recording_ || file_.good(); }

  // A write begins; its number is given.
  history::Operation Begin(history::Operation operation);
  void End(const history::Operation& operation, WriteOutcome outcome, std::uint64_t result = 0);
  // The writes of one command; each gets its number. `error`: what the client was told, if it was
  // told one; it is recorded.
  void BeginAll(std::vector<history::Operation>& operations);
  void EndAll(std::vector<history::Operation> operations, WriteOutcome outcome,
              const std::string& error);

  // The reads of one command that is one step; `step` is its number, of all such.
  std::vector<history::Read> BeginReads(std::uint32_t client, const std::vector<std::string>& keys,
                                        std::uint64_t step);
  void EndReads(const std::vector<history::Read>& reads,
                const std::vector<history::ReadValue>& values);

  // Something is about to break; and all is whole again.
  void BeginCut(history::Cut cut);
  void EndCut();

  // A final read was answered.
  void FinalRead(std::uint32_t client, const std::string& key, const history::ReadValue& value,
                 const std::string& note);
  void Unreadable(const std::string& key, const std::string& why);

  struct Verdict {
    std::uint64_t violations = 0;
    std::uint64_t late = 0;  // of them: a write of unknown outcome overtook a newer one
    std::vector<std::string> texts;
    std::uint64_t beyond = 0;  // findings that the level does not promise to be none
    std::vector<std::string> beyond_texts;
    std::map<std::string, std::uint64_t> by_fault;  // all of both
    std::string checked;
  };
  // Of the whole run so far.
  Verdict verdict() const;

 private:
  void EndLocked(const history::Operation& operation, WriteOutcome outcome, std::int64_t now,
                 std::uint64_t result);

  mutable std::mutex mutex_;
  const bool recording_;
  std::ofstream file_;
  history::History history_;
};

}  // namespace gyre::e2e
