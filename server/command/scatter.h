// Divides commands of several keys, and has a Gather put the replies of the parts together.
//
// Where the keys belong to several nodes, those of each node are one part. Where this node has them
// all and could not take them together, those of each partition are one, which waits and is tried
// again by itself.
//
// No part has more keys than kTogetherMax; many parts are begun in steps (CommandContext::NextTurn).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/tally.h"
#include "command/command_context.h"
#include "command/command_counts.h"
#include "command/forwarder.h"
#include "command/gather.h"
#include "command/key_stream.h"
#include "command/pending_command.h"
#include "command/retry_queue.h"

namespace gyre {

class Scatter {
 public:
  // Brings a part to its answer, by whichever route.
  using Start = std::function<void(const PendingCommandPtr& part)>;

  // All outlive it.
  Scatter(CommandContext& context, const RetryQueue& waiting, Forwarder& forwarder,
          KeyStreams& streams, Tally<RouterStats>& counters, Start start)
      : context_(context),
        waiting_(waiting),
        forwarder_(forwarder),
        streams_(streams),
        counters_(counters),
        start_(std::move(start)) {}
  Scatter(const Scatter&) = delete;
  Scatter& operator=(const Scatter&) = delete;

  // Divides a command of very many keys (NeedsChunks).
  void InChunks(const PendingCommandPtr& pending);
  // Divides a command by the owners of its keys. `keys`: all of them; their bytes are those of the
  // pending command.
  void ByOwner(const PendingCommandPtr& pending, const std::vector<Key>& keys);
  // Likewise; reads the keys, too. For very many of them: a bounded number in each turn.
  void ByOwnerInSteps(const PendingCommandPtr& pending);

 private:
  struct Chunks;
  struct Division;
  struct LocalParts;

  void RunChunk(const std::shared_ptr<Chunks>& chunks);
  // How many keys there are; nothing, and it is answered, if arguments are missing.
  std::optional<std::size_t> CountOrFail(PendingCommand& pending) const;
  void DivideMore(const std::shared_ptr<Division>& division, std::size_t key_count);
  // Finds who has the next key.
  void Divide(Division& division, const Key& key);
  void RunDivided(Division& division);
  std::shared_ptr<Gather> MakeGather(const PendingCommandPtr& pending, std::size_t key_count);
  // Expects the part with the keys at these positions.
  PendingCommandPtr MakePart(const PendingCommandPtr& whole, std::vector<std::uint32_t> positions,
                             const std::shared_ptr<Gather>& gather);
  void ForwardPart(const PendingCommandPtr& pending, const NodeId& to,
                   std::vector<std::uint32_t> positions, const std::vector<Key>& keys,
                   const std::shared_ptr<Gather>& gather);
  void StartLocalParts(const std::shared_ptr<LocalParts>& parts);

  CommandContext& context_;
  const RetryQueue& waiting_;
  Forwarder& forwarder_;
  KeyStreams& streams_;
  Tally<RouterStats>& counters_;
  const Start start_;
};

}  // namespace gyre
