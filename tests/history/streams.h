// What a partition's order of writes implies, judged across its keys. It goes by what clients can
// see: when an operation began and ended, and what was read; positions and terms are not needed.
//
// The promise (Level::kStream). The owner orders the writes of a partition as a stream of groups; a
// group is what one command wrote, of one key or of several. What a copy holds is what a prefix of
// the stream leaves, and a failover goes on from such a prefix: it may cut off the end of the
// stream, and nothing else. This is prefix consistency (Terry, "Replicated Data Consistency
// Explained through Baseball", 2011; the log matching of Raft and of primary-backup replication),
// and a group is an atomic write in it. Where keys are registers with one writer each, whose
// numbers rise, no search for an order is needed, as Knossos and Porcupine do for linearizability
// (Wing and Gong, Herlihy and Wing): the versions of a key are known, as in Elle (Kingsbury,
// Alvaro: "Elle: Inferring Isolation Anomalies from Experimental Observations", 2020), and so is
// enough of the order between keys. Each rule is a contradiction between two facts that were seen;
// who is in doubt is not accused.
//
// Facts. A *cut* is a span in which a partition's owner may have changed without a handover (a
// death, a sleep, a broken network), until all is whole again. Between two cuts lies an *epoch*.
//   - A write is *ordered by* the moment at which it was acknowledged or a read that saw it ended,
//     whichever came first. Two writes are in order, a before b, if a was ordered by a moment before
//     b began.
//   - A write is *solid* in an epoch if it began in it and was ordered by a moment in it. So all
//     solid writes of an epoch stand in one stream, before its cut.
//   - A read that lies within one epoch shows that a write *survives* if it returns its number; and
//     that a write is *lost* if it returns an older number that is itself acknowledged or solid
//     (of unknown outcome it may have been executed late), or if the key is missing and nothing
//     explains this: no deletion that is newer or whose outcome is unknown, no eviction or expiry
//     (AllowMisses: then a miss proves nothing, a stale value does).
//
// Rules.
//   kReordered  a before b in the stream of one epoch; b survives in a later epoch, a is lost in
//               that epoch or in one between. (What is lost stays lost, so the order in which the
//               two reads came does not matter. Overwritten or deleted is not lost.)
//   kTorn       of one group, a member survives in an epoch after a cut, another is lost by then;
//               or a read of several keys in one step saw both, whenever it was.
//   kPartial    the same with no cut since the group began: a read saw a member, and one that began
//               after it ended (or the same step) showed another older.
//   kRegressed  a read returns less than one that ended before it began, in the same epoch.
//   kReturned   a key was missing; a read that began after that, in the same epoch, returns a write
//               that was ordered before the key was missing: evicted, expired or removed, and back.
//
// Not judged here: whether what was acknowledged is there (Registers), which is a promise of
// --write-acks and not of the order. A write whose only span touches a cut is in no epoch: it may
// have been ordered on either side.
//
// Cost: a write or a read is O(log writes of the key), amortized: for each partition and epoch only
// the latest beginning of a survivor and the earliest end of a lost write are kept, for these two
// contradict each other if any two do.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "history/violation.h"

namespace gyre::history {

class Streams {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  struct Write {
    std::string key;
    std::uint64_t number = 0;  // of the key, rising
    bool is_delete = false;
    std::optional<std::uint32_t>
        partition;            // unknown: only rules of one key, and of groups, bind it
    std::uint64_t group = 0;  // all writes of one command have it; 0: alone
  };
  static constexpr std::uint64_t kInCut = std::numeric_limits<std::uint64_t>::max();
  // What a read that begins now must not fall behind.
  struct Before {
    std::uint64_t seen = 0;    // the highest number that was read in this epoch
    std::int64_t missed = -1;  // when the last read that found nothing began; -1: none did
    std::uint64_t cuts = 0;    // that had begun; kInCut: one is open
  };
  struct Reading {
    std::string key;
    std::optional<std::uint64_t> number;  // empty: missing
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::uint64_t snapshot = 0;  // all reads of one step have it; 0: alone
    Before before;
    bool accused = false;  // by the rules of one key: it is not told twice
    std::string when;      // words the circumstances
  };

  explicit Streams(Violations& violations) : violations_(violations) {}

  void AllowMisses() { may_miss_ = true; }

  void Issue(const Write& write, std::int64_t now);
  void Acknowledge(const std::string& key, std::uint64_t number, std::int64_t now);
  void Refuse(const std::string& key, std::uint64_t number);
  void ExecutedLate(const std::string& key, std::uint64_t number);

  // An owner may change from now on without a handover; until EndCut.
  void BeginCut(std::int64_t now);
  void EndCut(std::int64_t now);
  bool cut_open() const { return cut_open_; }
  std::uint64_t cuts_begun() const { return cuts_begun_; }
  std::int64_t last_cut_end() const { return cut_end_; }

  Before BeginRead(const std::string& key) const;
  void Judge(const Reading& read);

  // ---- What was judged ----
  std::uint64_t groups() const { return groups_.size(); }
  // Reads that showed that a write outlasted a cut, or that it did not.
  std::uint64_t survivals() const { return survivals_; }
  std::uint64_t losses() const { return losses_; }

 private:
  static constexpr std::uint64_t kNoEpoch = std::numeric_limits<std::uint64_t>::max();

  struct Entry {
    std::uint64_t number = 0;
    std::int64_t start = 0;
    std::int64_t ordered_by = kNever;
    std::uint64_t epoch = kNoEpoch;  // it began in
    std::uint64_t group = 0;
    bool solid = false;
    bool is_delete = false;
    bool acknowledged = false;
    bool refused = false;
    bool late = false;
  };
  struct Key {
    std::optional<std::uint32_t> partition;
    std::vector<Entry> writes;           // numbers rise
    std::uint64_t unsure_deletions = 0;  // neither acknowledged nor refused
    std::uint64_t seen = 0;
    std::int64_t missed = -1;
    std::uint64_t seen_epoch = kNoEpoch;  // of the two above
  };
  // A fact that a read showed, worded only when it is needed.
  struct Fact {
    std::int64_t at = 0;  // of the write: survivors began, lost ones were ordered by
    std::string key;
    std::uint64_t number = 0;
    std::string seen;
  };
  // What is known of the solid writes of one epoch of one partition.
  struct Stream {
    std::optional<Fact> lost;      // the earliest, in any epoch since
    std::optional<Fact> survivor;  // the latest, in `survivor_epoch`
    std::uint64_t survivor_epoch = kNoEpoch;
    std::uint64_t told_epoch = kNoEpoch;
  };
  struct Group {
    std::int64_t start = 0;
    std::uint64_t epoch = kNoEpoch;
    std::string seen, lost;  // the latest facts, in words
    std::uint64_t seen_epoch = kNoEpoch;
    std::int64_t seen_end = kNever;  // the first read in that epoch that saw a member
    std::uint64_t seen_snapshot = 0;
    std::uint64_t lost_epoch = kNoEpoch;  // the first in which a solid member was lost
    std::uint64_t lost_snapshot = 0;
    bool told = false;
  };

  static Entry* Find(Key& key, std::uint64_t number);
  void Order(Entry& entry, std::int64_t now);
  // All that is newer is lost by what this read shows; nothing: it shows no loss.
  std::optional<std::uint64_t> ShowsLostAbove(Key& key, const Reading& read);
  void JudgeOneKey(Key& key, const Reading& read);
  void NoteSurvivor(Key& key, const Entry& entry, const Reading& read);
  void NoteLost(Key& key, const Entry& entry, const Reading& read);
  void JudgeOrder(std::uint32_t partition, Stream& stream);
  void NoteMemberSeen(const Entry& entry, const Reading& read, bool still);
  void NoteMemberLost(const Entry& entry, const Reading& read, bool still);
  void Tear(std::uint64_t id, Group& group, const std::string& key, bool still);
  bool IsStill(const Reading& read) const { return !cut_open_ && read.before.cuts == cuts_begun_; }

  Violations& violations_;
  bool may_miss_ = false;
  bool cut_open_ = false;
  std::uint64_t cuts_begun_ = 0;
  std::uint64_t epoch_ = 0;  // cuts that ended
  std::int64_t cut_begin_ = 0;
  std::int64_t cut_end_ = -1;  // of the last
  std::uint64_t survivals_ = 0;
  std::uint64_t losses_ = 0;
  std::unordered_map<std::string, Key> keys_;
  std::unordered_map<std::uint64_t, Group> groups_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Stream> streams_;  // by partition and epoch
};

}  // namespace gyre::history
