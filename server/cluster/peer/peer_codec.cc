#include "peer/peer_codec.h"

#include <cassert>
#include <protozero/pbf_builder.hpp>

#include "peer/peer_wire.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {

using namespace peer_wire;

namespace {

// Field numbers of cluster.proto.
enum class BehindField : protozero::pbf_tag_type { kPartition = 1, kTerm = 2, kNumber = 3 };
enum class ReplicateReplyField : protozero::pbf_tag_type {
  kRefused = 1,
  kFailed = 2,
  kBehind = 3,
  kAbsent = 4
};
enum class PeerErrorField : protozero::pbf_tag_type { kCode = 1, kMessage = 2 };

constexpr std::uint8_t kReplicateTag = 1 << 3 | kLengthDelimited;
constexpr std::uint32_t kReplicateGroupsTag = 28 << 3 | kLengthDelimited;  // two bytes

// Of a peer's words, what is repeated.
constexpr std::size_t kErrorMessageBytesMax = 512;

Error ReadError(protozero::data_view bytes) {
  Error error;
  protozero::pbf_message<PeerErrorField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(PeerErrorField::kCode, Wire::varint):
        error.code = ErrorCodeFromWire(message.get_uint32());
        break;
      case protozero::tag_and_type(PeerErrorField::kMessage, Wire::length_delimited):
        error.message = message.get_string().substr(0, kErrorMessageBytesMax);
        break;
      default:
        message.skip();
    }
  }
  return error;
}

PeerReplyField ReplyField(BatchForm form) {
  return form == BatchForm::kRecords ? PeerReplyField::kReplicate
                                     : PeerReplyField::kReplicateGroups;
}

ReplicateResult::Behind ReadBehind(protozero::data_view bytes) {
  ReplicateResult::Behind behind;
  protozero::pbf_message<BehindField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(BehindField::kPartition, Wire::varint):
        behind.partition = message.get_uint32();
        break;
      case protozero::tag_and_type(BehindField::kTerm, Wire::fixed64):
        behind.position.term = message.get_fixed64();
        break;
      case protozero::tag_and_type(BehindField::kNumber, Wire::varint):
        behind.position.number = message.get_uint64();
        break;
      default:
        message.skip();
    }
  }
  return behind;
}

}  // namespace

Result<protozero::data_view> peer_wire::Unwrap(std::string_view reply, PeerReplyField field) {
  protozero::pbf_message<PeerReplyField> message(protozero::data_view{reply.data(), reply.size()});
  while (message.next()) {
    const bool is_message = message.has_wire_type(Wire::length_delimited);
    if (is_message && message.tag() == field) return message.get_view();
    if (is_message && message.tag() == PeerReplyField::kError) {
      return tl::unexpected<Error>(ReadError(message.get_view()));
    }
    message.skip();
  }
  return tl::unexpected<Error>(Malformed("reply"));
}

void BeginReplicate(std::string& out, BatchForm form) {
  assert(out.empty());
  AppendVarint(form == BatchForm::kRecords ? kReplicateTag : kReplicateGroupsTag, out);
  out.append(kLengthBytes, '\0');
  assert(out.size() == EnvelopeBytes(form));
}

void SealReplicate(std::string& out, BatchForm form) { SealLength(EnvelopeBytes(form), out); }

Result<ReplicateResult> DecodeReplicateReply(std::string_view reply, BatchForm form) {
  return Guarded("replicate reply", [&]() -> Result<ReplicateResult> {
    const Result<protozero::data_view> body = Unwrap(reply, ReplyField(form));
    if (!body) return tl::unexpected<Error>(body.error());
    ReplicateResult result;
    protozero::pbf_message<ReplicateReplyField> message(*body);
    while (message.next()) {
      switch (message.tag_and_type()) {
        case protozero::tag_and_type(ReplicateReplyField::kRefused, Wire::length_delimited):
          for (std::uint32_t partition : message.get_packed_uint32()) {
            result.refused.push_back(partition);
          }
          break;
        case protozero::tag_and_type(ReplicateReplyField::kAbsent, Wire::length_delimited):
          for (std::uint32_t partition : message.get_packed_uint32()) {
            result.absent.push_back(partition);
          }
          break;
        case protozero::tag_and_type(ReplicateReplyField::kFailed, Wire::length_delimited):
          for (std::uint32_t index : message.get_packed_uint32()) result.failed.push_back(index);
          break;
        case protozero::tag_and_type(ReplicateReplyField::kBehind, Wire::length_delimited):
          result.behind.push_back(ReadBehind(message.get_view()));
          break;
        default:
          message.skip();
      }
    }
    return result;
  });
}

std::string EncodeReplicateReply(const ReplicateResult& result, BatchForm form) {
  std::string body;
  protozero::pbf_builder<ReplicateReplyField> message(body);
  message.add_packed_uint32(ReplicateReplyField::kRefused, result.refused.begin(),
                            result.refused.end());
  message.add_packed_uint32(ReplicateReplyField::kAbsent, result.absent.begin(),
                            result.absent.end());
  message.add_packed_uint32(ReplicateReplyField::kFailed, result.failed.begin(),
                            result.failed.end());
  for (const ReplicateResult::Behind& each : result.behind) {
    protozero::pbf_builder<BehindField> behind(message, ReplicateReplyField::kBehind);
    behind.add_uint32(BehindField::kPartition, each.partition);
    behind.add_fixed64(BehindField::kTerm, each.position.term);
    behind.add_uint64(BehindField::kNumber, each.position.number);
  }
  std::string out;
  protozero::pbf_builder<PeerReplyField> reply(out);
  reply.add_bytes(ReplyField(form), body);
  return out;
}

std::string EncodePeerMessage(int field, std::string_view message) {
  std::string out;
  out.reserve(message.size() + 16);
  AppendBytes(static_cast<std::uint32_t>(field) << 3 | kLengthDelimited, message, out);
  return out;
}

std::string EncodePeerError(const Error& error) {
  std::string body;
  protozero::pbf_builder<PeerErrorField> message(body);
  message.add_uint32(PeerErrorField::kCode, static_cast<std::uint32_t>(error.code));
  message.add_string(PeerErrorField::kMessage, error.message);
  std::string out;
  protozero::pbf_builder<PeerReplyField> reply(out);
  reply.add_bytes(PeerReplyField::kError, body);
  return out;
}

Error ToError(const wire::PeerError& error) {
  return {ErrorCodeFromWire(error.code()), error.message().substr(0, kErrorMessageBytesMax)};
}

}  // namespace gyre
