// DecodeReply: a wire::Reply as a tree.

#include "proto/native_reply.h"

#include <cstdint>
#include <string>

#include "protocol/native_codec.h"

namespace gyre {
namespace {

struct ReplyBuilder {
  using Node = Reply;

  static void SetNull(Reply& reply) { reply.kind = Reply::Kind::kNull; }
  static bool SetOutcome(Reply& reply, std::uint64_t number) {
    if (number <= static_cast<std::uint64_t>(Outcome::kPong)) {
      reply.kind = Reply::Kind::kOutcome;
      reply.outcome = static_cast<Outcome>(number);
    } else {
      SetError(reply, ErrorCode::kProtocol,
               "a node answered with word " + std::to_string(number) +
                   ", which this release does not know: upgrade it");
    }
    return true;
  }
  static void SetText(Reply& reply, std::string_view text) {
    reply.kind = Reply::Kind::kText;
    reply.bytes = text;
  }
  static void SetBulk(Reply& reply, std::string_view bytes) {
    reply.kind = Reply::Kind::kBulk;
    reply.bytes = bytes;
  }
  static void SetInteger(Reply& reply, std::int64_t integer) {
    reply.kind = Reply::Kind::kInteger;
    reply.integer = integer;
  }
  static void SetUnsigned(Reply& reply, std::uint64_t integer) {
    reply.kind = Reply::Kind::kUnsigned;
    reply.unsigned_integer = integer;
  }
  static void SetNumber(Reply& reply, double number) {
    reply.kind = Reply::Kind::kDouble;
    reply.number = number;
  }
  static void SetBoolean(Reply& reply, bool boolean) {
    reply.kind = Reply::Kind::kBoolean;
    reply.boolean = boolean;
  }
  static void SetError(Reply& reply, ErrorCode code, std::string_view message) {
    reply.kind = Reply::Kind::kError;
    reply.error = code;
    reply.bytes = message;
  }
  static void SetRecord(Reply& reply, const NativeRecord& record) {
    reply.kind = Reply::Kind::kRecord;
    reply.key = record.key;
    reply.bytes = record.value;
    reply.flags = record.flags;
    reply.version = record.version;
  }
  static Reply& AddElement(Reply& list) { return list.elements.emplace_back(); }
  static void SetList(Reply& reply, ListShape shape) {
    reply.kind = Reply::Kind::kList;
    reply.shape = shape;
  }
};

}  // namespace

Result<Reply> DecodeReply(std::string_view wire_reply, bool* stale_ring, std::size_t bytes_max) {
  if (wire_reply.size() > bytes_max) return tl::unexpected(ReplyTooLarge());
  Reply reply;
  bool stale = false;
  NativeReplyReader<ReplyBuilder> reader((bytes_max - wire_reply.size()) / sizeof(Reply) + 2);
  const ReplyFault fault = reader.Read(wire_reply, reply, stale);
  if (fault == ReplyFault::kTooManyElements) return tl::unexpected(ReplyTooLarge());
  if (fault != ReplyFault::kNone) {
    return Fail(ErrorCode::kProtocol,
                "a node's reply is not understood: " + std::string(ReplyFaultText(fault)) +
                    "; are its release and this one adjacent?");
  }
  if (stale_ring != nullptr) *stale_ring = stale;
  return reply;
}

}  // namespace gyre
