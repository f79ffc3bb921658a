#include "peer/peer_codec.h"

#include <cassert>
#include <iterator>
#include <protozero/pbf_builder.hpp>
#include <protozero/pbf_message.hpp>
#include <protozero/varint.hpp>

#include "proto/pbf.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

using Wire = protozero::pbf_wire_type;

// Field numbers of cluster.proto.
enum class MutationField : protozero::pbf_tag_type {
  kPartition = 1,
  kKey = 2,
  kValue = 3,
  kVersion = 4,
  kExpiryMs = 5,
  kFlags = 6,
  kTombstone = 7,
};
enum class FlushField : protozero::pbf_tag_type { kPartition = 1, kVersion = 2 };
enum class PullReplyField : protozero::pbf_tag_type {
  kMutations = 1,
  kNextCursor = 2,
  kDone = 3,
  kFlushedVersion = 4,
  kRefused = 5,
  kOutageEndMs = 6,
  kOutageLengthMs = 7,
  kPartitionValueBytes = 8,
  kPartitionRecords = 9,
  kServedUs = 10,
  kLoadPermille = 11,
  kNextWithin = 12,
  kNewestEvicted = 13,
  kRemembersFromMs = 14,
};
enum class ReplicateReplyField : protozero::pbf_tag_type { kRefused = 1, kFailed = 2 };
enum class PeerReplyField : protozero::pbf_tag_type { kReplicate = 1, kPull = 2, kError = 15 };
enum class PeerErrorField : protozero::pbf_tag_type { kCode = 1, kMessage = 2 };

constexpr std::uint32_t kLengthDelimited = 2;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::uint32_t kVarint = 0;
constexpr std::uint8_t kReplicateTag = 1 << 3 | kLengthDelimited;

template <typename Field>
constexpr char Tag(Field field, std::uint32_t wire_type) {
  return static_cast<char>(static_cast<std::uint32_t>(field) << 3 | wire_type);
}

void AppendVarint(std::uint64_t value, std::string& out) {
  protozero::write_varint(std::back_inserter(out), value);
}

void AppendFixed64(std::uint64_t value, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

std::size_t BytesFieldSize(std::size_t bytes) {
  return 1 + static_cast<std::size_t>(protozero::length_of_varint(bytes)) + bytes;
}

std::size_t VarintFieldSize(std::uint64_t value) {
  return value == 0 ? 0 : 1 + static_cast<std::size_t>(protozero::length_of_varint(value));
}

Error Malformed(std::string_view what) {
  return Error{ErrorCode::kProtocol, "malformed " + std::string(what) +
                                         " from a peer: do all nodes run adjacent releases?"};
}

template <typename Decode>
auto Guarded(std::string_view what, Decode&& decode) -> decltype(decode()) {
  try {
    return decode();
  } catch (const protozero::exception&) {
    return tl::unexpected<Error>(Malformed(what));
  }
}

// Of a peer's words, what is repeated.
constexpr std::size_t kErrorMessageBytesMax = 512;

// A code of a newer release is an error still.
ErrorCode ToErrorCode(std::uint32_t code) {
  const bool known = code <= static_cast<std::uint32_t>(ErrorCode::kNotAllowed);
  return known ? static_cast<ErrorCode>(code) : ErrorCode::kInternal;
}

Error ReadError(protozero::data_view bytes) {
  Error error;
  protozero::pbf_message<PeerErrorField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(PeerErrorField::kCode, Wire::varint):
        error.code = ToErrorCode(message.get_uint32());
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

// The message in `field` of the PeerReply, or the error that stands there instead.
Result<protozero::data_view> Unwrap(std::string_view reply, PeerReplyField field) {
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

Mutation ReadMutation(protozero::data_view bytes) {
  Mutation mutation;
  protozero::pbf_message<MutationField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(MutationField::kPartition, Wire::varint):
        mutation.partition = message.get_uint32();
        break;
      case protozero::tag_and_type(MutationField::kKey, Wire::length_delimited): {
        const protozero::data_view view = message.get_view();
        mutation.key = {view.data(), view.size()};
        break;
      }
      case protozero::tag_and_type(MutationField::kValue, Wire::length_delimited): {
        const protozero::data_view view = message.get_view();
        mutation.value = {view.data(), view.size()};
        break;
      }
      case protozero::tag_and_type(MutationField::kVersion, Wire::fixed64):
        mutation.version = message.get_fixed64();
        break;
      case protozero::tag_and_type(MutationField::kExpiryMs, Wire::varint):
        mutation.expiry_ms = message.get_int64();
        break;
      case protozero::tag_and_type(MutationField::kFlags, Wire::varint):
        mutation.flags = message.get_uint32();
        break;
      case protozero::tag_and_type(MutationField::kTombstone, Wire::varint):
        mutation.tombstone = GetBool(message);
        break;
      default:
        message.skip();
    }
  }
  return mutation;
}

void ReadPull(protozero::data_view bytes, PullPage& page) {
  protozero::pbf_message<PullReplyField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(PullReplyField::kMutations, Wire::length_delimited):
        page.mutations.push_back(ReadMutation(message.get_view()));
        break;
      case protozero::tag_and_type(PullReplyField::kNextCursor, Wire::fixed64):
        page.next.hash = message.get_fixed64();
        break;
      case protozero::tag_and_type(PullReplyField::kNextWithin, Wire::varint):
        page.next.within = message.get_uint32();
        break;
      case protozero::tag_and_type(PullReplyField::kNewestEvicted, Wire::fixed64):
        page.newest_evicted = message.get_fixed64();
        break;
      case protozero::tag_and_type(PullReplyField::kRemembersFromMs, Wire::varint):
        page.remembers_from = message.get_int64();
        break;
      case protozero::tag_and_type(PullReplyField::kDone, Wire::varint):
        page.done = GetBool(message);
        break;
      case protozero::tag_and_type(PullReplyField::kFlushedVersion, Wire::fixed64):
        page.flushed_version = message.get_fixed64();
        break;
      case protozero::tag_and_type(PullReplyField::kRefused, Wire::varint):
        page.refused = GetBool(message);
        break;
      case protozero::tag_and_type(PullReplyField::kOutageEndMs, Wire::varint):
        page.outage.end = message.get_int64();
        break;
      case protozero::tag_and_type(PullReplyField::kOutageLengthMs, Wire::varint):
        page.outage.length = message.get_int64();
        break;
      case protozero::tag_and_type(PullReplyField::kPartitionValueBytes, Wire::varint):
        page.partition_value_bytes = message.get_uint64();
        break;
      case protozero::tag_and_type(PullReplyField::kPartitionRecords, Wire::varint):
        page.partition_records = message.get_uint64();
        break;
      case protozero::tag_and_type(PullReplyField::kServedUs, Wire::varint):
        page.served_us = message.get_uint32();
        break;
      case protozero::tag_and_type(PullReplyField::kLoadPermille, Wire::varint):
        page.load_permille = message.get_uint32();
        break;
      default:
        message.skip();
    }
  }
}

// `head` without its value, of which `append_value` appends `value_bytes` to `out`.
template <typename AppendValue>
void AppendFields(const Mutation& head, std::size_t value_bytes, AppendValue&& append_value,
                  std::string& out) {
  const auto expiry = static_cast<std::uint64_t>(head.expiry_ms);
  const std::size_t size = VarintFieldSize(head.partition) + BytesFieldSize(head.key.size()) +
                           BytesFieldSize(value_bytes) + 9 + VarintFieldSize(expiry) +
                           VarintFieldSize(head.flags) + (head.tombstone ? 2 : 0);
  out.push_back(Tag(PullReplyField::kMutations, kLengthDelimited));
  AppendVarint(size, out);
  [[maybe_unused]] const std::size_t begin = out.size();
  if (head.partition != 0) {
    out.push_back(Tag(MutationField::kPartition, kVarint));
    AppendVarint(head.partition, out);
  }
  out.push_back(Tag(MutationField::kKey, kLengthDelimited));
  AppendVarint(head.key.size(), out);
  out.append(head.key);
  out.push_back(Tag(MutationField::kValue, kLengthDelimited));
  AppendVarint(value_bytes, out);
  append_value();
  out.push_back(Tag(MutationField::kVersion, kFixed64));
  AppendFixed64(head.version, out);
  if (expiry != 0) {
    out.push_back(Tag(MutationField::kExpiryMs, kVarint));
    AppendVarint(expiry, out);
  }
  if (head.flags != 0) {
    out.push_back(Tag(MutationField::kFlags, kVarint));
    AppendVarint(head.flags, out);
  }
  if (head.tombstone) {
    out.push_back(Tag(MutationField::kTombstone, kVarint));
    out.push_back(1);
  }
  assert(out.size() - begin == size);
}

}  // namespace

void AppendMutation(PartitionId partition, const RecordView& record, std::string& out) {
  const Mutation head{.partition = partition,
                      .key = record.key(),
                      .version = record.version(),
                      .expiry_ms = record.expiry_ms(),
                      .flags = record.flags(),
                      .tombstone = record.is_tombstone()};
  AppendFields(
      head, head.tombstone ? 0 : record.value_bytes(),
      [&] { record.ForEachChunk([&out](std::string_view chunk) { out.append(chunk); }); }, out);
}

void AppendRemoval(const Key& key, Version version, std::string& out) {
  AppendFields(
      {.partition = key.partition, .key = key.bytes, .version = version, .tombstone = true}, 0,
      [] {}, out);
}

void AppendFlush(PartitionId partition, Version version, std::string& out) {
  out.push_back(static_cast<char>(2 << 3 | kLengthDelimited));
  AppendVarint(VarintFieldSize(partition) + 9, out);
  if (partition != 0) {
    out.push_back(Tag(FlushField::kPartition, kVarint));
    AppendVarint(partition, out);
  }
  out.push_back(Tag(FlushField::kVersion, kFixed64));
  AppendFixed64(version, out);
}

void BeginReplicate(std::string& out) {
  assert(out.empty());
  out.push_back(static_cast<char>(kReplicateTag));
  out.append(kReplicateEnvelopeBytes - 1, '\0');
}

void SealReplicate(std::string& out) {
  std::size_t length = out.size() - kReplicateEnvelopeBytes;
  for (std::size_t i = 1; i < kReplicateEnvelopeBytes; ++i) {
    const bool last = i + 1 == kReplicateEnvelopeBytes;
    out[i] = static_cast<char>((length & 0x7f) | (last ? 0 : 0x80));
    length >>= 7;
  }
  assert(length == 0);
}

Result<Mutation> DecodeMutation(std::string_view bytes) {
  return Guarded("mutation", [&]() -> Result<Mutation> {
    return ReadMutation(protozero::data_view{bytes.data(), bytes.size()});
  });
}

Result<FlushMark> DecodeFlush(std::string_view bytes) {
  return Guarded("flush", [&]() -> Result<FlushMark> {
    FlushMark mark;
    protozero::pbf_message<FlushField> message(protozero::data_view{bytes.data(), bytes.size()});
    while (message.next()) {
      switch (message.tag_and_type()) {
        case protozero::tag_and_type(FlushField::kPartition, Wire::varint):
          mark.partition = message.get_uint32();
          break;
        case protozero::tag_and_type(FlushField::kVersion, Wire::fixed64):
          mark.version = message.get_fixed64();
          break;
        default:
          message.skip();
      }
    }
    return mark;
  });
}

Status DecodePullReply(std::string_view reply, PullPage& page) {
  page = PullPage{};
  return Guarded("pull reply", [&]() -> Status {
    const Result<protozero::data_view> body = Unwrap(reply, PeerReplyField::kPull);
    if (!body) return tl::unexpected<Error>(body.error());
    ReadPull(*body, page);
    return {};
  });
}

Result<ReplicateResult> DecodeReplicateReply(std::string_view reply) {
  return Guarded("replicate reply", [&]() -> Result<ReplicateResult> {
    const Result<protozero::data_view> body = Unwrap(reply, PeerReplyField::kReplicate);
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
        case protozero::tag_and_type(ReplicateReplyField::kFailed, Wire::length_delimited):
          for (std::uint32_t index : message.get_packed_uint32()) result.failed.push_back(index);
          break;
        default:
          message.skip();
      }
    }
    return result;
  });
}

std::string EncodeReplicateReply(const ReplicateResult& result) {
  std::string body;
  protozero::pbf_builder<ReplicateReplyField> message(body);
  message.add_packed_uint32(ReplicateReplyField::kRefused, result.refused.begin(),
                            result.refused.end());
  message.add_packed_uint32(ReplicateReplyField::kFailed, result.failed.begin(),
                            result.failed.end());
  std::string out;
  protozero::pbf_builder<PeerReplyField> reply(out);
  reply.add_bytes(PeerReplyField::kReplicate, body);
  return out;
}

void PullPageWriter::AddSource(std::uint64_t partition_value_bytes,
                               std::uint64_t partition_records) {
  protozero::pbf_builder<PullReplyField> message(body_);
  message.add_uint64(PullReplyField::kPartitionValueBytes, partition_value_bytes);
  message.add_uint64(PullReplyField::kPartitionRecords, partition_records);
}

void PullPageWriter::AddCost(std::uint32_t served_us, std::uint32_t load_permille) {
  protozero::pbf_builder<PullReplyField> message(body_);
  message.add_uint32(PullReplyField::kServedUs, served_us);
  message.add_uint32(PullReplyField::kLoadPermille, load_permille);
}

std::string PullPageWriter::Finish(const WalkPosition& next, const PartitionInfo& info,
                                   UnixMillis remembers_from) {
  protozero::pbf_builder<PullReplyField> message(body_);
  if (next.is_end()) {
    message.add_bool(PullReplyField::kDone, true);
  } else {
    message.add_fixed64(PullReplyField::kNextCursor, next.hash);
    message.add_uint32(PullReplyField::kNextWithin, next.within);
  }
  message.add_fixed64(PullReplyField::kFlushedVersion, info.flushed);
  message.add_fixed64(PullReplyField::kNewestEvicted, info.newest_evicted);
  message.add_int64(PullReplyField::kRemembersFromMs, remembers_from);
  if (info.outage.end != 0) {
    message.add_int64(PullReplyField::kOutageEndMs, info.outage.end);
    message.add_int64(PullReplyField::kOutageLengthMs, info.outage.length);
  }
  std::string out;
  protozero::pbf_builder<PeerReplyField> reply(out);
  reply.add_bytes(PeerReplyField::kPull, body_);
  return out;
}

std::string PullPageWriter::Refused() {
  std::string body;
  protozero::pbf_builder<PullReplyField> message(body);
  message.add_bool(PullReplyField::kRefused, true);
  std::string out;
  protozero::pbf_builder<PeerReplyField> reply(out);
  reply.add_bytes(PeerReplyField::kPull, body);
  return out;
}

std::string EncodePeerMessage(int field, std::string_view message) {
  std::string out;
  out.reserve(message.size() + 16);
  AppendVarint(static_cast<std::uint64_t>(field) << 3 | kLengthDelimited, out);
  AppendVarint(message.size(), out);
  out.append(message);
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
  return {ToErrorCode(error.code()), error.message().substr(0, kErrorMessageBytesMax)};
}

}  // namespace gyre
