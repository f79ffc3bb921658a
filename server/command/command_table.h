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
    const FoldedName folded = Fold(name);
    const std::uint8_t slot = slots_[SlotOfName(folded, seed_)];
    if (slot == kEmpty || !rows_[slot].Is(folded)) return nullptr;
    return &commands_[slot];
  }

  std::span<const Command> commands() const { return commands_; }

  static constexpr std::size_t kNameBytesMax = 16;

 private:
  // Sparse, so that a seed without collisions is found within a few dozen attempts; still only 4
  // KiB.
  static constexpr std::size_t kSlots = 4096;
  static constexpr std::uint8_t kEmpty = 0xff;

  // A name's first and last up to eight bytes, which cover the whole of it.
  struct FoldedName {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::size_t bytes = 0;
  };
  // A command's name in lower case. Bit 5 tells upper from lower case: it is set here where there
  // is a letter, and only there it may differ.
  struct Row {
    bool Is(const FoldedName& other) const {
      return name.bytes == other.bytes && name.first == (other.first | letters.first) &&
             name.last == (other.last | letters.last);
    }
    FoldedName name;
    FoldedName letters;
  };

  explicit CommandTable(std::vector<Command> commands);
  bool TrySeed(std::uint64_t seed);
  static FoldedName Fold(std::string_view name);
  static std::size_t SlotOfName(const FoldedName& name, std::uint64_t seed);

  std::vector<Command> commands_;
  std::vector<Row> rows_;  // of each command
  std::uint64_t seed_ = 0;
  std::array<std::uint8_t, kSlots> slots_{};
};

}  // namespace gyre
