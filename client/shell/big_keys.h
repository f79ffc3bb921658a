// `gyre bigkeys`: walks all keys and says which are the largest.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/shell/command_line.h"

namespace gyre::client {

// What a walk has found; bounded, however many keys there are.
class BigKeys {
 public:
  struct Key {
    std::string key;
    std::string type;
    std::uint64_t bytes = 0;
  };
  struct Type {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;
  };

  // Keeps the `most` largest.
  explicit BigKeys(std::size_t most) : most_(most) {}

  void Add(Key key);

  std::uint64_t keys() const { return keys_; }
  std::uint64_t bytes() const { return bytes_; }
  const std::map<std::string, Type>& types() const { return types_; }
  // Largest first.
  std::vector<Key> Largest() const;

 private:
  const std::size_t most_;
  std::uint64_t keys_ = 0;
  std::uint64_t bytes_ = 0;
  std::map<std::string, Type> types_;
  std::vector<Key> heap_;  // the smallest at the front
};

struct BigKeysArguments : Arguments {
  std::size_t top = 10;
  std::string match = "*";
};

int FindBigKeys(const ShellContext& shell, const BigKeysArguments& arguments);

}  // namespace gyre::client
