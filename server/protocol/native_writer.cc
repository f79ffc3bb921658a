#include "protocol/native_writer.h"

#include <cassert>
#include <cstring>
#include <limits>
#include <protozero/varint.hpp>
#include <string>

#include "proto/frame.h"
#include "proto/native_tags.h"
#include "proto_gen/cluster.pb.h"
#include "protocol/ascii.h"

namespace gyre {
namespace {

// Protobuf parsers take no message of 2 GiB or more.
constexpr std::size_t kReplyBytesMax = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kTagBytes = 1;
constexpr std::size_t kVarintBytesMax = 10;
// A length as padded varint: five groups of seven bits hold any below 2^35.
constexpr std::size_t kPaddedBytes = 5;
constexpr std::size_t kStaleRingBytes = kTagBytes + 1;
// Frame header, stale_ring, then tag and length of a value.
constexpr std::size_t kReplyHeadBytesMax =
    FrameHeader::kBytes + kStaleRingBytes + kTagBytes + kVarintBytesMax;
// From the first byte behind a list's Value length to behind its own length.
constexpr std::size_t kListHeadBytes = kTagBytes + kPaddedBytes;

constexpr std::uint32_t kPeerReplyError = native::BytesTag(wire::PeerReply::kErrorFieldNumber);
static_assert(kPeerReplyError < 0x80);

std::size_t VarintBytes(std::uint64_t value) {
  return static_cast<std::size_t>(protozero::length_of_varint(value));
}

char* PutTag(char* at, std::uint32_t tag) {
  *at = static_cast<char>(tag);
  return at + kTagBytes;
}

char* PutVarint(char* at, std::uint64_t value) {
  return at + protozero::add_varint_to_buffer(at, value);
}

char* PutBytes(char* at, std::uint32_t tag, std::string_view bytes) {
  return Put(PutVarint(PutTag(at, tag), bytes.size()), bytes);
}

void PutPadded(char* at, std::size_t length) {
  for (std::size_t i = 0; i + 1 < kPaddedBytes; ++i, length >>= 7) {
    at[i] = static_cast<char>((length & 0x7f) | 0x80);
  }
  at[kPaddedBytes - 1] = static_cast<char>(length);
}

std::size_t BytesFieldBytes(std::size_t bytes) { return kTagBytes + VarintBytes(bytes) + bytes; }

std::size_t ErrorBytes(const Error& error, std::string_view message) {
  return kTagBytes + VarintBytes(static_cast<std::uint64_t>(error.code)) +
         BytesFieldBytes(message.size());
}

char* PutError(char* at, const Error& error, std::string_view message) {
  at = PutVarint(PutTag(at, native::kErrorCode), static_cast<std::uint64_t>(error.code));
  return PutBytes(at, native::kErrorMessage, message);
}

// Bytes of the well-formed UTF-8 character (RFC 3629) at the front of `text`, which is not empty;
// 0: malformed.
std::size_t Utf8CharacterBytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is beyond U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return bytes;
}

// Protobuf's type string is UTF-8, and parsers reject a message for a single wrong byte, such as
// one of a key that a message quotes. Returns `text` itself where it is in order; else `repaired`,
// with '?' for each wrong byte.
std::string_view AsUtf8(std::string_view text, std::string& repaired) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t bytes = Utf8CharacterBytes(text.substr(at));
    if (bytes == 0) break;
    at += bytes;
  }
  if (at == text.size()) return text;
  repaired = text;
  while (at < repaired.size()) {
    const std::size_t bytes = Utf8CharacterBytes(std::string_view(repaired).substr(at));
    if (bytes == 0) repaired[at] = '?';
    at += bytes == 0 ? 1 : bytes;
  }
  return repaired;
}

}  // namespace

void NativeWriter::Start(const Request& request, Buffer& out) {
  out_ = &out;
  id_ = request.id;
  type_ = request.kind == Request::Kind::kPeer ? FrameType::kPeerReply : FrameType::kReply;
  stale_ring_ = false;
  Restart();
}

void NativeWriter::StartPush(std::uint64_t request_id, Buffer& out) {
  out_ = &out;
  id_ = request_id;
  type_ = FrameType::kPush;
  stale_ring_ = false;
  Restart();
}

char* NativeWriter::PutFrameHeader(char* at, std::size_t payload_bytes) {
  FrameHeader header;
  header.type = type_;
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
  header.request_id = id_;
  EncodeFrameHeader(header, at);
  return at + FrameHeader::kBytes;
}

// Writes all that stands before a Value of `value_bytes`, as the reply or as an element of the open
// list. Returns where the Value goes: room for `room` bytes, at most value_bytes. EndValue says how
// far it was written.
char* NativeWriter::BeginValue(std::size_t value_bytes, std::size_t room) {
  char* at = out_->Prepare(kReplyHeadBytesMax + room);
  if (!open_.empty()) return PutVarint(PutTag(at, native::kListValues), value_bytes);
  const std::size_t stale = stale_ring_ ? kStaleRingBytes : 0;
  at = PutFrameHeader(at, stale + kTagBytes + VarintBytes(value_bytes) + value_bytes);
  if (stale_ring_) at = PutVarint(PutTag(at, native::kReplyStaleRing), 1);
  return PutVarint(PutTag(at, native::kReplyValue), value_bytes);
}

void NativeWriter::EndValue(const char* end) {
  out_->Commit(static_cast<std::size_t>(end - (out_->data() + out_->size())));
}

void NativeWriter::Varint(std::uint32_t tag, std::uint64_t value) {
  const std::size_t bytes = kTagBytes + VarintBytes(value);
  EndValue(PutVarint(PutTag(BeginValue(bytes, bytes), tag), value));
}

void NativeWriter::Bytes(std::uint32_t tag, std::string_view bytes) {
  const std::size_t value_bytes = BytesFieldBytes(bytes.size());
  EndValue(PutBytes(BeginValue(value_bytes, value_bytes), tag, bytes));
}

void NativeWriter::Null() { Varint(native::kNull, 1); }
void NativeWriter::Word(Outcome outcome) {
  Varint(native::kOutcome, static_cast<std::uint64_t>(outcome));
}
void NativeWriter::Text(std::string_view line) {
  std::string repaired;
  Bytes(native::kText, AsUtf8(line, repaired));
}
void NativeWriter::Bulk(std::string_view bytes) { Bytes(native::kBulk, bytes); }
void NativeWriter::Integer(std::int64_t value) {
  Varint(native::kInteger, protozero::encode_zigzag64(value));
}
void NativeWriter::Unsigned(std::uint64_t value) { Varint(native::kUnsigned, value); }
void NativeWriter::Boolean(bool value) { Varint(native::kBoolean, value ? 1 : 0); }

void NativeWriter::Double(double value) {
  constexpr std::size_t kBytes = kTagBytes + sizeof value;
  char* const at = PutTag(BeginValue(kBytes, kBytes), native::kNumber);
  std::memcpy(at, &value, sizeof value);  // IEEE 754, little-endian, as the wire has it
  EndValue(at + sizeof value);
}

void NativeWriter::Fail(const Error& error) {
  std::string repaired;
  const std::string_view message = AsUtf8(error.message, repaired);
  if (type_ == FrameType::kPeerReply) return FailPeer(error, message);
  const std::size_t error_bytes = ErrorBytes(error, message);
  const std::size_t value_bytes = BytesFieldBytes(error_bytes);
  char* const at = PutTag(BeginValue(value_bytes, value_bytes), native::kError);
  EndValue(PutError(PutVarint(at, error_bytes), error, message));
}

// A peer waits for a PeerReply, so that its error is one, too (wire::PeerError has the fields of
// wire::Error).
void NativeWriter::FailPeer(const Error& error, std::string_view message) {
  static_assert(native::VarintTag(wire::PeerError::kCodeFieldNumber) == native::kErrorCode);
  static_assert(native::BytesTag(wire::PeerError::kMessageFieldNumber) == native::kErrorMessage);
  const std::size_t error_bytes = ErrorBytes(error, message);
  const std::size_t payload_bytes = BytesFieldBytes(error_bytes);
  char* at = PutFrameHeader(out_->Prepare(FrameHeader::kBytes + payload_bytes), payload_bytes);
  at = PutVarint(PutTag(at, kPeerReplyError), error_bytes);
  EndValue(PutError(at, error, message));
}

void NativeWriter::BeginList(ListShape shape, std::size_t) {
  if (open_.empty()) begin_ = out_->size();
  char* at = out_->Prepare(kReplyHeadBytesMax + kListHeadBytes + kTagBytes + 1);
  if (!open_.empty()) {
    at = PutTag(at, native::kListValues);
  } else {
    at = PutFrameHeader(at, 0);  // the length is filled in by EndList
    if (stale_ring_) at = PutVarint(PutTag(at, native::kReplyStaleRing), 1);
    at = PutTag(at, native::kReplyValue);
  }
  at += kPaddedBytes;
  open_.push_back(static_cast<std::size_t>(at - out_->data()) - begin_);
  at = PutTag(at, native::kList) + kPaddedBytes;
  at = PutVarint(PutTag(at, native::kListShape), static_cast<std::uint64_t>(shape));
  EndValue(at);
}

void NativeWriter::EndList() {
  assert(!open_.empty());
  const std::size_t value_begin = open_.back();
  open_.pop_back();
  const std::size_t reply_bytes = out_->size() - begin_;
  if (open_.empty() && reply_bytes > kReplyBytesMax) {
    out_->Truncate(begin_);
    return Fail({ErrorCode::kTooLarge, "the reply is over 2 GiB: ask for fewer keys at once"});
  }
  char* const reply = out_->mutable_data() + begin_;
  const std::size_t value_bytes = reply_bytes - value_begin;
  PutPadded(reply + value_begin - kPaddedBytes, value_bytes);
  PutPadded(reply + value_begin + kTagBytes, value_bytes - kListHeadBytes);
  if (open_.empty()) PutFrameHeader(reply, reply_bytes - FrameHeader::kBytes);
}

// The value stands last in the record, so that its chunks are simply appended.
void NativeWriter::BeginRecord(const RecordHead& head) {
  const std::size_t record_bytes = BytesFieldBytes(head.key.size()) + kTagBytes +
                                   VarintBytes(head.flags) + kTagBytes + sizeof head.version +
                                   BytesFieldBytes(head.value_bytes);
  const std::size_t value_bytes = BytesFieldBytes(record_bytes);
  char* at = BeginValue(value_bytes, value_bytes);
  at = PutVarint(PutTag(at, native::kRecord), record_bytes);
  at = PutBytes(at, native::kRecordKey, head.key);
  at = PutVarint(PutTag(at, native::kRecordFlags), head.flags);
  at = PutTag(at, native::kRecordVersion);
  std::memcpy(at, &head.version, sizeof head.version);
  at = PutTag(at + sizeof head.version, native::kRecordValue);
  EndValue(PutVarint(at, head.value_bytes));
}

void NativeWriter::Chunk(std::string_view bytes) {
  Put(out_->Prepare(bytes.size()), bytes);
  out_->Commit(bytes.size());
}

void NativeWriter::EndRecord() {}

void NativeWriter::Peer(std::string_view payload) {
  assert(type_ == FrameType::kPeerReply && open_.empty());
  char* const at =
      PutFrameHeader(out_->Prepare(FrameHeader::kBytes + payload.size()), payload.size());
  EndValue(Put(at, payload));
}

}  // namespace gyre
