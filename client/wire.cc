#include "client/wire.h"

#include <cstring>
#include <protozero/varint.hpp>

#include "proto/frame.h"
#include "proto/native_reply.h"
#include "proto/native_request.h"
#include "proto/native_tags.h"
#include "proto/pbf.h"

namespace gyre::client {
namespace {

Error Malformed(std::string_view what) {
  return {ErrorCode::kProtocol, "the node sent a reply that makes no sense: " + std::string(what)};
}

struct ValueBuilder {
  using Node = Value;
  using Kind = Value::Kind;

  static void SetNull(Value& value) { value.kind = Kind::kNull; }
  static bool SetOutcome(Value& value, std::uint64_t number) {
    if (number > static_cast<std::uint64_t>(Outcome::kPong)) return false;
    value.kind = Kind::kWord;
    value.text = OutcomeWord(static_cast<Outcome>(number));
    return true;
  }
  static void SetText(Value& value, std::string_view text) {
    value.kind = Kind::kText;
    value.text = text;
  }
  static void SetBulk(Value& value, std::string_view bytes) {
    value.kind = Kind::kBulk;
    value.text = bytes;
  }
  static void SetInteger(Value& value, std::int64_t integer) {
    value.kind = Kind::kInteger;
    value.integer = integer;
  }
  static void SetUnsigned(Value& value, std::uint64_t integer) {
    value.kind = Kind::kUnsigned;
    value.unsigned_integer = integer;
  }
  static void SetNumber(Value& value, double number) {
    value.kind = Kind::kNumber;
    value.number = number;
  }
  static void SetBoolean(Value& value, bool boolean) {
    value.kind = Kind::kBoolean;
    value.boolean = boolean;
  }
  static void SetError(Value& value, gyre::ErrorCode code, std::string_view message) {
    value.kind = Kind::kError;
    value.error = static_cast<ErrorCode>(code);  // client.cc: the numbers are the same
    value.text = message;
  }
  static void SetRecord(Value& value, const NativeRecord& record) {
    value.kind = Kind::kRecord;
    value.key = record.key;
    value.text = record.value;
    value.flags = record.flags;
    value.version = record.version;
  }
  static Value& AddElement(Value& list) { return list.elements.emplace_back(); }
  static void SetList(Value& value, ListShape shape) {
    value.kind = shape == ListShape::kMap   ? Kind::kMap
                 : shape == ListShape::kSet ? Kind::kSet
                                            : Kind::kArray;
  }
};

}  // namespace

Result<std::string> EncodeRequest(const std::vector<std::string_view>& args,
                                  std::uint32_t write_acks) {
  if (args.empty() || args.front().empty()) {
    return Error{ErrorCode::kInvalidArgument, "a command needs a name"};
  }
  if (args.size() > kArgumentCountMax) {
    return Error{ErrorCode::kTooLarge, "more than " + std::to_string(kArgumentCountMax) +
                                           " arguments: split the command"};
  }
  const NativeRequest request{.args = args, .write_acks = write_acks};
  const std::size_t bytes = EncodedBytesMax(request);
  if (bytes > kReplyBytesMax) {
    return Error{ErrorCode::kTooLarge, "a request of " + std::to_string(bytes) +
                                           " bytes is over the bound of " +
                                           std::to_string(kReplyBytesMax) + ": split it"};
  }
  return EncodeNativeRequest(request);
}

void AppendLineEnd(std::string& request) { AppendBytes(native::kRequestLineEnd, "\r\n", request); }

void AppendRequestFrame(std::uint64_t request_id, std::string_view request,
                        std::uint32_t deadline_ms, ByteQueue<>& out, bool takes_goodbye) {
  const std::size_t deadline_bytes =
      deadline_ms == 0 ? 0 : 1 + static_cast<std::size_t>(protozero::length_of_varint(deadline_ms));
  const std::size_t goodbye_bytes = takes_goodbye ? 2 : 0;
  FrameHeader header;
  header.type = FrameType::kRequest;
  header.request_id = request_id;
  header.payload_bytes =
      static_cast<std::uint32_t>(request.size() + deadline_bytes + goodbye_bytes);
  char* at = out.Prepare(FrameHeader::kBytes + header.payload_bytes);
  EncodeFrameHeader(header, at);
  at += FrameHeader::kBytes;
  std::memcpy(at, request.data(), request.size());
  at += request.size();
  if (takes_goodbye) {
    *at++ = static_cast<char>(native::kRequestTakesGoodbye);
    *at++ = 1;
  }
  if (deadline_bytes > 0) {
    *at++ = static_cast<char>(native::kRequestDeadline);
    protozero::add_varint_to_buffer(at, deadline_ms);
  }
  out.Commit(FrameHeader::kBytes + header.payload_bytes);
}

Result<DecodedReply> DecodeReply(std::string_view payload) {
  DecodedReply reply;
  const ReplyFault fault =
      NativeReplyReader<ValueBuilder>().Read(payload, reply.value, reply.stale_ring);
  if (fault != ReplyFault::kNone) return Malformed(ReplyFaultText(fault));
  return reply;
}

}  // namespace gyre::client
