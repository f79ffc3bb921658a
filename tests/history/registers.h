// Keys with one writer each, which writes rising numbers one after the other; a deletion has a
// number, too. Anybody may read at any time. So a read is judged by itself:
//   - it must not return less than the last write that was acknowledged before the read began
//     (lost; or, if a deletion lies between, resurrected);
//   - it must not miss a key whose last acknowledged write stored something, unless a later
//     deletion of unknown outcome explains it;
//   - it must not return what was never written, was refused, or is a deletion's number.
//
// A write of unknown outcome may take effect after its writer gave up: out of a kernel's buffer,
// when a cut heals or a stopped node goes on, with a new version, although newer writes were
// acknowledged meanwhile. Links are reset and sleepers refuse so that this does not happen
// (net_transport.h, pause_detector.h). It is told apart (kLate) from a write that comes *back* after a
// newer one, as far as that can be seen from outside, unless the caller knows of it (ExecutedLate:
// then it is no violation).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "history/violation.h"

namespace gyre::history {

// A cache that evicts may miss any key at any time (AllowMisses); what was overwritten or deleted
// must not come back even so.
class Registers {
 public:
  explicit Registers(Violations& violations) : violations_(violations) {}

  void AllowMisses() { may_miss_ = true; }

  std::uint64_t NextNumber(const std::string& key) { return keys_[key].issued + 1; }
  // `number` > 0, higher than all before of the key.
  void Issue(const std::string& key, std::uint64_t number, bool is_delete);
  // `binds`: else it may be lost like one of unknown outcome.
  void Acknowledge(const std::string& key, std::uint64_t number, bool binds = true);
  void Unknown(const std::string&, std::uint64_t) {}
  void Refuse(const std::string& key, std::uint64_t number);
  void ExecutedLate(const std::string& key, std::uint64_t number);
  // What was acknowledged so far binds no read that begins from now on.
  void Forgive();

  // What a read that begins now must not fall behind.
  std::uint64_t Floor(const std::string& key) const;
  // `read`: empty if the key was missing. `when` words the circumstances.
  void Judge(const std::string& key, std::uint64_t floor, std::optional<std::uint64_t> read,
             bool is_final, const std::string& when);

 private:
  struct Register {
    std::uint64_t issued = 0;        // the highest
    std::uint64_t acknowledged = 0;  // the highest that binds
    std::set<std::uint64_t> all, deletions, refused, acked, late;
    std::optional<std::optional<std::uint64_t>> final;  // what final reads saw
  };

  void JudgeMiss(const std::string& key, const Register& each, std::uint64_t floor,
                 const std::string& when);
  void JudgeNumber(const std::string& key, const Register& each, std::uint64_t floor,
                   std::uint64_t number, const std::string& when);

  Violations& violations_;
  bool may_miss_ = false;
  std::map<std::string, Register> keys_;
};

}  // namespace gyre::history
