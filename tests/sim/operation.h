// What a client asks of the cluster, and what it is told.
#pragma once

#include <cstdint>
#include <string>

#include "storage/record.h"

namespace gyre::sim {

struct Operation {
  enum class Kind : char {
    kGet = 'G',
    kSet = 'S',
    kDelete = 'D',
    kIncrement = 'I',  // a missing counter is 0
    kSwap = 'C',       // stores if the record's version is `token`; token 0: if there is no record
  };
  Kind kind = Kind::kGet;
  std::uint32_t hops = 0;
  std::uint64_t id = 0;  // for the judge: unique
  Version token = 0;
  std::string key;    // without newline, as is the value
  std::string value;  //

  bool is_read() const { return kind == Kind::kGet; }
};

// What a command came to.
struct Answer {
  enum class Kind : char {
    kOk = 'O',
    kValue = 'V',
    kMiss = 'M',
    kLost = 'L',      // the swap's token is no longer that of the record
    kUnknown = 'U',   // a write that may or may not last
    kRefused = 'R',   // nothing was done
    kNotOwner = 'N',  // nothing was done, ask another
  };
  Kind kind = Kind::kRefused;
  std::string value = {};
  Version token = 0;
  std::string by = {};  // the node and partition that a read was answered from
};

std::string Encode(const Operation& operation);
Operation DecodeOperation(const std::string& bytes);
std::string Encode(const Answer& answer);
Answer DecodeAnswer(std::string_view bytes);

}  // namespace gyre::sim
