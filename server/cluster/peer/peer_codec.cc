#include "peer/peer_codec.h"

#include <algorithm>
#include <cassert>
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
  kPosition = 15,
  kNewestForgotten = 16,
  kKeyHash = 17,
};
enum class PositionField : protozero::pbf_tag_type { kTerm = 1, kNumber = 2 };
enum class GroupField : protozero::pbf_tag_type {
  kPartition = 1,
  kTerm = 2,
  kNumber = 3,
  kBaseTerm = 4,
  kBaseNumber = 5,
  kEffects = 6,
};
enum class GroupsField : protozero::pbf_tag_type { kGroups = 1 };
enum class EffectsField : protozero::pbf_tag_type {
  kMutations = 1,
  kFlushes = 2,
  kForgotten = 3,
  kEvictions = 4,
};
enum class EvictionsField : protozero::pbf_tag_type { kKeyHash = 1, kEvicted = 2, kExpired = 3 };
enum class BehindField : protozero::pbf_tag_type { kPartition = 1, kTerm = 2, kNumber = 3 };
enum class ReplicateReplyField : protozero::pbf_tag_type {
  kRefused = 1,
  kFailed = 2,
  kBehind = 3,
  kAbsent = 4
};
enum class PeerReplyField : protozero::pbf_tag_type {
  kReplicate = 1,
  kPull = 2,
  kReplicateGroups = 28,
  kError = 15,
};
enum class PeerErrorField : protozero::pbf_tag_type { kCode = 1, kMessage = 2 };

constexpr std::uint32_t kLengthDelimited = 2;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::size_t kLengthBytes = 5;  // of a varint of 32 bits, in full width
constexpr std::uint32_t kVarint = 0;
constexpr std::uint8_t kReplicateTag = 1 << 3 | kLengthDelimited;
constexpr char kPullReplyTag = 2 << 3 | kLengthDelimited;
constexpr std::uint32_t kReplicateGroupsTag = 28 << 3 | kLengthDelimited;  // two bytes

template <typename Field>
constexpr char Tag(Field field, std::uint32_t wire_type) {
  return static_cast<char>(static_cast<std::uint32_t>(field) << 3 | wire_type);
}

void AppendFixed64(std::uint64_t value, std::string& out) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof(bytes));
}

// Fills in the length, of full width, of all that follows `end`, before which it stands.
void SealLength(std::size_t end, std::string& out) {
  std::size_t length = out.size() - end;
  for (std::size_t i = end - kLengthBytes; i < end; ++i) {
    const bool last = i + 1 == end;
    out[i] = static_cast<char>((length & 0x7f) | (last ? 0 : 0x80));
    length >>= 7;
  }
  assert(length == 0);
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

PeerReplyField ReplyField(BatchForm form) {
  return form == BatchForm::kRecords ? PeerReplyField::kReplicate
                                     : PeerReplyField::kReplicateGroups;
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

GroupView ReadGroup(protozero::data_view bytes) {
  GroupView group;
  protozero::pbf_message<GroupField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(GroupField::kPartition, Wire::varint):
        group.partition = message.get_uint32();
        break;
      case protozero::tag_and_type(GroupField::kTerm, Wire::fixed64):
        group.position.term = message.get_fixed64();
        break;
      case protozero::tag_and_type(GroupField::kNumber, Wire::varint):
        group.position.number = message.get_uint64();
        break;
      case protozero::tag_and_type(GroupField::kBaseTerm, Wire::fixed64):
        group.base.term = message.get_fixed64();
        break;
      case protozero::tag_and_type(GroupField::kBaseNumber, Wire::varint):
        group.base.number = message.get_uint64();
        break;
      case protozero::tag_and_type(GroupField::kEffects, Wire::length_delimited): {
        const protozero::data_view view = message.get_view();
        group.effects = {view.data(), view.size()};
        break;
      }
      default:
        message.skip();
    }
  }
  return group;
}

FlushMark ReadFlush(protozero::data_view bytes) {
  FlushMark mark;
  protozero::pbf_message<FlushField> message(bytes);
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
}

// The two numbers of each record.
constexpr std::size_t kEvictedRecordBytes = 16;

void ReadEvictedRecords(protozero::pbf_message<EvictionsField>& message, bool expired,
                        std::vector<EvictedRecord>& evicted) {
  const auto numbers = message.get_packed_fixed64();
  for (auto number = numbers.begin(); number != numbers.end(); ++number) {
    EvictedRecord record{.hash = *number, .expired = expired};
    if (++number == numbers.end()) return;  // a peer's word: half a record
    record.version = *number;
    evicted.push_back(record);
  }
}

void ReadEvictions(protozero::data_view bytes, GroupNotes& notes) {
  protozero::pbf_message<EvictionsField> message(bytes);
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(EvictionsField::kKeyHash, Wire::fixed64):
        notes.key_hash = message.get_fixed64();
        break;
      case protozero::tag_and_type(EvictionsField::kEvicted, Wire::length_delimited):
        ReadEvictedRecords(message, /*expired=*/false, notes.evicted);
        break;
      case protozero::tag_and_type(EvictionsField::kExpired, Wire::length_delimited):
        ReadEvictedRecords(message, /*expired=*/true, notes.evicted);
        break;
      default:
        message.skip();
    }
  }
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

void AppendForgotten(Version version, std::string& out) {
  out.push_back(Tag(EffectsField::kForgotten, kFixed64));
  AppendFixed64(version, out);
}

void AppendEvictions(std::span<const EvictedRecord> evicted, std::uint64_t key_hash,
                     std::string& out) {
  const auto expired = static_cast<std::size_t>(
      std::count_if(evicted.begin(), evicted.end(), [](const auto& each) { return each.expired; }));
  const std::size_t bytes[] = {(evicted.size() - expired) * kEvictedRecordBytes,
                               expired * kEvictedRecordBytes};
  const EvictionsField fields[] = {EvictionsField::kEvicted, EvictionsField::kExpired};
  std::size_t size = key_hash == 0 ? 0 : 9;
  for (const std::size_t each : bytes) size += each == 0 ? 0 : BytesFieldSize(each);
  out.push_back(Tag(EffectsField::kEvictions, kLengthDelimited));
  AppendVarint(size, out);
  [[maybe_unused]] const std::size_t begin = out.size();
  if (key_hash != 0) {
    out.push_back(Tag(EvictionsField::kKeyHash, kFixed64));
    AppendFixed64(key_hash, out);
  }
  for (const bool expires : {false, true}) {
    if (bytes[expires] == 0) continue;
    out.push_back(Tag(fields[expires], kLengthDelimited));
    AppendVarint(bytes[expires], out);
    for (const EvictedRecord& each : evicted) {
      if (each.expired != expires) continue;
      AppendFixed64(each.hash, out);
      AppendFixed64(each.version, out);
    }
  }
  assert(out.size() - begin == size);
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

void BeginReplicate(std::string& out, BatchForm form) {
  assert(out.empty());
  AppendVarint(form == BatchForm::kRecords ? kReplicateTag : kReplicateGroupsTag, out);
  out.append(kLengthBytes, '\0');
  assert(out.size() == EnvelopeBytes(form));
}

void SealReplicate(std::string& out, BatchForm form) { SealLength(EnvelopeBytes(form), out); }

Result<Mutation> DecodeMutation(std::string_view bytes) {
  return Guarded("mutation", [&]() -> Result<Mutation> {
    return ReadMutation(protozero::data_view{bytes.data(), bytes.size()});
  });
}

Result<FlushMark> DecodeFlush(std::string_view bytes) {
  return Guarded("flush", [&]() -> Result<FlushMark> {
    return ReadFlush(protozero::data_view{bytes.data(), bytes.size()});
  });
}

void AppendGroup(const GroupView& group, std::string& out) {
  const bool opens = group.position.number <= 1;
  const std::size_t size =
      VarintFieldSize(group.partition) + 9 + VarintFieldSize(group.position.number) +
      (opens ? 9 + VarintFieldSize(group.base.number) : 0) + BytesFieldSize(group.effects.size());
  out.push_back(Tag(GroupsField::kGroups, kLengthDelimited));
  AppendVarint(size, out);
  [[maybe_unused]] const std::size_t begin = out.size();
  const auto append_varint = [&out](GroupField field, std::uint64_t value) {
    if (value == 0) return;
    out.push_back(Tag(field, kVarint));
    AppendVarint(value, out);
  };
  append_varint(GroupField::kPartition, group.partition);
  out.push_back(Tag(GroupField::kTerm, kFixed64));
  AppendFixed64(group.position.term, out);
  append_varint(GroupField::kNumber, group.position.number);
  if (opens) {
    out.push_back(Tag(GroupField::kBaseTerm, kFixed64));
    AppendFixed64(group.base.term, out);
    append_varint(GroupField::kBaseNumber, group.base.number);
  }
  out.push_back(Tag(GroupField::kEffects, kLengthDelimited));
  AppendVarint(group.effects.size(), out);
  out.append(group.effects);
  assert(out.size() - begin == size);
}

Status DecodeEffects(PartitionId partition, std::string_view bytes,
                     std::vector<DecodedEffect>& effects, GroupNotes* notes) {
  effects.clear();
  if (notes != nullptr) notes->Clear();
  return Guarded("group", [&]() -> Status {
    protozero::pbf_message<EffectsField> message(protozero::data_view{bytes.data(), bytes.size()});
    while (message.next()) {
      DecodedEffect effect;
      switch (message.tag_and_type()) {
        case protozero::tag_and_type(EffectsField::kMutations, Wire::length_delimited):
          effect.mutation = ReadMutation(message.get_view());
          break;
        case protozero::tag_and_type(EffectsField::kFlushes, Wire::length_delimited):
          effect.is_flush = true;
          effect.flush = ReadFlush(message.get_view());
          break;
        case protozero::tag_and_type(EffectsField::kForgotten, Wire::fixed64): {
          const Version version = message.get_fixed64();
          if (notes != nullptr) notes->forgotten = version;
          continue;
        }
        case protozero::tag_and_type(EffectsField::kEvictions, Wire::length_delimited): {
          const protozero::data_view evictions = message.get_view();
          if (notes != nullptr) ReadEvictions(evictions, *notes);
          continue;
        }
        default:
          message.skip();
          continue;
      }
      if ((effect.is_flush ? effect.flush.partition : effect.mutation.partition) != partition) {
        return tl::unexpected<Error>(Malformed("group"));
      }
      effects.push_back(effect);
    }
    return {};
  });
}

void PeekEvictions(std::string_view bytes, GroupNotes& notes) {
  notes.Clear();
  (void)Guarded("group", [&]() -> Status {
    protozero::pbf_message<EffectsField> message(protozero::data_view{bytes.data(), bytes.size()});
    while (message.next(EffectsField::kEvictions, Wire::length_delimited)) {
      ReadEvictions(message.get_view(), notes);
    }
    return {};
  });
}

Status DecodeGroups(std::string_view bytes, std::vector<GroupView>& groups) {
  groups.clear();
  return Guarded("groups", [&]() -> Status {
    protozero::pbf_message<GroupsField> message(protozero::data_view{bytes.data(), bytes.size()});
    while (message.next()) {
      if (message.tag_and_type() !=
          protozero::tag_and_type(GroupsField::kGroups, Wire::length_delimited)) {
        message.skip();
        continue;
      }
      const GroupView group = ReadGroup(message.get_view());
      const bool is_first = group.position.number <= 1;
      const bool goes_on = group.base.term < group.position.term ||
                           (group.position.number == 1 && group.base.number == 0 &&
                            group.base.term == group.position.term);
      if (!IsPossible(group.position) || !group.position.is_known() ||
          (is_first && (!IsPossible(group.base) || !goes_on))) {
        return tl::unexpected<Error>(Malformed("group"));
      }
      groups.push_back(group);
    }
    return {};
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

PullPageWriter::PullPageWriter(std::size_t bytes) {
  body_.reserve(kEnvelopeBytes + bytes);
  body_.push_back(kPullReplyTag);
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
