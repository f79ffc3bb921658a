// Reading a reply of the native protocol (wire::Reply) into a tree, without Protobuf's library: nodes
// do it for what they forwarded, clients for all they asked, each into values of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <string_view>

#include "proto/native_tags.h"
#include "proto/pbf.h"
#include "proto/result.h"

namespace gyre {

// One-word results that the protocols spell differently. The numbers are those of native.proto.
//   RESP: +OK for kOk, kStored, kDeleted, kTouched; null for kNotStored, kExists, kNotFound; +PONG.
//   memcached and the client: OutcomeWord.
enum class Outcome : std::uint8_t {
  kOk = 0,
  kStored = 1,
  kNotStored = 2,
  kExists = 3,
  kNotFound = 4,
  kDeleted = 5,
  kTouched = 6,
  kPong = 7,
};

// "OK", "NOT_STORED".
std::string_view OutcomeWord(Outcome outcome);

enum class ListShape : std::uint8_t { kArray = 0, kMap = 1, kSet = 2 };

// Lists nest at most so deep in a reply that is read.
inline constexpr int kReplyDepthMax = 32;

enum class ReplyFault : std::uint8_t {
  kNone,
  kGarbled,
  kNoValue,
  kUnknownKind,
  kUnknownOutcome,
  kUnknownShape,
  kOddMap,
  kTooDeep,
  kTooManyElements,
};

// "a map with a key that has no value".
std::string_view ReplyFaultText(ReplyFault fault);

// The fields of a wire::Record; views into what is read.
struct NativeRecord {
  std::string_view key;
  std::string_view value;
  std::uint32_t flags = 0;
  std::uint64_t version = 0;
};

// `Builder` makes a `Builder::Node` what the reply says, by static functions; the node was just
// constructed, or has the elements of its list:
//
//   void SetNull(Node&)                              void SetText, SetBulk(Node&, std::string_view)
//   void SetInteger(Node&, std::int64_t)             void SetUnsigned(Node&, std::uint64_t)
//   void SetNumber(Node&, double)                    void SetBoolean(Node&, bool)
//   void SetError(Node&, ErrorCode, std::string_view message)
//   void SetRecord(Node&, const NativeRecord&)
//   bool SetOutcome(Node&, std::uint64_t number)     false: it is unknown, and so is the reply
//   Node& AddElement(Node& list)                     void SetList(Node&, ListShape), behind them
//
// Fields that are not known are stepped over; of the kinds of one value the last counts, as in every
// Protobuf parser.
template <typename Builder>
class NativeReplyReader {
 public:
  using Node = typename Builder::Node;

  // At most so many elements less one, in all lists together.
  explicit NativeReplyReader(std::size_t elements_max = std::numeric_limits<std::size_t>::max())
      : elements_left_(elements_max) {}

  // `reply` is a node just constructed. Once.
  ReplyFault Read(std::string_view payload, Node& reply, bool& stale_ring) {
    try {
      return ReadReply(protozero::pbf_reader(payload.data(), payload.size()), reply, stale_ring);
    } catch (const protozero::exception&) {
      return ReplyFault::kGarbled;
    }
  }

 private:
  static std::string_view View(protozero::pbf_reader& message) {
    const protozero::data_view view = message.get_view();
    return {view.data(), view.size()};
  }

  static constexpr bool IsKind(std::uint32_t tag) {
    switch (tag) {
      case native::kNull:
      case native::kOutcome:
      case native::kText:
      case native::kBulk:
      case native::kInteger:
      case native::kUnsigned:
      case native::kNumber:
      case native::kBoolean:
      case native::kError:
      case native::kList:
      case native::kRecord:
        return true;
      default:
        return false;
    }
  }

  ReplyFault ReadReply(protozero::pbf_reader message, Node& reply, bool& stale_ring) {
    bool found = false;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case native::kReplyValue: {
          if (found) reply = Node{};
          found = true;
          const ReplyFault fault = ReadValue(message.get_message(), 0, reply);
          if (fault != ReplyFault::kNone) return fault;
          break;
        }
        case native::kReplyStaleRing:
          stale_ring = GetBool(message);
          break;
        default:
          message.skip();
      }
    }
    return found ? ReplyFault::kNone : ReplyFault::kNoValue;
  }

  ReplyFault ReadValue(protozero::pbf_reader message, int depth, Node& node) {
    bool found = false;
    while (message.next()) {
      if (!IsKind(message.tag_and_type())) {
        message.skip();
        continue;
      }
      if (found) node = Node{};
      found = true;
      const ReplyFault fault = ReadKind(message, depth, node);
      if (fault != ReplyFault::kNone) return fault;
    }
    return found ? ReplyFault::kNone : ReplyFault::kUnknownKind;
  }

  ReplyFault ReadKind(protozero::pbf_reader& message, int depth, Node& node) {
    switch (message.tag_and_type()) {
      case native::kOutcome:
        return Builder::SetOutcome(node, message.get_uint64()) ? ReplyFault::kNone
                                                               : ReplyFault::kUnknownOutcome;
      case native::kText:
        Builder::SetText(node, View(message));
        break;
      case native::kBulk:
        Builder::SetBulk(node, View(message));
        break;
      case native::kInteger:
        Builder::SetInteger(node, message.get_sint64());
        break;
      case native::kUnsigned:
        Builder::SetUnsigned(node, message.get_uint64());
        break;
      case native::kNumber:
        Builder::SetNumber(node, message.get_double());
        break;
      case native::kBoolean:
        Builder::SetBoolean(node, GetBool(message));
        break;
      case native::kError:
        ReadError(message.get_message(), node);
        break;
      case native::kList:
        return ReadList(message.get_message(), depth + 1, node);
      case native::kRecord:
        ReadRecord(message.get_message(), node);
        break;
      default:  // kNull
        message.skip();
        Builder::SetNull(node);
    }
    return ReplyFault::kNone;
  }

  ReplyFault ReadList(protozero::pbf_reader message, int depth, Node& node) {
    if (depth > kReplyDepthMax) return ReplyFault::kTooDeep;
    ListShape shape = ListShape::kArray;
    bool even = true;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case native::kListShape: {
          const std::uint64_t number = message.get_uint64();
          if (number > static_cast<std::uint64_t>(ListShape::kSet)) {
            return ReplyFault::kUnknownShape;
          }
          shape = static_cast<ListShape>(number);
          break;
        }
        case native::kListValues: {
          if (--elements_left_ == 0) return ReplyFault::kTooManyElements;
          even = !even;
          const ReplyFault fault =
              ReadValue(message.get_message(), depth, Builder::AddElement(node));
          if (fault != ReplyFault::kNone) return fault;
          break;
        }
        default:
          message.skip();
      }
    }
    if (shape == ListShape::kMap && !even) return ReplyFault::kOddMap;
    Builder::SetList(node, shape);
    return ReplyFault::kNone;
  }

  static void ReadError(protozero::pbf_reader message, Node& node) {
    ErrorCode code = ErrorCode::kInternal;
    std::string_view text;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case native::kErrorCode:
          code = ErrorCodeFromWire(message.get_uint64());
          break;
        case native::kErrorMessage:
          text = View(message);
          break;
        default:
          message.skip();
      }
    }
    Builder::SetError(node, code, text);
  }

  static void ReadRecord(protozero::pbf_reader message, Node& node) {
    NativeRecord record;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case native::kRecordKey:
          record.key = View(message);
          break;
        case native::kRecordValue:
          record.value = View(message);
          break;
        case native::kRecordFlags:
          record.flags = message.get_uint32();
          break;
        case native::kRecordVersion:
          record.version = message.get_fixed64();
          break;
        default:
          message.skip();
      }
    }
    Builder::SetRecord(node, record);
  }

  std::size_t elements_left_;  // 0: there were more
};

}  // namespace gyre
