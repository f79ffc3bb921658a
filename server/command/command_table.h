// All commands, found by name in any case: a perfect hash built once at start, so that a lookup is
// one hash of at most 16 bytes, one load and one comparison, without a copy of the name.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "command/command.h"

namespace gyre {

class CommandTable {
 public:
  // The table of this process; immutable, shared by all threads.
  static const CommandTable& Get();

  // Null if there is no such command.
  const Command* Find(std::string_view name) const {
    if (name.empty() || name.size() > kNameBytesMax) return nullptr;
    const std::uint8_t slot = slots_[SlotOfName(name, seed_)];
    if (slot == kEmpty || !SameName(commands_[slot].name, name)) return nullptr;
    return &commands_[slot];
  }

  std::span<const Command> commands() const { return commands_; }

  static constexpr std::size_t kNameBytesMax = 16;

 private:
  // Sparse, so that a seed without collisions is found within a few dozen attempts; still only 4
  // KiB.
  static constexpr std::size_t kSlots = 4096;
  static constexpr std::uint8_t kEmpty = 0xff;

  explicit CommandTable(std::vector<Command> commands);
  bool TrySeed(std::uint64_t seed);
  static std::size_t SlotOfName(std::string_view name, std::uint64_t seed);
  // `row` is in lower case.
  static bool SameName(std::string_view row, std::string_view name);

  std::vector<Command> commands_;
  std::uint64_t seed_ = 0;
  std::array<std::uint8_t, kSlots> slots_{};
};

}  // namespace gyre
