// What a client asks of the cluster, and what it is told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/record.h"

namespace gyre::sim {

struct Operation {
  enum class Kind : std::uint8_t {
    kGet,
    kSet,
    kDelete,
    kIncrement,  // a missing counter is 0
    kSwap,       // stores if the record's version is `token`; token 0: if there is no record
    kGetAll,     // of `keys`, which have one hash tag, as one command
    kSetAll,     // likewise
    kDeleteAll,  // likewise
  };
  Kind kind = Kind::kGet;
  Version token = 0;
  std::string key;
  std::string value;
  std::vector<std::string> keys;    // `key` is the first
  std::vector<std::string> values;  // kSetAll: of each

  bool is_read() const { return kind == Kind::kGet || kind == Kind::kGetAll; }
};

// What a command came to.
struct Answer {
  enum class Kind : std::uint8_t {
    kOk,
    kValue,
    kMiss,
    kLost,     // the swap's token is no longer that of the record
    kUnknown,  // a write that may or may not last
    kRefused,  // nothing was done
  };
  Kind kind = Kind::kRefused;
  std::string value = {};
  Version token = 0;
  std::vector<Answer> each = {};  // kGetAll: of each key, kValue or kMiss; then this is kOk
};

}  // namespace gyre::sim
