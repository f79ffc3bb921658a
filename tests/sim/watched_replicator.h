// The replicator as a node's commands see it: what they write is told to the judge, and a fault that
// only the way there can show is put in here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "replication/replicator.h"

namespace gyre::sim {

struct SubmittedWrite {
  PartitionId partition = 0;
  std::string key;
  std::optional<std::string> value;  // nothing: it was removed
};

class WatchedReplicator final : public Replicator {
 public:
  using OnWrite = std::function<void(const SubmittedWrite&)>;

  // `on_write` is called outside the shards' locks, at the moment of the write in virtual time.
  WatchedReplicator(Replicator& inner, OnWrite on_write)
      : inner_(inner), on_write_(std::move(on_write)) {}

  Status Check(PartitionId partition, std::uint32_t acks) override {
    return inner_.Check(partition, acks);
  }
  Ticket Submit(PartitionId partition, std::span<const Effect> group) override {
    for (const Effect& effect : group) {
      if (effect.kind == Effect::Kind::kFlush) continue;
      SubmittedWrite write{partition, std::string(effect.key->bytes), std::nullopt};
      if (effect.kind == Effect::Kind::kPut) {
        write.value.emplace();
        effect.record.ForEachChunk([&write](std::string_view chunk) { *write.value += chunk; });
      }
      writes_.push_back(std::move(write));
    }
    const bool forgotten = forgets_removals && group.back().kind == Effect::Kind::kRemove;
    return forgotten ? 0 : inner_.Submit(partition, group);
  }
  void Await(Ticket ticket, std::uint32_t acks, Done done) override {
    inner_.Await(ticket, acks, std::move(done));
  }
  void AwaitAll(Ticket ticket, std::uint32_t copies, Duration timeout,
                std::function<void(std::uint32_t)> done) override {
    inner_.AwaitAll(ticket, copies, timeout, std::move(done));
  }
  void Flush() override {
    for (const SubmittedWrite& write : std::exchange(writes_, {})) on_write_(write);
    inner_.Flush();
  }
  ReplicatorStats stats() const override { return inner_.stats(); }

  bool forgets_removals = false;  // a fault

 private:
  Replicator& inner_;
  const OnWrite on_write_;
  std::vector<SubmittedWrite> writes_;  // since the last Flush
};

}  // namespace gyre::sim
