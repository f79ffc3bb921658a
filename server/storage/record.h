// What the engine's users see of a stored record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "base/clock.h"
#include "storage/version.h"

namespace gyre {

// A view of one record in the arena: empty (a miss) or valid while the shard's mutex is held and until the next
// call that writes to the shard. A large value stands in several chunks, in order.
class Record {
 public:
  Record() = default;
  explicit operator bool() const { return header_ != nullptr; }

  std::string_view key() const;
  std::size_t value_bytes() const;
  Version version() const;
  UnixMillis expiry_ms() const;  // kNeverExpires, or absolute
  std::uint32_t flags() const;   // memcached's opaque client flags
  bool is_tombstone() const;

  // True for all but large values: then `value()` is the whole value.
  bool is_contiguous() const;
  std::string_view value() const;
  // Calls `visit(std::string_view)` for each piece of the value, in order.
  template <typename Visitor>
  void ForEachChunk(Visitor&& visit) const;
  void AppendValueTo(Buffer& out) const;
  // Copies bytes [offset, offset + size) of the value, which must exist, to `out`.
  void CopyValue(std::size_t offset, std::size_t size, char* out) const;

 private:
  friend class Shard;
  const char* header_ = nullptr;
};

// A record's new state as a peer sends it; views are borrowed for the call.
struct Mutation {
  PartitionId partition = 0;
  std::string_view key;
  std::string_view value;
  Version version = 0;
  UnixMillis expiry_ms = kNeverExpires;
  std::uint32_t flags = 0;
  bool tombstone = false;
};

}  // namespace gyre
