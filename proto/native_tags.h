// The tags (field number and wire type) of native.proto, as they stand before each field. As numbers,
// because the client is linked without Protobuf's library; native_tags.cc holds them against the
// schema.
#pragma once

#include <cstdint>
#include <protozero/types.hpp>

namespace gyre::native {

constexpr std::uint32_t VarintTag(int field) {
  return static_cast<std::uint32_t>(field) << 3 |
         static_cast<std::uint32_t>(protozero::pbf_wire_type::varint);
}
constexpr std::uint32_t BytesTag(int field) {
  return static_cast<std::uint32_t>(field) << 3 |
         static_cast<std::uint32_t>(protozero::pbf_wire_type::length_delimited);
}
constexpr std::uint32_t Fixed64Tag(int field) {
  return static_cast<std::uint32_t>(field) << 3 |
         static_cast<std::uint32_t>(protozero::pbf_wire_type::fixed64);
}

inline constexpr std::uint32_t kRequestArgs = BytesTag(1);
inline constexpr std::uint32_t kRequestHops = VarintTag(2);
inline constexpr std::uint32_t kRequestWriteAcks = VarintTag(3);
inline constexpr std::uint32_t kRequestDeadline = VarintTag(4);
inline constexpr std::uint32_t kRequestNoForward = VarintTag(5);
inline constexpr std::uint32_t kRequestLineEnd = BytesTag(6);
inline constexpr std::uint32_t kRequestTakesGoodbye = VarintTag(7);

inline constexpr std::uint32_t kReplyValue = BytesTag(1);
inline constexpr std::uint32_t kReplyStaleRing = VarintTag(2);

inline constexpr std::uint32_t kNull = VarintTag(1);
inline constexpr std::uint32_t kOutcome = VarintTag(2);
inline constexpr std::uint32_t kText = BytesTag(3);
inline constexpr std::uint32_t kBulk = BytesTag(4);
inline constexpr std::uint32_t kInteger = VarintTag(5);
inline constexpr std::uint32_t kUnsigned = VarintTag(6);
inline constexpr std::uint32_t kNumber = Fixed64Tag(7);
inline constexpr std::uint32_t kBoolean = VarintTag(8);
inline constexpr std::uint32_t kError = BytesTag(9);
inline constexpr std::uint32_t kList = BytesTag(10);
inline constexpr std::uint32_t kRecord = BytesTag(11);

inline constexpr std::uint32_t kErrorCode = VarintTag(1);
inline constexpr std::uint32_t kErrorMessage = BytesTag(2);

inline constexpr std::uint32_t kListShape = VarintTag(1);
inline constexpr std::uint32_t kListValues = BytesTag(2);

inline constexpr std::uint32_t kRecordKey = BytesTag(1);
inline constexpr std::uint32_t kRecordValue = BytesTag(2);
inline constexpr std::uint32_t kRecordFlags = VarintTag(3);
inline constexpr std::uint32_t kRecordVersion = Fixed64Tag(4);

// Every tag above fits one byte (field numbers below 16), which the writers' arithmetic relies on.
static_assert(kRecord < 0x80, "a tag of two bytes: NativeWriter counts one");

}  // namespace gyre::native
