#include "command/command_keys.h"

#include <algorithm>

#include "command/arguments.h"
#include "command/messages.h"
#include "command/transaction.h"
#include "proto/slot.h"

namespace gyre {

Result<Key> KeyOf(const Engine& engine, const Command& command, std::string_view argument) {
  if (!command.Is(kPartitionKeys)) return engine.KeyOf(argument);
  const auto partition = ParseUnsigned(argument);
  if (!partition || *partition >= engine.options().partition_count) {
    return Fail(ErrorCode::kInvalidArgument, "no such partition");
  }
  return Key{.bytes = argument, .partition = static_cast<PartitionId>(*partition)};
}

Status ReadKeys(const Engine& engine, const Command& command, Arguments args, const Origin& origin,
                std::vector<Key>& keys) {
  keys.clear();
  const std::size_t first = command.keys.first;
  const std::size_t step = command.keys.step;
  const std::size_t end = command.fold == Fold::kNone ? first + 1 : args.size();
  if (args.size() <= first || (end - first) % step != 0) {
    return tl::unexpected(WrongArgumentCount(command.name));
  }
  for (std::size_t i = first; i < end; i += step) {
    Result<Key> key = KeyOf(engine, command, args[i]);
    if (!key) return tl::unexpected(std::move(key.error()));
    keys.push_back(*key);
  }
  if (origin.cluster_port && keys.size() > 1 && !command.Is(kPartitionKeys)) {
    const Slot slot = SlotOf(keys.front().bytes);
    for (const Key& key : keys) {
      if (SlotOf(key.bytes) == slot) continue;
      return Fail(ErrorCode::kCrossSlot, "Keys in request don't hash to the same slot");
    }
  }
  return {};
}

std::optional<Key> OnlyKey(const Engine& engine, const Command* command, const Request& request) {
  if (command == nullptr || command->keyed == nullptr || command->Is(kPartitionKeys)) {
    return std::nullopt;
  }
  if (request.args.size() <= command->keys.first || !HasOneKey(*command, request)) {
    return std::nullopt;
  }
  return engine.KeyOf(request.args[command->keys.first]);
}

bool SamePartition(std::span<const Key> keys) {
  return std::all_of(keys.begin(), keys.end(),
                     [&](const Key& key) { return key.partition == keys.front().partition; });
}

bool RunsTogether(const Command& command, std::size_t key_count) {
  return command.fold == Fold::kNone || key_count <= kTogetherMax;
}

bool GoesInSteps(const Command& command, std::size_t key_count) {
  const bool folds =
      command.fold == Fold::kSum || command.fold == Fold::kAllOk || command.fold == Fold::kAtomic;
  return folds && !command.Is(kPartitionKeys) && key_count > kTogetherMax &&
         key_count <= kTransactionKeysMax;
}

bool NeedsChunks(const Command& command, Arguments args) {
  return (command.fold == Fold::kSum || command.fold == Fold::kAllOk) &&
         HasManyKeys(command, args) && !GoesInSteps(command, CountKeys(command, args));
}

}  // namespace gyre
