#include "client/command_traits.h"

#include "proto/command_schema.h"

namespace gyre::client {
namespace {

Effect EffectOf(const CommandRow& row, std::span<const std::string_view> args) {
  if (row.ChangesNothing()) return Effect::kRead;
  return MayRepeat(row, args) ? Effect::kIdempotentWrite : Effect::kWrite;
}

}  // namespace

CommandTraits TraitsOf(std::span<const std::string_view> args) {
  const CommandRow* const row = FindRequestRow(args);
  if (row == nullptr) return {};
  // A partition's number is no key of the ring's; and the key may have been forgotten.
  const bool has_key = !row->Is(kPartitionKeys) && row->keys.first < args.size();
  return {has_key ? row->keys.first : std::size_t{0}, EffectOf(*row, args), row->Is(kSubscribes)};
}

}  // namespace gyre::client
