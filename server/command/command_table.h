// All commands with their handlers, found by name.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "command/command.h"

namespace gyre {

class CommandTable {
 public:
  // The table of this process; immutable, shared by all threads.
  static const CommandTable& Get();

  // In any case. Null if there is no such command.
  const Command* Find(std::string_view name) const { return At(FindCommandRow(name)); }
  const Command* FindSubcommand(const Command& container, std::string_view word) const {
    return At(FindSubcommandRow(container.index, word));
  }
  std::span<const Command> SubcommandsOf(const Command& container) const {
    return commands().subspan(container.index + 1U, CountSubcommandRows(container.index));
  }

  // In the order of their rows: subcommands stand behind their container.
  std::span<const Command> commands() const { return commands_; }

 private:
  CommandTable();
  const Command* At(RowIndex row) const { return row == kNoRow ? nullptr : &commands_[row]; }

  std::vector<Command> commands_;
};

}  // namespace gyre
