#include "peer/effect_codec.h"

#include <algorithm>

#include "peer/peer_wire.h"

namespace gyre {

using namespace peer_wire;

namespace {

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

// `head` without its value, of which `append_value` appends `value_bytes` to `out`.
template <typename AppendValue>
void AppendFields(const Mutation& head, std::size_t value_bytes, AppendValue&& append_value,
                  std::string& out) {
  const auto expiry = static_cast<std::uint64_t>(head.expiry_ms);
  const std::size_t size = VarintFieldSize(head.partition) + BytesFieldSize(head.key.size()) +
                           BytesFieldSize(value_bytes) + 9 + VarintFieldSize(expiry) +
                           VarintFieldSize(head.flags) + (head.tombstone ? 2 : 0);
  out.push_back(Tag(EffectsField::kMutations, kLengthDelimited));
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

Mutation peer_wire::ReadMutation(protozero::data_view bytes) {
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
  out.push_back(Tag(EffectsField::kFlushes, kLengthDelimited));
  AppendVarint(VarintFieldSize(partition) + 9, out);
  if (partition != 0) {
    out.push_back(Tag(FlushField::kPartition, kVarint));
    AppendVarint(partition, out);
  }
  out.push_back(Tag(FlushField::kVersion, kFixed64));
  AppendFixed64(version, out);
}

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

}  // namespace gyre
