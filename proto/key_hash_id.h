// Which secret a node hashes keys with (server/storage/key.h). It says nothing of the secret itself.
#pragma once

#include <compare>
#include <cstdint>

namespace gyre {

struct KeyHashId {
  std::int64_t created_ms = 0;  // unix
  std::uint64_t tag = 0;        // random; 0: there is no secret

  bool is_plain() const { return tag == 0; }
  // Where nodes have different ones, the first in this order stays: the older.
  friend auto operator<=>(const KeyHashId&, const KeyHashId&) = default;
};

}  // namespace gyre
