// `gyre pipe < FILE`: many commands at once, without waiting for the answer of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/shell/command_line.h"

namespace gyre::client {

// Cuts a stream of bytes into commands: lines as the shell's, or RESP arrays of bulk strings
// ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", as for redis-cli --pipe), also mixed. Pure.
class PipeParser {
 public:
  static constexpr std::size_t kArgumentsMax = 1 << 20;  // of one command

  struct Item {
    Command command;
    std::optional<Error> error;  // the line is none; the next one is read all the same
    std::size_t bytes = 0;       // that it took
  };

  void Feed(std::string_view bytes) { buffer_ += bytes; }
  void End() { ended_ = true; }
  // Nothing: more bytes are needed, or all is done. An error ends it: what follows cannot be told
  // apart any more.
  Result<std::optional<Item>> Next();
  // Of all that was taken.
  std::uint64_t bytes() const { return taken_; }

 private:
  std::optional<Item> NextLine();
  Result<std::optional<Item>> NextArray();
  // Reads "<mark>NUMBER\r\n" at `at` and moves it behind. Nothing: it is not there yet.
  Result<std::optional<std::size_t>> ReadNumber(char mark, std::size_t most, std::size_t& at) const;
  Item Take(std::size_t bytes, Command command, std::optional<Error> error = std::nullopt);

  std::string buffer_;
  std::size_t begin_ = 0;  // of what is not taken yet
  std::uint64_t taken_ = 0;
  bool ended_ = false;
};

int Pipe(const ShellContext& shell, const Arguments& arguments);

}  // namespace gyre::client
