// Binds handlers to rows of proto/command_rows.h, when it is compiled: a handler whose name has no
// row, or which is of another kind than its row, does not compile. A row without a handler is found by
// the table's test.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

#include "command/command.h"
#include "proto/command_rows.h"

namespace gyre {

consteval RowIndex RowNamed(std::string_view name) {
  const auto& rows = command_rows::kRows;
  const auto* const row = std::find_if(std::begin(rows), std::end(rows),
                                       [name](const CommandRow& one) { return one.name == name; });
  if (row == std::end(rows)) throw "no row of proto/command_rows.h has this name";
  return static_cast<RowIndex>(row - std::begin(rows));
}

// Of a command or subcommand: "get", "object|encoding".
consteval Binding Bind(std::string_view name, KeyedHandler handler) {
  const RowIndex row = RowNamed(name);
  if (command_rows::kRows[row].keys.first == 0) throw "a keyed handler's row says where its key is";
  return {.row = row, .handler = {.keyed = handler}};
}
consteval Binding Bind(std::string_view name, PlainHandler handler) {
  const RowIndex row = RowNamed(name);
  if (command_rows::kRows[row].keys.first != 0) throw "a row with a key wants a keyed handler";
  return {.row = row, .handler = {.plain = handler}};
}

}  // namespace gyre
