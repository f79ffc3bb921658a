// The bytes of one record in its slot. Everything is read and written unaligned, fields that a
// record does not need are not there, and the header byte says which are:
//
//   | bits 1 | version 8 | lengths 2..16 | expiry 8, links 4 + 4 | flags 4 | key | value |
//                                        `--- kHasExpiry ------' kHasFlags
//
//   bits      0-1  form of the lengths, in bytes:
//                    kShort    key 1, value 1
//                    kMedium   key 1, value 2
//                    kLong     key 4, value 4
//                    kChunked  key 4, value 4, of it in this slot 4, first chunk 4
//             2    tombstone (no value; its expiry is when it may be forgotten)
//             3    kHasExpiry: expiry and the links of the timing wheel (expiry.h)
//             4    kHasFlags
//             5-6  uses since the eviction hand last passed (eviction.h)
//             7    set in a chunk, never in a record
//
// A 10-byte value under a 13-byte key takes 34 bytes. A chunked value begins in the record's slot
// and goes on in a chain of chunks, each in a slot of its own:
//
//   | mark 1, 0 0 0 | owner 4 | next 4 | bytes 4 | value... |
//
// The owner is the record, so that whoever meets a chunk (the eviction hand, a page that moves)
// finds the rest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/clock.h"
#include "storage/version.h"

namespace gyre {

// A place in a shard's region, counted in granules of 4 bytes: 32 bits reach 16 GiB. The first page
// is never given out, so small numbers are no places: 0 is null, and the timing wheel uses some as
// names of its lists.
using Ref = std::uint32_t;
inline constexpr std::size_t kGranuleBytes = 4;

template <typename T>
T LoadAs(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void StoreAs(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

enum ItemForm : std::uint8_t { kShort = 0, kMedium = 1, kLong = 2, kChunked = 3 };

inline constexpr std::uint8_t kItemFormMask = 3;
inline constexpr std::uint8_t kItemTombstone = 1 << 2;
inline constexpr std::uint8_t kItemHasExpiry = 1 << 3;
inline constexpr std::uint8_t kItemHasFlags = 1 << 4;
inline constexpr int kItemUsesShift = 5;
inline constexpr std::uint8_t kItemUsesMax = 3;
inline constexpr std::uint8_t kItemUsesMask = kItemUsesMax << kItemUsesShift;
inline constexpr std::uint8_t kChunkMark = 1 << 7;

inline constexpr std::size_t kItemLengthsAt = 1 + sizeof(Version);
inline constexpr std::array<std::uint8_t, 4> kItemLengthsBytes = {2, 3, 8, 16};
inline constexpr std::size_t kItemExpiryBytes = sizeof(UnixMillis) + 2 * sizeof(Ref);
inline constexpr std::size_t kItemFlagsBytes = 4;

constexpr std::size_t ItemHeaderBytes(std::uint8_t bits) {
  return kItemLengthsAt + kItemLengthsBytes[bits & kItemFormMask] +
         ((bits & kItemHasExpiry) != 0 ? kItemExpiryBytes : 0) +
         ((bits & kItemHasFlags) != 0 ? kItemFlagsBytes : 0);
}
static_assert(ItemHeaderBytes(kShort) == 11, "24 B of overhead at 10-byte values leave no more");

// Where the key begins, by the low five bits: one load instead of a sum on each compare.
inline constexpr auto kItemKeyAt = [] {
  std::array<std::uint8_t, 32> at{};
  for (std::size_t bits = 0; bits < at.size(); ++bits) {
    at[bits] = static_cast<std::uint8_t>(ItemHeaderBytes(static_cast<std::uint8_t>(bits)));
  }
  return at;
}();

// What a record is to look like; `value_bytes` is the whole value, `inline_bytes` what of it stands
// in the slot.
struct ItemShape {
  std::uint8_t bits = 0;
  std::size_t key_bytes = 0;
  std::size_t value_bytes = 0;
  std::size_t inline_bytes = 0;

  std::size_t slot_bytes() const { return ItemHeaderBytes(bits) + key_bytes + inline_bytes; }
};

// The shape of a record whose value stands whole in its slot.
inline ItemShape PlainShape(std::size_t key_bytes, std::size_t value_bytes, bool expiry, bool flags,
                            bool tombstone) {
  std::uint8_t bits = kLong;
  if (key_bytes < 256 && value_bytes < 65536) bits = value_bytes < 256 ? kShort : kMedium;
  if (expiry) bits |= kItemHasExpiry;
  if (flags) bits |= kItemHasFlags;
  if (tombstone) bits |= kItemTombstone;
  return ItemShape{bits, key_bytes, value_bytes, value_bytes};
}

// Reads a record's bytes. Borrowed: valid as long as the slot.
class ItemView {
 public:
  explicit ItemView(const char* at) : at_(at) {}

  std::uint8_t bits() const { return static_cast<std::uint8_t>(*at_); }
  bool is_chunk() const { return (bits() & kChunkMark) != 0; }
  bool is_tombstone() const { return (bits() & kItemTombstone) != 0; }
  bool has_expiry() const { return (bits() & kItemHasExpiry) != 0; }
  ItemForm form() const { return static_cast<ItemForm>(bits() & kItemFormMask); }
  std::uint8_t uses() const { return (bits() & kItemUsesMask) >> kItemUsesShift; }
  Version version() const { return LoadAs<Version>(at_ + 1); }

  std::size_t key_bytes() const {
    const char* lengths = at_ + kItemLengthsAt;
    return form() <= kMedium ? LoadAs<std::uint8_t>(lengths) : LoadAs<std::uint32_t>(lengths);
  }
  std::size_t value_bytes() const {
    const char* lengths = at_ + kItemLengthsAt;
    switch (form()) {
      case kShort:
        return LoadAs<std::uint8_t>(lengths + 1);
      case kMedium:
        return LoadAs<std::uint16_t>(lengths + 1);
      default:
        return LoadAs<std::uint32_t>(lengths + 4);
    }
  }
  // Of the value, in this slot.
  std::size_t inline_bytes() const {
    return form() == kChunked ? LoadAs<std::uint32_t>(at_ + kItemLengthsAt + 8) : value_bytes();
  }
  Ref first_chunk() const {
    return form() == kChunked ? LoadAs<Ref>(at_ + kItemLengthsAt + 12) : 0;
  }
  // As stored: of a tombstone, when it may be forgotten.
  UnixMillis expiry() const {
    return has_expiry() ? LoadAs<UnixMillis>(at_ + expiry_at()) : kNeverExpires;
  }
  std::uint32_t flags() const {
    if ((bits() & kItemHasFlags) == 0) return 0;
    return LoadAs<std::uint32_t>(at_ + expiry_at() + (has_expiry() ? kItemExpiryBytes : 0));
  }
  std::string_view key() const { return {at_ + key_at(), key_bytes()}; }
  std::string_view inline_value() const { return {at_ + key_at() + key_bytes(), inline_bytes()}; }
  ItemShape shape() const {
    const auto bits_of_shape = static_cast<std::uint8_t>(bits() & ~kItemUsesMask);
    return ItemShape{bits_of_shape, key_bytes(), value_bytes(), inline_bytes()};
  }
  bool IsExpired(UnixMillis now) const { return has_expiry() && expiry() <= now; }

  std::size_t expiry_at() const { return kItemLengthsAt + kItemLengthsBytes[form()]; }
  std::size_t key_at() const { return kItemKeyAt[bits() & 31]; }

 protected:
  const char* at_;
};

// Writes them.
class Item : public ItemView {
 public:
  explicit Item(char* at) : ItemView(at), to_(at) {}

  // The header of `shape`, with no uses, no links and no chunks; key and value are the caller's to
  // write, at `key_space` and `value_space`.
  void WriteHeader(const ItemShape& shape, Version version, UnixMillis expiry,
                   std::uint32_t flags) {
    *to_ = static_cast<char>(shape.bits);
    StoreAs(to_ + 1, version);
    char* lengths = to_ + kItemLengthsAt;
    switch (form()) {
      case kShort:
        StoreAs(lengths, static_cast<std::uint8_t>(shape.key_bytes));
        StoreAs(lengths + 1, static_cast<std::uint8_t>(shape.value_bytes));
        break;
      case kMedium:
        StoreAs(lengths, static_cast<std::uint8_t>(shape.key_bytes));
        StoreAs(lengths + 1, static_cast<std::uint16_t>(shape.value_bytes));
        break;
      case kChunked:
        StoreAs(lengths + 8, static_cast<std::uint32_t>(shape.inline_bytes));
        StoreAs(lengths + 12, Ref{0});
        [[fallthrough]];
      case kLong:
        StoreAs(lengths, static_cast<std::uint32_t>(shape.key_bytes));
        StoreAs(lengths + 4, static_cast<std::uint32_t>(shape.value_bytes));
        break;
    }
    char* next = to_ + expiry_at();
    if (has_expiry()) {
      StoreAs(next, expiry);
      StoreAs(next + 8, std::uint64_t{0});
      next += kItemExpiryBytes;
    }
    if ((shape.bits & kItemHasFlags) != 0) StoreAs(next, flags);
  }
  char* key_space() { return to_ + key_at(); }
  char* value_space() { return key_space() + key_bytes(); }

  void set_version(Version version) { StoreAs(to_ + 1, version); }
  void set_expiry(UnixMillis expiry) { StoreAs(to_ + expiry_at(), expiry); }
  void set_first_chunk(Ref chunk) { StoreAs(to_ + kItemLengthsAt + 12, chunk); }
  void set_uses(std::uint8_t uses) {
    *to_ = static_cast<char>((bits() & ~kItemUsesMask) | (uses << kItemUsesShift));
  }
  // Saturates; writes only what changes, so that a hot record's cache line stays clean.
  void CountUse() {
    if (uses() < kItemUsesMax) *to_ = static_cast<char>(bits() + (1 << kItemUsesShift));
  }

  Ref next_link() const { return LoadAs<Ref>(at_ + expiry_at() + 8); }
  Ref previous_link() const { return LoadAs<Ref>(at_ + expiry_at() + 12); }
  void set_next_link(Ref next) { StoreAs(to_ + expiry_at() + 8, next); }
  void set_previous_link(Ref previous) { StoreAs(to_ + expiry_at() + 12, previous); }

 private:
  char* to_;
};

inline constexpr std::size_t kChunkHeaderBytes = 16;

// One chunk of a large value.
class Chunk {
 public:
  explicit Chunk(char* at) : at_(at) {}

  void WriteHeader(Ref owner, std::size_t bytes) {
    StoreAs(at_, std::uint32_t{kChunkMark});
    set_owner(owner);
    set_next(0);
    StoreAs(at_ + 12, static_cast<std::uint32_t>(bytes));
  }
  Ref owner() const { return LoadAs<Ref>(at_ + 4); }
  Ref next() const { return LoadAs<Ref>(at_ + 8); }
  std::size_t bytes() const { return LoadAs<std::uint32_t>(at_ + 12); }
  std::string_view value() const { return {at_ + kChunkHeaderBytes, bytes()}; }
  char* value_space() { return at_ + kChunkHeaderBytes; }
  void set_owner(Ref owner) { StoreAs(at_ + 4, owner); }
  void set_next(Ref next) { StoreAs(at_ + 8, next); }

 private:
  char* at_;
};

}  // namespace gyre
