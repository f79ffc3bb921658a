#include "proto/command_schema.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>

#include "proto/command_rows.h"
#include "proto/name_index.h"
#include "proto/word.h"

namespace gyre {
namespace {

using command_rows::kRows;

constexpr std::size_t kCommands = std::count_if(
    std::begin(kRows), std::end(kRows), [](const CommandRow& row) { return !row.IsSubcommand(); });

consteval auto NamesOfCommands() {
  std::array<NumberedName, kCommands> names;
  std::size_t count = 0;
  for (std::size_t row = 0; row < std::size(kRows); ++row) {
    if (!kRows[row].IsSubcommand()) {
      names[count++] = {kRows[row].name, static_cast<RowIndex>(row)};
    }
  }
  return names;
}

constexpr NameIndex<kCommands> kIndex(NamesOfCommands());
static_assert(kIndex.kNone == kNoRow);

// Whether one of the options that make a repetition harmful stands where options do.
bool HasOption(std::span<const std::string_view> args, const Repeat& repeat) {
  const auto harms = [&repeat](std::string_view argument) {
    std::string_view options = repeat.options;
    while (!options.empty()) {
      if (IsWord(argument, TakeWord(options))) return true;
    }
    return false;
  };
  const std::size_t first = std::min<std::size_t>(repeat.first_option, args.size());
  return std::any_of(args.begin() + first, args.end(), harms);
}

}  // namespace

std::span<const CommandRow> CommandRows() { return kRows; }

RowIndex FindCommandRow(std::string_view name) { return kIndex.Find(name); }

std::size_t CountSubcommandRows(RowIndex command) {
  const auto* const first = std::begin(kRows) + command + 1;
  return std::find_if_not(first, std::end(kRows), std::mem_fn(&CommandRow::IsSubcommand)) - first;
}

RowIndex FindSubcommandRow(RowIndex command, std::string_view word) {
  const std::size_t prefix = kRows[command].name.size() + 1;
  const std::size_t last = command + CountSubcommandRows(command);
  for (std::size_t row = command + 1U; row <= last; ++row) {
    if (IsWord(word, kRows[row].name.substr(prefix))) return static_cast<RowIndex>(row);
  }
  return kNoRow;
}

const CommandRow* FindRequestRow(std::span<const std::string_view> args) {
  if (args.empty()) return nullptr;
  RowIndex row = FindCommandRow(args.front());
  if (row != kNoRow && args.size() > 1 && CountSubcommandRows(row) > 0) {
    row = FindSubcommandRow(row, args[1]);
  }
  return row == kNoRow ? nullptr : &kRows[row];
}

std::uint32_t AclCategoriesOf(const CommandRow& row) {
  std::uint32_t categories = row.docs.categories | (row.Is(kFast) ? kAclFast : kAclSlow);
  if (row.Is(kReadOnly)) categories |= kAclRead;
  if (row.Is(kWrite)) categories |= kAclWrite;
  if (row.Is(kAdministrative)) categories |= kAclAdmin | kAclDangerous;
  return categories;
}

bool MayRepeat(const CommandRow& row, std::span<const std::string_view> args) {
  if (row.repeat.harm == Repeat::Harm::kWithOption) return !HasOption(args, row.repeat);
  return row.repeat.harm == Repeat::Harm::kNever;
}

}  // namespace gyre
