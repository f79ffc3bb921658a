#include "command/command_table.h"

#include <cassert>
#include <cstring>
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

char LowerCase(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
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
  }
  // Two rows of one name would make this loop for ever; the table's test looks for them.
  while (!TrySeed(seed_)) ++seed_;
}

bool CommandTable::TrySeed(std::uint64_t seed) {
  slots_.fill(kEmpty);
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    std::uint8_t& slot = slots_[SlotOfName(commands_[i].name, seed)];
    if (slot != kEmpty) return false;
    slot = static_cast<std::uint8_t>(i);
  }
  return true;
}

std::size_t CommandTable::SlotOfName(std::string_view name, std::uint64_t seed) {
  // The first and the last up to eight bytes, which cover the whole name. Setting bit 5 folds the
  // case of letters; what else it folds together is told apart by SameName.
  constexpr std::uint64_t kLowerCase = 0x2020202020202020ULL;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (name.size() >= 8) {
    std::memcpy(&first, name.data(), 8);
    std::memcpy(&last, name.data() + name.size() - 8, 8);
  } else {
    for (const char byte : name) first = first << 8 | static_cast<unsigned char>(byte);
  }
  std::uint64_t mixed = (first | kLowerCase) * 0x9e3779b97f4a7c15ULL;
  mixed ^= ((last | kLowerCase) + seed + name.size()) * 0xbf58476d1ce4e5b9ULL;
  mixed ^= mixed >> 29;
  mixed *= 0x94d049bb133111ebULL;
  return mixed >> (64 - 12);
}
static_assert(std::size_t{1} << 12 == 4096, "SlotOfName takes the upper 12 bits");

bool CommandTable::SameName(std::string_view row, std::string_view name) {
  if (row.size() != name.size()) return false;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] != LowerCase(name[i])) return false;
  }
  return true;
}

}  // namespace gyre
