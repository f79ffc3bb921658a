// Which keys a request has, where they stand, and how many of them are run in one step. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "command/command.h"
#include "command/routing.h"
#include "protocol/request.h"
#include "storage/engine.h"

namespace gyre {

// More keys than this are not run in one step.
inline constexpr std::size_t kTogetherMax = 1024;

// The key that the argument is: itself, or the partition that it numbers (kPartitionKeys); an error
// where there is no such partition.
Result<Key> KeyOf(const Engine& engine, const Command& command, std::string_view argument);
// Reads all keys of a keyed or folded command; their bytes are those of `args`. An error where
// arguments are missing, or where the keys must be of one slot (the cluster port) and are not.
Status ReadKeys(const Engine& engine, const Command& command, Arguments args, const Origin& origin,
                std::vector<Key>& keys);
// The key of a request that has exactly one; nothing for others. `command`: null where there is none.
std::optional<Key> OnlyKey(const Engine& engine, const Command* command, const Request& request);

inline bool HasOneKey(const Command& command, const Request& request) {
  return command.fold == Fold::kNone ||
         request.args.size() == std::size_t{command.keys.first} + command.keys.step;
}
// At most so many.
inline std::size_t CountKeys(const Command& command, Arguments args) {
  return command.fold == Fold::kNone ? 1 : (args.size() - command.keys.first) / command.keys.step;
}
inline bool HasManyKeys(const Command& command, Arguments args) {
  return args.size() > command.keys.first + kTogetherMax * command.keys.step;
}

bool SamePartition(std::span<const Key> keys);
// Where all keys are here: whether the command runs on them in one step; or in several, for which
// it claims them (LongCommands). Lists of values do neither, for their readers take their time.
bool RunsTogether(const Command& command, std::size_t key_count);
bool GoesInSteps(const Command& command, std::size_t key_count);
// Whether it is divided into commands of kTogetherMax keys before anything else. Values are gathered
// in one list, whoever reads them; what is written or counted is not.
bool NeedsChunks(const Command& command, Arguments args);

}  // namespace gyre
