// native_tags.h has the numbers of native.proto.
#include "proto/native_tags.h"

#include "proto/native_reply.h"
#include "proto_gen/native.pb.h"

namespace gyre::native {

static_assert(kRequestArgs == BytesTag(wire::Request::kArgsFieldNumber));
static_assert(kRequestHops == VarintTag(wire::Request::kHopsFieldNumber));
static_assert(kRequestWriteAcks == VarintTag(wire::Request::kWriteAcksFieldNumber));
static_assert(kRequestDeadline == VarintTag(wire::Request::kDeadlineMsFieldNumber));
static_assert(kRequestNoForward == VarintTag(wire::Request::kNoForwardFieldNumber));
static_assert(kRequestLineEnd == BytesTag(wire::Request::kLineEndFieldNumber));
static_assert(kRequestTakesGoodbye == VarintTag(wire::Request::kTakesGoodbyeFieldNumber));
static_assert(kReplyValue == BytesTag(wire::Reply::kValueFieldNumber));
static_assert(kReplyStaleRing == VarintTag(wire::Reply::kStaleRingFieldNumber));
static_assert(kNull == VarintTag(wire::Value::kNullFieldNumber));
static_assert(kOutcome == VarintTag(wire::Value::kOutcomeFieldNumber));
static_assert(kText == BytesTag(wire::Value::kTextFieldNumber));
static_assert(kBulk == BytesTag(wire::Value::kBulkFieldNumber));
static_assert(kInteger == VarintTag(wire::Value::kIntegerFieldNumber));
static_assert(kUnsigned == VarintTag(wire::Value::kUnsignedIntegerFieldNumber));
static_assert(kNumber == Fixed64Tag(wire::Value::kNumberFieldNumber));
static_assert(kBoolean == VarintTag(wire::Value::kBooleanFieldNumber));
static_assert(kError == BytesTag(wire::Value::kErrorFieldNumber));
static_assert(kList == BytesTag(wire::Value::kListFieldNumber));
static_assert(kRecord == BytesTag(wire::Value::kRecordFieldNumber));
static_assert(kErrorCode == VarintTag(wire::Error::kCodeFieldNumber));
static_assert(kErrorMessage == BytesTag(wire::Error::kMessageFieldNumber));
static_assert(kListShape == VarintTag(wire::List::kShapeFieldNumber));
static_assert(kListValues == BytesTag(wire::List::kValuesFieldNumber));
static_assert(kRecordKey == BytesTag(wire::Record::kKeyFieldNumber));
static_assert(kRecordValue == BytesTag(wire::Record::kValueFieldNumber));
static_assert(kRecordFlags == VarintTag(wire::Record::kFlagsFieldNumber));
static_assert(kRecordVersion == Fixed64Tag(wire::Record::kVersionFieldNumber));

static_assert(static_cast<int>(Outcome::kPong) == wire::Outcome_MAX);
static_assert(static_cast<int>(ListShape::kSet) == wire::List::Shape_MAX);

}  // namespace gyre::native
