#include "client/command_traits.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_map>

namespace gyre::client {
namespace {

std::string Upper(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper;
}

const std::unordered_map<std::string, CommandTraits>& Table() {
  constexpr auto kRead = Effect::kRead;
  constexpr auto kIdempotent = Effect::kIdempotentWrite;
  constexpr auto kWrite = Effect::kWrite;
  static const std::unordered_map<std::string, CommandTraits> table = {
      {"GET", {1, kRead}},
      {"MGET", {1, kRead}},
      {"STRLEN", {1, kRead}},
      {"GETRANGE", {1, kRead}},
      {"EXISTS", {1, kRead}},
      {"TYPE", {1, kRead}},
      {"TTL", {1, kRead}},
      {"PTTL", {1, kRead}},
      {"EXPIRETIME", {1, kRead}},
      {"PEXPIRETIME", {1, kRead}},
      {"TOUCH", {1, kRead}},      // marks as used, which is not state
      {"SET", {1, kIdempotent}},  // unless it has a condition, see below
      {"SETEX", {1, kIdempotent}},
      {"PSETEX", {1, kIdempotent}},
      {"MSET", {1, kIdempotent}},
      {"SETRANGE", {1, kIdempotent}},
      {"DEL", {1, kIdempotent}},
      {"UNLINK", {1, kIdempotent}},
      {"EXPIRE", {1, kIdempotent}},
      {"PEXPIRE", {1, kIdempotent}},
      {"EXPIREAT", {1, kIdempotent}},
      {"PEXPIREAT", {1, kIdempotent}},
      {"PERSIST", {1, kIdempotent}},
      {"GETEX", {1, kIdempotent}},
      {"SETNX", {1, kWrite}},
      {"MSETNX", {1, kWrite}},
      {"GETSET", {1, kWrite}},
      {"GETDEL", {1, kWrite}},
      {"APPEND", {1, kWrite}},
      {"INCR", {1, kWrite}},
      {"DECR", {1, kWrite}},
      {"INCRBY", {1, kWrite}},
      {"DECRBY", {1, kWrite}},
      {"INCRBYFLOAT", {1, kWrite}},
      {"MC.SET", {1, kIdempotent}},
      {"MC.ADD", {1, kWrite}},
      {"MC.REPLACE", {1, kWrite}},
      {"MC.CAS", {1, kWrite}},
      {"KEYS", {0, kRead}},
      {"SCAN", {0, kRead}},
      {"RANDOMKEY", {0, kRead}},
      {"DBSIZE", {0, kRead}},
      {"PING", {0, kRead}},
      {"ECHO", {0, kRead}},
      {"TIME", {0, kRead}},
      {"INFO", {0, kRead}},
      {"COMMAND", {0, kRead}},
      {"CLUSTER", {0, kRead}},
      {"STATUS", {0, kRead}},
      {"RING", {0, kRead}},
      {"LOCATE", {0, kRead}},
      {"FLUSHALL", {0, kIdempotent}},
      {"FLUSHDB", {0, kIdempotent}},
      {"DRAIN", {0, kIdempotent}},
      {"UNDRAIN", {0, kWrite}},  // twice is refused: it is not drained any more
      {"REMOVE", {0, kIdempotent}},
      {"REBALANCE", {0, kIdempotent}},
      {"CONFIG", {0, kIdempotent}},
  };
  return table;
}

// The options that make a SET depend on what was there before.
bool IsConditional(const std::vector<std::string>& set_args) {
  return std::any_of(set_args.begin() + std::min<std::size_t>(3, set_args.size()), set_args.end(),
                     [](const std::string& arg) {
                       const std::string option = Upper(arg);
                       return option == "NX" || option == "XX" || option == "GET";
                     });
}

}  // namespace

CommandTraits TraitsOf(const std::vector<std::string>& args) {
  const std::string name = Upper(args.front());
  const auto row = Table().find(name);
  if (row == Table().end()) return {};
  CommandTraits traits = row->second;
  if (traits.key_index >= args.size()) traits.key_index = 0;
  if (name == "SET" && IsConditional(args)) traits.effect = Effect::kWrite;
  return traits;
}

}  // namespace gyre::client
