#include "protocol/memcached_command.h"

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

bool IsMemcachedKey(std::string_view key) {
  if (key.empty() || key.size() > kMemcachedKeyBytesMax) return false;
  bool bad = false;  // gathered without a branch, so that the loop is vectorised
  for (const char c : key) bad |= static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
  return !bad;
}

}  // namespace gyre
