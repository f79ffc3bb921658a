// A command is a row of proto/command_rows.h and its handler. Three kinds of handler:
//
//   keyed   acts on one record (or one partition) under its shard's lock, on the node that owns it.
//           It never sees forwarding, replication or waiting: it reads or writes the shard and says
//           what it found.
//   folded  a keyed handler for each of several keys, whose replies are combined by `fold`. The
//           keys may live on different nodes.
//   plain   anything else: the connection, this node, the cluster as a whole.
//
// A new command is one row, one function, one binding (binding.h), one test.
#pragma once

#include <span>
#include <string_view>

#include "proto/command_schema.h"

namespace gyre {

using Arguments = std::span<const std::string_view>;

struct KeyedCall;  // keyed_call.h
using KeyedHandler = void (*)(KeyedCall& call);

struct PlainCall;  // plain_call.h
using PlainHandler = void (*)(PlainCall& call);

// One of the two.
struct CommandHandler {
  KeyedHandler keyed = nullptr;
  PlainHandler plain = nullptr;
};

// A handler and where it belongs; made by Bind (binding.h).
struct Binding {
  RowIndex row = kNoRow;
  CommandHandler handler;
};

// The row is copied, so that what each request needs of it lies beside the handler, in one line of
// the cache.
struct alignas(64) Command : CommandHandler, CommandRow {
  RowIndex index = kNoRow;  // of the row, and of the command in CommandTable::commands()
};

}  // namespace gyre
