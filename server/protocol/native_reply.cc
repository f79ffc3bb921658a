// DecodeReply: a wire::Reply as a tree.

#include <cstdint>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <string>

#include "protocol/native_codec.h"
#include "protocol/native_tags.h"

namespace gyre {
namespace {

std::string ToString(protozero::data_view view) { return {view.data(), view.size()}; }

// Reads one field after the other; throws protozero's exceptions where the bytes are no Protobuf
// message, and returns false where they are one that says nothing or too much.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t elements_max) : elements_left_(elements_max) {}

  bool too_large() const { return elements_left_ == 0; }

  bool ReadReply(protozero::pbf_reader reader, Reply& reply, bool& stale_ring) {
    bool found = false;
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case native::kReplyValue:
          reply = Reply{};
          if (!ReadValue(reader.get_message(), 0, reply)) return false;
          found = true;
          break;
        case native::kReplyStaleRing:
          stale_ring = reader.get_uint64() != 0;
          break;
        default:
          reader.skip();
          break;
      }
    }
    return found;
  }

 private:
  // The last field of the oneof counts, as in every Protobuf parser.
  bool ReadValue(protozero::pbf_reader reader, int depth, Reply& reply) {
    bool found = false;
    while (reader.next()) {
      const std::uint32_t tag = reader.tag_and_type();
      if (tag == native::kList) {
        reply = Reply{};
        if (!ReadList(reader.get_message(), depth + 1, reply)) return false;
      } else if (tag == native::kError) {
        reply = Reply{};
        ReadError(reader.get_message(), reply);
      } else if (tag == native::kRecord) {
        reply = Reply{};
        ReadRecord(reader.get_message(), reply);
      } else if (!ReadScalar(reader, tag, reply)) {
        reader.skip();
        continue;
      }
      found = true;
    }
    return found;
  }

  // False if `tag` is none of a scalar's; then nothing was read.
  static bool ReadScalar(protozero::pbf_reader& reader, std::uint32_t tag, Reply& reply) {
    Reply read;
    switch (tag) {
      case native::kNull:
        reader.skip();
        break;
      case native::kOutcome:
        ReadOutcome(reader.get_uint64(), read);
        break;
      case native::kText:
        read.kind = Reply::Kind::kText;
        read.bytes = ToString(reader.get_view());
        break;
      case native::kBulk:
        read.kind = Reply::Kind::kBulk;
        read.bytes = ToString(reader.get_view());
        break;
      case native::kInteger:
        read.kind = Reply::Kind::kInteger;
        read.integer = reader.get_sint64();
        break;
      case native::kUnsigned:
        read.kind = Reply::Kind::kUnsigned;
        read.unsigned_integer = reader.get_uint64();
        break;
      case native::kNumber:
        read.kind = Reply::Kind::kDouble;
        read.number = reader.get_double();
        break;
      case native::kBoolean:
        read.kind = Reply::Kind::kBoolean;
        read.boolean = reader.get_uint64() != 0;
        break;
      default:
        return false;
    }
    reply = std::move(read);
    return true;
  }

  static void ReadOutcome(std::uint64_t number, Reply& reply) {
    if (number <= static_cast<std::uint64_t>(Outcome::kPong)) {
      reply.kind = Reply::Kind::kOutcome;
      reply.outcome = static_cast<Outcome>(number);
      return;
    }
    reply.kind = Reply::Kind::kError;
    reply.error = ErrorCode::kProtocol;
    reply.bytes = "a node answered with word " + std::to_string(number) +
                  ", which this release does not know: upgrade it";
  }

  bool ReadList(protozero::pbf_reader reader, int depth, Reply& reply) {
    if (depth > kReplyDepthMax) return false;
    reply.kind = Reply::Kind::kList;
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case native::kListShape: {
          const std::uint64_t shape = reader.get_uint64();
          if (shape > static_cast<std::uint64_t>(ListShape::kSet)) return false;
          reply.shape = static_cast<ListShape>(shape);
          break;
        }
        case native::kListValues:
          if (--elements_left_ == 0) return false;
          if (!ReadValue(reader.get_message(), depth, reply.elements.emplace_back())) return false;
          break;
        default:
          reader.skip();
          break;
      }
    }
    return reply.shape != ListShape::kMap || reply.elements.size() % 2 == 0;
  }

  static void ReadError(protozero::pbf_reader reader, Reply& reply) {
    reply.kind = Reply::Kind::kError;
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case native::kErrorCode: {
          // A code of a newer release is an error still.
          const std::uint64_t code = reader.get_uint64();
          const bool known = code <= static_cast<std::uint64_t>(ErrorCode::kNotAllowed);
          reply.error = known ? static_cast<ErrorCode>(code) : ErrorCode::kInternal;
          break;
        }
        case native::kErrorMessage:
          reply.bytes = ToString(reader.get_view());
          break;
        default:
          reader.skip();
          break;
      }
    }
  }

  static void ReadRecord(protozero::pbf_reader reader, Reply& reply) {
    reply.kind = Reply::Kind::kRecord;
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case native::kRecordKey:
          reply.key = ToString(reader.get_view());
          break;
        case native::kRecordValue:
          reply.bytes = ToString(reader.get_view());
          break;
        case native::kRecordFlags:
          reply.flags = reader.get_uint32();
          break;
        case native::kRecordVersion:
          reply.version = reader.get_fixed64();
          break;
        default:
          reader.skip();
          break;
      }
    }
  }

  std::size_t elements_left_;  // 0: there were more
};

}  // namespace

Result<Reply> DecodeReply(std::string_view wire_reply, bool* stale_ring, std::size_t bytes_max) {
  if (wire_reply.size() > bytes_max) return tl::unexpected(ReplyTooLarge());
  Reply reply;
  bool stale = false;
  try {
    ReplyReader reader((bytes_max - wire_reply.size()) / sizeof(Reply) + 2);
    if (!reader.ReadReply(protozero::pbf_reader(wire_reply.data(), wire_reply.size()), reply,
                          stale)) {
      if (reader.too_large()) return tl::unexpected(ReplyTooLarge());
      return Fail(ErrorCode::kProtocol,
                  "a node's reply has no value, or one that is not understood: are its release and "
                  "this one adjacent?");
    }
  } catch (const protozero::exception& error) {
    return Fail(ErrorCode::kProtocol,
                std::string("a node's reply is no Reply message: ") + error.what());
  }
  if (stale_ring != nullptr) *stale_ring = stale;
  return reply;
}

}  // namespace gyre
