#include "command/command_table.h"

#include <cassert>

#include "command/admin_commands.h"
#include "command/cluster_commands.h"
#include "command/connection_commands.h"
#include "command/counter_commands.h"
#include "command/feed_commands.h"
#include "command/introspection.h"
#include "command/key_commands.h"
#include "command/memcached_commands.h"
#include "command/partition_commands.h"
#include "command/range_commands.h"
#include "command/scan_commands.h"
#include "command/string_commands.h"

namespace gyre {

const CommandTable& CommandTable::Get() {
  static const CommandTable table;
  return table;
}

CommandTable::CommandTable() {
  const std::span<const CommandRow> rows = CommandRows();
  commands_.reserve(rows.size());
  for (const CommandRow& row : rows) {
    commands_.push_back({{}, row, static_cast<RowIndex>(commands_.size())});
  }
  for (const std::span<const Binding> group :
       {StringCommands(), CounterCommands(), RangeCommands(), KeyCommands(), ScanCommands(),
        PartitionCommands(), MemcachedCommands(), ConnectionCommands(), AdminCommands(),
        IntrospectionCommands(), ClusterCommands(), FeedCommands()}) {
    for (const Binding& binding : group) {
      CommandHandler& handler = commands_[binding.row];
      assert(handler.keyed == nullptr && handler.plain == nullptr && "bound twice");
      handler = binding.handler;
    }
  }
}

}  // namespace gyre
