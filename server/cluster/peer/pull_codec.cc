#include "peer/pull_codec.h"

#include <cassert>
#include <protozero/pbf_builder.hpp>

#include "peer/peer_wire.h"

namespace gyre {

using namespace peer_wire;

namespace {

// Field numbers of cluster.proto.
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
  kPosition = 15,
  kNewestForgotten = 16,
  kKeyHash = 17,
};
enum class PositionField : protozero::pbf_tag_type { kTerm = 1, kNumber = 2 };

StreamPosition ReadPosition(protozero::data_view bytes) {
  StreamPosition position;
  protozero::pbf_message<PositionField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(PositionField::kTerm, Wire::fixed64):
        position.term = message.get_fixed64();
        break;
      case protozero::tag_and_type(PositionField::kNumber, Wire::varint):
        position.number = message.get_uint64();
        break;
      default:
        message.skip();
    }
  }
  return position;
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
      case protozero::tag_and_type(PullReplyField::kNewestForgotten, Wire::fixed64):
        page.newest_forgotten = message.get_fixed64();
        break;
      case protozero::tag_and_type(PullReplyField::kRemembersFromMs, Wire::varint):
        page.remembers_from = message.get_int64();
        break;
      case protozero::tag_and_type(PullReplyField::kPosition, Wire::length_delimited):
        page.position = ReadPosition(message.get_view());
        break;
      case protozero::tag_and_type(PullReplyField::kKeyHash, Wire::fixed64):
        page.key_hash = message.get_fixed64();
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

}  // namespace

Status DecodePullReply(std::string_view reply, PullPage& page) {
  page = PullPage{};
  return Guarded("pull reply", [&]() -> Status {
    const Result<protozero::data_view> body = Unwrap(reply, PeerReplyField::kPull);
    if (!body) return tl::unexpected<Error>(body.error());
    ReadPull(*body, page);
    return {};
  });
}

PullPageWriter::PullPageWriter(std::size_t bytes) {
  body_.reserve(kEnvelopeBytes + bytes);
  body_.push_back(Tag(PeerReplyField::kPull, kLengthDelimited));
  body_.append(kLengthBytes, '\0');
  assert(body_.size() == kEnvelopeBytes);
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

void PullPageWriter::AddPosition(const StreamPosition& position) {
  protozero::pbf_builder<PullReplyField> message(body_);
  protozero::pbf_builder<PositionField> inner(message, PullReplyField::kPosition);
  inner.add_fixed64(PositionField::kTerm, position.term);
  inner.add_uint64(PositionField::kNumber, position.number);
}

void PullPageWriter::AddKeyHash(const KeyHashId& hash) {
  protozero::pbf_builder<PullReplyField> message(body_);
  if (!hash.is_plain()) message.add_fixed64(PullReplyField::kKeyHash, hash.tag);
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
  if (info.newest_forgotten != 0) {
    message.add_fixed64(PullReplyField::kNewestForgotten, info.newest_forgotten);
  }
  message.add_int64(PullReplyField::kRemembersFromMs, remembers_from);
  if (info.outage.end != 0) {
    message.add_int64(PullReplyField::kOutageEndMs, info.outage.end);
    message.add_int64(PullReplyField::kOutageLengthMs, info.outage.length);
  }
  SealLength(kEnvelopeBytes, body_);
  return std::move(body_);
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

}  // namespace gyre
