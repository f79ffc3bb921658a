#include "client/wire.h"

#include <array>
#include <protozero/pbf_reader.hpp>
#include <protozero/varint.hpp>

#include "proto/frame.h"
#include "proto/pbf.h"

namespace gyre::client {
namespace {

using protozero::pbf_wire_type;

// Fields of native.proto, with the wire type that they must have: anything else is skipped as
// unknown.
constexpr std::uint32_t Field(protozero::pbf_tag_type tag, pbf_wire_type type) {
  return protozero::tag_and_type(tag, type);
}

enum RequestField : std::uint32_t {
  kArgs = Field(1, pbf_wire_type::length_delimited),
  kWriteAcks = Field(3, pbf_wire_type::varint),
  kDeadlineMs = Field(4, pbf_wire_type::varint),
  kLineEnd = Field(6, pbf_wire_type::length_delimited),
};
enum ReplyField : std::uint32_t {
  kValue = Field(1, pbf_wire_type::length_delimited),
  kStaleRing = Field(2, pbf_wire_type::varint),
};
enum ValueField : std::uint32_t {
  kNull = Field(1, pbf_wire_type::varint),
  kOutcome = Field(2, pbf_wire_type::varint),
  kText = Field(3, pbf_wire_type::length_delimited),
  kBulk = Field(4, pbf_wire_type::length_delimited),
  kInteger = Field(5, pbf_wire_type::varint),
  kUnsigned = Field(6, pbf_wire_type::varint),
  kNumber = Field(7, pbf_wire_type::fixed64),
  kBoolean = Field(8, pbf_wire_type::varint),
  kError = Field(9, pbf_wire_type::length_delimited),
  kList = Field(10, pbf_wire_type::length_delimited),
  kRecord = Field(11, pbf_wire_type::length_delimited),
};
enum ErrorField : std::uint32_t {
  kCode = Field(1, pbf_wire_type::varint),
  kMessage = Field(2, pbf_wire_type::length_delimited),
};
enum ListField : std::uint32_t {
  kShape = Field(1, pbf_wire_type::varint),
  kValues = Field(2, pbf_wire_type::length_delimited),
};
enum RecordField : std::uint32_t {
  kKey = Field(1, pbf_wire_type::length_delimited),
  kRecordValue = Field(2, pbf_wire_type::length_delimited),
  kFlags = Field(3, pbf_wire_type::varint),
  kVersion = Field(4, pbf_wire_type::fixed64),
};

// The outcomes of native.proto, by number.
constexpr std::array<std::string_view, 8> kWords = {"OK",        "STORED",  "NOT_STORED", "EXISTS",
                                                    "NOT_FOUND", "DELETED", "TOUCHED",    "PONG"};

constexpr std::size_t kVarintBytesMax = protozero::max_varint_length;

void AppendVarint(std::uint64_t value, std::string& out) {
  std::array<char, kVarintBytesMax> bytes{};
  const int count = protozero::add_varint_to_buffer(bytes.data(), value);
  out.append(bytes.data(), static_cast<std::size_t>(count));
}

std::size_t VarintBytes(std::uint64_t value) {
  std::size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

Error Malformed(std::string_view what) {
  return {ErrorCode::kProtocol, "the node sent a reply that makes no sense: " + std::string(what)};
}

void ReadError(protozero::pbf_reader message, Value& value) {
  value.kind = Value::Kind::kError;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kCode:
        value.error = ErrorCodeFromWire(message.get_uint32());
        break;
      case kMessage:
        value.text = message.get_string();
        break;
      default:
        message.skip();
    }
  }
}

void ReadRecord(protozero::pbf_reader message, Value& value) {
  value.kind = Value::Kind::kRecord;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kKey:
        value.key = message.get_string();
        break;
      case kRecordValue:
        value.text = message.get_string();
        break;
      case kFlags:
        value.flags = message.get_uint32();
        break;
      case kVersion:
        value.version = message.get_fixed64();
        break;
      default:
        message.skip();
    }
  }
}

// False: what is wrong is in `why`. Throws protozero::exception on garbled bytes.
bool ReadValue(protozero::pbf_reader message, int depth, Value& value, std::string_view& why);

bool ReadList(protozero::pbf_reader message, int depth, Value& value, std::string_view& why) {
  if (depth == kReplyDepthMax) {
    why = "it is nested too deeply";
    return false;
  }
  value.kind = Value::Kind::kArray;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kShape: {
        const std::uint32_t shape = message.get_uint32();
        if (shape > 2) {
          why = "a list of unknown shape";
          return false;
        }
        value.kind = shape == 1   ? Value::Kind::kMap
                     : shape == 2 ? Value::Kind::kSet
                                  : Value::Kind::kArray;
        break;
      }
      case kValues:
        if (!ReadValue(message.get_message(), depth + 1, value.elements.emplace_back(), why)) {
          return false;
        }
        break;
      default:
        message.skip();
    }
  }
  if (value.kind == Value::Kind::kMap && value.elements.size() % 2 != 0) {
    why = "a map with a key that has no value";
    return false;
  }
  return true;
}

bool ReadValue(protozero::pbf_reader message, int depth, Value& value, std::string_view& why) {
  bool known = false;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case kNull:
        message.skip();
        value.kind = Value::Kind::kNull;
        break;
      case kOutcome: {
        const std::uint32_t word = message.get_uint32();
        if (word >= kWords.size()) {
          why = "an unknown outcome";
          return false;
        }
        value.kind = Value::Kind::kWord;
        value.text = kWords[word];
        break;
      }
      case kText:
        value.kind = Value::Kind::kText;
        value.text = message.get_string();
        break;
      case kBulk:
        value.kind = Value::Kind::kBulk;
        value.text = message.get_string();
        break;
      case kInteger:
        value.kind = Value::Kind::kInteger;
        value.integer = message.get_sint64();
        break;
      case kUnsigned:
        value.kind = Value::Kind::kUnsigned;
        value.unsigned_integer = message.get_uint64();
        break;
      case kNumber:
        value.kind = Value::Kind::kNumber;
        value.number = message.get_double();
        break;
      case kBoolean:
        value.kind = Value::Kind::kBoolean;
        value.boolean = GetBool(message);
        break;
      case kError:
        ReadError(message.get_message(), value);
        break;
      case kList:
        value.elements.clear();
        if (!ReadList(message.get_message(), depth, value, why)) return false;
        break;
      case kRecord:
        ReadRecord(message.get_message(), value);
        break;
      default:
        message.skip();
        continue;
    }
    known = true;
  }
  if (!known) why = "a value of no known kind";
  return known;
}

}  // namespace

ErrorCode ErrorCodeFromWire(std::uint32_t code) {
  return code <= static_cast<std::uint32_t>(ErrorCode::kNotAllowed) ? static_cast<ErrorCode>(code)
                                                                    : ErrorCode::kInternal;
}

Result<std::string> EncodeRequest(const std::vector<std::string_view>& args,
                                  std::uint32_t write_acks) {
  if (args.empty() || args.front().empty()) {
    return Error{ErrorCode::kInvalidArgument, "a command needs a name"};
  }
  if (args.size() > kArgumentCountMax) {
    return Error{ErrorCode::kTooLarge, "more than " + std::to_string(kArgumentCountMax) +
                                           " arguments: split the command"};
  }
  std::size_t bytes = 2 * kVarintBytesMax;
  for (const std::string_view arg : args) bytes += 1 + kVarintBytesMax + arg.size();
  if (bytes > kReplyBytesMax) {
    return Error{ErrorCode::kTooLarge, "a request of " + std::to_string(bytes) +
                                           " bytes is over the bound of " +
                                           std::to_string(kReplyBytesMax) + ": split it"};
  }
  std::string request;
  request.reserve(bytes);
  for (const std::string_view arg : args) {
    AppendVarint(kArgs, request);
    AppendVarint(arg.size(), request);
    request.append(arg);
  }
  if (write_acks != 0) {
    AppendVarint(kWriteAcks, request);
    AppendVarint(write_acks, request);
  }
  return request;
}

void AppendLineEnd(std::string& request) {
  constexpr std::string_view kEnd = "\r\n";
  AppendVarint(kLineEnd, request);
  AppendVarint(kEnd.size(), request);
  request.append(kEnd);
}

void AppendRequestFrame(std::uint64_t request_id, std::string_view request,
                        std::uint32_t deadline_ms, ByteQueue& out) {
  const std::size_t deadline_bytes = deadline_ms == 0 ? 0 : 1 + VarintBytes(deadline_ms);
  FrameHeader header;
  header.type = FrameType::kRequest;
  header.request_id = request_id;
  header.payload_bytes = static_cast<std::uint32_t>(request.size() + deadline_bytes);
  char* at = out.Prepare(FrameHeader::kBytes + header.payload_bytes);
  EncodeFrameHeader(header, at);
  at += FrameHeader::kBytes;
  std::memcpy(at, request.data(), request.size());
  if (deadline_bytes > 0) {
    at += request.size();
    *at++ = static_cast<char>(kDeadlineMs);
    protozero::add_varint_to_buffer(at, deadline_ms);
  }
  out.Commit(FrameHeader::kBytes + header.payload_bytes);
}

Result<DecodedReply> DecodeReply(std::string_view payload) {
  DecodedReply reply;
  std::string_view why = "it has no value";
  bool has_value = false;
  try {
    protozero::pbf_reader message(payload.data(), payload.size());
    while (message.next()) {
      switch (message.tag_and_type()) {
        case kValue:
          has_value = ReadValue(message.get_message(), 0, reply.value, why);
          if (!has_value) return Malformed(why);
          break;
        case kStaleRing:
          reply.stale_ring = GetBool(message);
          break;
        default:
          message.skip();
      }
    }
  } catch (const protozero::exception&) {
    return Malformed("it is cut off or garbled");
  }
  if (!has_value) return Malformed(why);
  return reply;
}

}  // namespace gyre::client
