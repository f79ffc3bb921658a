#include "history/streams.h"

#include <algorithm>

namespace gyre::history {
namespace {

std::string Said(const std::string& key, std::optional<std::uint64_t> number) {
  return key + (number ? " reads " + std::to_string(*number) : " is missing");
}

std::string Named(const std::string& key, std::uint64_t number) {
  return "write " + std::to_string(number) + " of " + key;
}

}  // namespace

Streams::Entry* Streams::Find(Key& key, std::uint64_t number) {
  const auto found =
      std::lower_bound(key.writes.begin(), key.writes.end(), number,
                       [](const Entry& entry, std::uint64_t n) { return entry.number < n; });
  return found != key.writes.end() && found->number == number ? &*found : nullptr;
}

void Streams::Issue(const Write& write, std::int64_t now) {
  Key& key = keys_[write.key];
  key.partition = write.partition;
  if (!key.writes.empty() && key.writes.back().number >= write.number) return;
  Entry& entry = key.writes.emplace_back();
  entry.number = write.number;
  entry.start = now;
  entry.epoch = cut_open_ ? kNoEpoch : epoch_;
  entry.is_delete = write.is_delete;
  entry.group = write.group;
  if (write.is_delete) ++key.unsure_deletions;
  if (write.group == 0) return;
  Group& group = groups_[write.group];
  group.start = now;
  group.epoch = entry.epoch;
}

void Streams::Order(Entry& entry, std::int64_t now) {
  if (entry.ordered_by != kNever) return;
  entry.ordered_by = now;
  entry.solid = !cut_open_ && entry.epoch == epoch_;
}

void Streams::Acknowledge(const std::string& name, std::uint64_t number, std::int64_t now) {
  Key& key = keys_[name];
  Entry* entry = Find(key, number);
  if (entry == nullptr || entry->acknowledged) return;
  entry->acknowledged = true;
  if (entry->is_delete) --key.unsure_deletions;
  Order(*entry, now);
}

void Streams::Refuse(const std::string& name, std::uint64_t number) {
  Key& key = keys_[name];
  Entry* entry = Find(key, number);
  if (entry == nullptr || entry->refused) return;
  entry->refused = true;
  if (entry->is_delete) --key.unsure_deletions;
}

void Streams::ExecutedLate(const std::string& name, std::uint64_t number) {
  if (Entry* entry = Find(keys_[name], number)) entry->late = true;
}

void Streams::BeginCut(std::int64_t now) {
  if (cut_open_) return;
  cut_open_ = true;
  ++cuts_begun_;
  cut_begin_ = now;
}

void Streams::EndCut(std::int64_t now) {
  if (!cut_open_) return;
  cut_open_ = false;
  ++epoch_;
  cut_end_ = now;
}

Streams::Before Streams::BeginRead(const std::string& name) const {
  Before before;
  before.cuts = cut_open_ ? kInCut : cuts_begun_;
  const auto found = keys_.find(name);
  if (found == keys_.end() || found->second.seen_epoch != epoch_) return before;
  before.seen = found->second.seen;
  before.missed = found->second.missed;
  return before;
}

void Streams::Judge(const Reading& read) {
  Key& key = keys_[read.key];
  const bool still = IsStill(read);
  if (still) JudgeOneKey(key, read);
  if (const auto above = ShowsLostAbove(key, read)) {
    const auto newer =
        std::upper_bound(key.writes.begin(), key.writes.end(), *above,
                         [](std::uint64_t n, const Entry& entry) { return n < entry.number; });
    for (auto entry = newer; entry != key.writes.end(); ++entry) {
      if (entry->refused || entry->late) continue;
      if (still && entry->solid && entry->epoch < epoch_) NoteLost(key, *entry, read);
      if (entry->group != 0) NoteMemberLost(*entry, read, still);
    }
  }
  Entry* seen = read.number ? Find(key, *read.number) : nullptr;
  if (seen == nullptr || seen->refused || seen->is_delete) return;
  Order(*seen, read.end);
  if (still && seen->solid && seen->epoch < epoch_) NoteSurvivor(key, *seen, read);
  if (seen->group != 0 && !seen->late) NoteMemberSeen(*seen, read, still);
}

std::optional<std::uint64_t> Streams::ShowsLostAbove(Key& key, const Reading& read) {
  if (read.number) {
    const Entry* entry = Find(key, *read.number);
    const bool sure = entry != nullptr && !entry->late && !entry->is_delete && !entry->refused &&
                      (entry->acknowledged || entry->solid);
    return sure ? std::optional(*read.number) : std::nullopt;
  }
  if (may_miss_ || key.unsure_deletions != 0) return std::nullopt;
  const auto deletion = std::find_if(key.writes.rbegin(), key.writes.rend(), [](const Entry& each) {
    return each.is_delete && !each.refused;
  });
  return deletion == key.writes.rend() ? 0 : deletion->number;
}

// ---- One key, one epoch -----------------------------------------------------------------------

void Streams::JudgeOneKey(Key& key, const Reading& read) {
  if (key.seen_epoch != epoch_) {
    key.seen_epoch = epoch_;
    key.seen = 0;
    key.missed = -1;
  }
  if (!read.number) {
    key.missed = std::max(key.missed, read.start);
    const auto explains = [&](const Entry& each) {
      return each.is_delete && !each.refused && (each.number > read.before.seen || each.late);
    };
    if (read.accused || may_miss_ || read.before.seen == 0 ||
        std::any_of(key.writes.begin(), key.writes.end(), explains)) {
      return;
    }
    violations_.Add(Fault::kRegressed, read.key,
                    read.when + ": " + Said(read.key, read.number) + ", before, " +
                        Named(read.key, read.before.seen) + " was read");
    return;
  }
  key.seen = std::max(key.seen, *read.number);
  const Entry* entry = Find(key, *read.number);
  if (entry == nullptr || entry->late || read.accused) return;
  if (*read.number < read.before.seen) {
    violations_.Add(entry->acknowledged ? Fault::kRegressed : Fault::kLate, read.key,
                    read.when + ": " + Said(read.key, read.number) + ", before, " +
                        Named(read.key, read.before.seen) + " was read");
  } else if (entry->ordered_by < read.before.missed) {
    violations_.Add(Fault::kReturned, read.key,
                    read.when + ": " + Said(read.key, read.number) + ", ordered by " +
                        std::to_string(entry->ordered_by) + " us; it was missing at " +
                        std::to_string(read.before.missed) + " us, and not written since");
  }
}

// ---- The order of a partition -----------------------------------------------------------------

void Streams::NoteSurvivor(Key& key, const Entry& entry, const Reading& read) {
  ++survivals_;
  if (!key.partition) return;
  Stream& stream = streams_[{*key.partition, entry.epoch}];
  if (stream.survivor_epoch != epoch_) stream.survivor.reset();
  stream.survivor_epoch = epoch_;
  if (stream.survivor && stream.survivor->at >= entry.start) return;
  stream.survivor = Fact{entry.start, read.key, entry.number, read.when};
  JudgeOrder(*key.partition, stream);
}

void Streams::NoteLost(Key& key, const Entry& entry, const Reading& read) {
  ++losses_;
  if (!key.partition) return;
  Stream& stream = streams_[{*key.partition, entry.epoch}];
  if (!stream.lost || stream.lost->at > entry.ordered_by) {
    stream.lost = Fact{entry.ordered_by, read.key, entry.number,
                       read.when + ": " + Said(read.key, read.number)};
  }
  if (stream.survivor_epoch == epoch_) JudgeOrder(*key.partition, stream);
}

void Streams::JudgeOrder(std::uint32_t partition, Stream& stream) {
  if (!stream.lost || !stream.survivor || stream.lost->at >= stream.survivor->at) return;
  if (std::exchange(stream.told_epoch, epoch_) == epoch_) return;
  const Fact& lost = *stream.lost;
  const Fact& survivor = *stream.survivor;
  violations_.Add(Fault::kReordered, lost.key,
                  "partition " + std::to_string(partition) + ": " + Named(lost.key, lost.number) +
                      ", ordered by " + std::to_string(lost.at) + " us, is lost (" + lost.seen +
                      "); " + Named(survivor.key, survivor.number) + ", begun later, at " +
                      std::to_string(survivor.at) + " us, is read " + survivor.seen +
                      "; the last cut was from " + std::to_string(cut_begin_) + " to " +
                      std::to_string(cut_end_) + " us");
}

// ---- Groups -----------------------------------------------------------------------------------

void Streams::NoteMemberSeen(const Entry& entry, const Reading& read, bool still) {
  Group& group = groups_[entry.group];
  if (read.snapshot != 0) group.seen_snapshot = read.snapshot;
  group.seen = Named(read.key, entry.number) + " is read " + read.when;
  if (still) {
    if (group.seen_epoch != epoch_) group.seen_end = kNever;
    group.seen_epoch = epoch_;
    group.seen_end = std::min(group.seen_end, read.end);
  }
  const bool together = read.snapshot != 0 && read.snapshot == group.lost_snapshot;
  const bool lost_before = still && group.lost_epoch != kNoEpoch && group.lost_epoch <= epoch_;
  if (together || lost_before) Tear(entry.group, group, read.key, still);
}

void Streams::NoteMemberLost(const Entry& entry, const Reading& read, bool still) {
  Group& group = groups_[entry.group];
  if (read.snapshot != 0) group.lost_snapshot = read.snapshot;
  group.lost = Named(read.key, entry.number) + " is not there " + read.when + ": " +
               Said(read.key, read.number);
  if (still && entry.solid && entry.epoch < epoch_) {
    group.lost_epoch = std::min(group.lost_epoch, epoch_);
  }
  const bool together = read.snapshot != 0 && read.snapshot == group.seen_snapshot;
  const bool seen_before = still && group.seen_epoch == epoch_ &&
                           (read.start > group.seen_end || (entry.solid && entry.epoch < epoch_));
  if (together || seen_before) Tear(entry.group, group, read.key, still);
}

void Streams::Tear(std::uint64_t id, Group& group, const std::string& key, bool still) {
  if (std::exchange(group.told, true)) return;
  const bool partial = still && group.epoch == epoch_;
  violations_.Add(partial ? Fault::kPartial : Fault::kTorn, key,
                  "of group " + std::to_string(id) + ", begun at " + std::to_string(group.start) +
                      " us, " + group.seen + "; " + group.lost);
}

}  // namespace gyre::history
