// The tags (field number and wire type) of native.proto, as they stand before each field.
#pragma once

#include <cstdint>
#include <protozero/types.hpp>

#include "proto_gen/native.pb.h"

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

inline constexpr std::uint32_t kRequestArgs = BytesTag(wire::Request::kArgsFieldNumber);
inline constexpr std::uint32_t kRequestHops = VarintTag(wire::Request::kHopsFieldNumber);
inline constexpr std::uint32_t kRequestWriteAcks = VarintTag(wire::Request::kWriteAcksFieldNumber);
inline constexpr std::uint32_t kRequestDeadline = VarintTag(wire::Request::kDeadlineMsFieldNumber);
inline constexpr std::uint32_t kRequestNoForward = VarintTag(wire::Request::kNoForwardFieldNumber);

inline constexpr std::uint32_t kReplyValue = BytesTag(wire::Reply::kValueFieldNumber);
inline constexpr std::uint32_t kReplyStaleRing = VarintTag(wire::Reply::kStaleRingFieldNumber);

inline constexpr std::uint32_t kNull = VarintTag(wire::Value::kNullFieldNumber);
inline constexpr std::uint32_t kOutcome = VarintTag(wire::Value::kOutcomeFieldNumber);
inline constexpr std::uint32_t kText = BytesTag(wire::Value::kTextFieldNumber);
inline constexpr std::uint32_t kBulk = BytesTag(wire::Value::kBulkFieldNumber);
inline constexpr std::uint32_t kInteger = VarintTag(wire::Value::kIntegerFieldNumber);
inline constexpr std::uint32_t kUnsigned = VarintTag(wire::Value::kUnsignedIntegerFieldNumber);
inline constexpr std::uint32_t kNumber = Fixed64Tag(wire::Value::kNumberFieldNumber);
inline constexpr std::uint32_t kBoolean = VarintTag(wire::Value::kBooleanFieldNumber);
inline constexpr std::uint32_t kError = BytesTag(wire::Value::kErrorFieldNumber);
inline constexpr std::uint32_t kList = BytesTag(wire::Value::kListFieldNumber);
inline constexpr std::uint32_t kRecord = BytesTag(wire::Value::kRecordFieldNumber);

inline constexpr std::uint32_t kErrorCode = VarintTag(wire::Error::kCodeFieldNumber);
inline constexpr std::uint32_t kErrorMessage = BytesTag(wire::Error::kMessageFieldNumber);

inline constexpr std::uint32_t kListShape = VarintTag(wire::List::kShapeFieldNumber);
inline constexpr std::uint32_t kListValues = BytesTag(wire::List::kValuesFieldNumber);

inline constexpr std::uint32_t kRecordKey = BytesTag(wire::Record::kKeyFieldNumber);
inline constexpr std::uint32_t kRecordValue = BytesTag(wire::Record::kValueFieldNumber);
inline constexpr std::uint32_t kRecordFlags = VarintTag(wire::Record::kFlagsFieldNumber);
inline constexpr std::uint32_t kRecordVersion = Fixed64Tag(wire::Record::kVersionFieldNumber);

// Every tag above fits one byte (field numbers below 16), which the writer's arithmetic relies on.
static_assert(kRecord < 0x80, "a tag of two bytes: NativeWriter counts one");

}  // namespace gyre::native
