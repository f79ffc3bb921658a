// What the engine's users see of a stored record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "base/clock.h"
#include "proto/slot.h"
#include "storage/item.h"
#include "storage/version.h"

namespace gyre {

// A view of one record in the arena: empty (a miss) or valid while the shard's mutex is held and
// until the next call that writes to the shard. A large value stands in several chunks, in order.
// Of an empty record the accessors give nothing: no bytes, version 0.
class RecordView {
 public:
  RecordView() = default;
  explicit operator bool() const { return header_ != nullptr; }

  std::string_view key() const {
    return header_ == nullptr ? std::string_view{} : ItemView(header_).key();
  }
  std::size_t value_bytes() const {
    return header_ == nullptr ? 0 : ItemView(header_).value_bytes();
  }
  Version version() const { return header_ == nullptr ? 0 : ItemView(header_).version(); }
  // How often it was used lately, as the evictor counts: few steps, fading.
  std::uint8_t uses() const { return header_ == nullptr ? 0 : ItemView(header_).uses(); }
  // kNeverExpires, or absolute. A tombstone never expires for its readers.
  UnixMillis expiry_ms() const {
    return header_ == nullptr || is_tombstone() ? kNeverExpires : ItemView(header_).expiry();
  }
  // memcached's opaque client flags
  std::uint32_t flags() const { return header_ == nullptr ? 0 : ItemView(header_).flags(); }
  bool is_tombstone() const { return header_ != nullptr && ItemView(header_).is_tombstone(); }

  // True for all but large values: then `value()` is the whole value.
  bool is_contiguous() const { return header_ == nullptr || ItemView(header_).form() != kChunked; }
  std::string_view value() const {
    return header_ == nullptr ? std::string_view{} : ItemView(header_).inline_value();
  }
  // Calls `visit(std::string_view)` for each piece of the value, in order; empty pieces are left
  // out.
  template <typename Visitor>
  void ForEachChunk(Visitor&& visit) const {
    if (header_ == nullptr) return;
    const ItemView item(header_);
    if (item.inline_bytes() > 0) visit(item.inline_value());
    for (Ref next = item.first_chunk(); next != 0;) {
      const Chunk chunk(base_ + std::size_t{next} * kGranuleBytes);
      visit(chunk.value());
      next = chunk.next();
    }
  }
  void AppendValueTo(Buffer& out) const;
  // Copies bytes [offset, offset + size) of the value, which must exist, to `out`.
  void CopyValue(std::size_t offset, std::size_t size, char* out) const;

 private:
  friend class Shard;
  RecordView(char* base, const char* header) : base_(base), header_(header) {}

  char* base_ = nullptr;  // of the shard's region, for the references between chunks
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
