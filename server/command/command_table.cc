#include "command/command_table.h"

#include <cassert>
#include <cstring>
#include <string>
#include <utility>

#include "command/admin_commands.h"
#include "command/cluster_commands.h"
#include "command/connection_commands.h"
#include "command/counter_commands.h"
#include "command/key_commands.h"
#include "command/memcached_commands.h"
#include "command/partition_commands.h"
#include "command/range_commands.h"
#include "command/scan_commands.h"
#include "command/string_commands.h"

namespace gyre {
namespace {

std::vector<Command> AllRows() {
  std::vector<Command> rows;
  for (std::span<const Command> group :
       {StringCommands(), CounterCommands(), RangeCommands(), KeyCommands(), ScanCommands(),
        PartitionCommands(), MemcachedCommands(), ConnectionCommands(), AdminCommands(),
        ClusterCommands()}) {
    rows.insert(rows.end(), group.begin(), group.end());
  }
  return rows;
}

// Bit 5 for each letter of a name in lower case.
std::string CaseBits(std::string_view name) {
  std::string bits(name);
  for (char& byte : bits) byte = byte >= 'a' && byte <= 'z' ? '\x20' : '\0';
  return bits;
}

}  // namespace

const CommandTable& CommandTable::Get() {
  static const CommandTable table(AllRows());
  return table;
}

CommandTable::CommandTable(std::vector<Command> commands) : commands_(std::move(commands)) {
  assert(commands_.size() < kEmpty);
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    assert(commands_[i].name.size() <= kNameBytesMax);
    commands_[i].index = static_cast<std::uint16_t>(i);
    rows_.push_back({Fold(commands_[i].name), Fold(CaseBits(commands_[i].name))});
  }
  // Two rows of one name would make this loop for ever; the table's test looks for them.
  while (!TrySeed(seed_)) ++seed_;
}

bool CommandTable::TrySeed(std::uint64_t seed) {
  slots_.fill(kEmpty);
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    std::uint8_t& slot = slots_[SlotOfName(rows_[i].name, seed)];
    if (slot != kEmpty) return false;
    slot = static_cast<std::uint8_t>(i);
  }
  return true;
}

CommandTable::FoldedName CommandTable::Fold(std::string_view name) {
  FoldedName folded{.bytes = name.size()};
  const char* const at = name.data();
  const std::size_t bytes = name.size();
  if (bytes >= 8) {
    std::memcpy(&folded.first, at, 8);
    std::memcpy(&folded.last, at + bytes - 8, 8);
  } else if (bytes >= 4) {
    std::memcpy(&folded.first, at, 4);
    std::memcpy(&folded.last, at + bytes - 4, 4);
  } else {
    const auto byte = [at](std::size_t index) { return std::uint64_t{std::uint8_t(at[index])}; };
    folded.first = byte(0) | byte(bytes / 2) << 8 | byte(bytes - 1) << 16;
  }
  return folded;
}

// Of all cases of a name the same. Other names may fall on its slot: Row::Is tells them apart.
std::size_t CommandTable::SlotOfName(const FoldedName& name, std::uint64_t seed) {
  constexpr std::uint64_t kLowerCase = 0x2020202020202020ULL;
  std::uint64_t mixed = (name.first | kLowerCase) * 0x9e3779b97f4a7c15ULL;
  mixed ^= ((name.last | kLowerCase) + seed + name.bytes) * 0xbf58476d1ce4e5b9ULL;
  mixed ^= mixed >> 29;
  mixed *= 0x94d049bb133111ebULL;
  return mixed >> (64 - 12);
}
static_assert(std::size_t{1} << 12 == 4096, "SlotOfName takes the upper 12 bits");

}  // namespace gyre
