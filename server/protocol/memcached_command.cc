#include "protocol/memcached_command.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "proto/limits.h"

namespace gyre {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

// In the order of how often they come: the table is searched from its start. The bounds are those
// of memcached 1.6 (a word too many, where it takes one, is ignored).
constexpr MemcachedCommand kCommands[] = {
    {"get", "mc.get", MemcachedForm::kRetrieve, 2, kAny},
    {"set", "mc.set", MemcachedForm::kStore, 5, 6},
    {"gets", "mc.gets", MemcachedForm::kRetrieve, 2, kAny},
    {"cas", "mc.cas", MemcachedForm::kCompareAndStore, 6, 7},
    {"delete", "mc.delete", MemcachedForm::kDelete, 2, 4},
    {"incr", "mc.incr", MemcachedForm::kDelta, 3, 4},
    {"decr", "mc.decr", MemcachedForm::kDelta, 3, 4},
    {"add", "mc.add", MemcachedForm::kStore, 5, 6},
    {"replace", "mc.replace", MemcachedForm::kStore, 5, 6},
    {"append", "mc.append", MemcachedForm::kStore, 5, 6},
    {"prepend", "mc.prepend", MemcachedForm::kStore, 5, 6},
    {"touch", "mc.touch", MemcachedForm::kTouch, 3, 4},
    {"gat", "mc.gat", MemcachedForm::kTouchAndRetrieve, 3, kAny},
    {"gats", "mc.gats", MemcachedForm::kTouchAndRetrieve, 3, kAny},
    {"flush_all", "mc.flush_all", MemcachedForm::kFlush, 1, 3},
    {"stats", "mc.stats", MemcachedForm::kWords, 1, kAny},
    {"version", "mc.version", MemcachedForm::kBare, 1, kAny},
    {"verbosity", "mc.verbosity", MemcachedForm::kVerbosity, 2, 4},
    {"quit", "mc.quit", MemcachedForm::kQuit, 1, kAny},
};

}  // namespace

const MemcachedCommand* FindMemcachedCommand(std::string_view name) {
  for (const MemcachedCommand& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

// Eight bytes at a time, where that many are left. In each of the two sums below, the top bit of a
// byte tells that it is one of those looked for; a borrow can only falsify what stands behind the
// first of them.
const char* MemcachedKeyEnd(const char* at, const char* end) {
  constexpr std::uint64_t kEach = 0x0101010101010101ULL;
  constexpr std::uint64_t kTop = 0x80 * kEach;
  if constexpr (std::endian::native == std::endian::little) {
    for (; end - at >= 8; at += 8) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, at, sizeof bytes);
      const std::uint64_t other = bytes ^ (0x7f * kEach);
      const std::uint64_t blank = (bytes - (' ' + 1) * kEach) & ~bytes;
      const std::uint64_t deletes = (other - kEach) & ~other;
      const std::uint64_t found = (blank | deletes) & kTop;
      if (found != 0) return at + std::countr_zero(found) / 8;
    }
  }
  while (at != end && static_cast<unsigned char>(*at) > ' ' && *at != '\x7f') ++at;
  return at;
}

bool IsMemcachedKey(std::string_view key) {
  const char* const end = key.data() + key.size();
  return !key.empty() && key.size() <= kMemcachedKeyBytesMax &&
         MemcachedKeyEnd(key.data(), end) == end;
}

}  // namespace gyre
