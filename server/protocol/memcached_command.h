// The memcached text commands as rows: what a line may look like, and the name of the command
// table's command that it becomes. The meta commands (mg, ms, ...) differ in their flags only: a
// Form of their own, and rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gyre {

enum class MemcachedForm : std::uint8_t {
  kRetrieve,          // get key...
  kTouchAndRetrieve,  // gat exptime key...
  kStore,             // set key flags exptime bytes [noreply], then data
  kCompareAndStore,   // cas key flags exptime bytes token [noreply], then data
  kDelete,            // delete key [0] [noreply]
  kDelta,             // incr key delta [noreply]
  kTouch,             // touch key exptime [noreply]
  kFlush,             // flush_all [delay] [noreply]
  kVerbosity,         // verbosity level [noreply]
  kWords,             // stats [word...]: passed on as they are
  kBare,              // version: anything behind it is ignored
  kQuit,              // quit: no reply
};

struct MemcachedCommand {
  std::string_view name;
  std::string_view target;  // Request::args[0]
  MemcachedForm form;
  std::size_t word_count_min;  // the name counts
  std::size_t word_count_max;
};

// The row of `name` (lower case, as the protocol has it), or null.
const MemcachedCommand* FindMemcachedCommand(std::string_view name);

// The first byte in [at, end) that no key has: a blank or a control character.
const char* MemcachedKeyEnd(const char* at, const char* end);

// 1 to kMemcachedKeyBytesMax bytes, no blank or control character.
bool IsMemcachedKey(std::string_view key);

}  // namespace gyre
