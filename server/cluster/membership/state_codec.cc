#include "membership/state_codec.h"

#include <google/protobuf/stubs/logging.h>
#include <xxhash.h>

#include <algorithm>
#include <limits>

#include "membership/signer.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/placement.h"

namespace gyre {
namespace {

bool IsPort(std::uint32_t port) { return port <= std::numeric_limits<std::uint16_t>::max(); }

// Names stand in logs and tables: no control characters.
bool IsText(const std::string& text, std::size_t bytes_max) {
  return text.size() <= bytes_max && std::all_of(text.begin(), text.end(), [](char byte) {
           return static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f;
         });
}

bool IsProof(const std::string& proof) { return proof.empty() || proof.size() == kProofBytes; }

bool IsWeight(std::uint32_t weight) { return weight >= 1 && weight <= kWeightMax; }

// Hashes fields that have one length each.
class FieldHash {
 public:
  FieldHash(char kind, const NodeId& id) {
    bytes_.push_back(kind);
    bytes_.append(id.raw());
  }
  FieldHash& Number(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      bytes_.push_back(static_cast<char>(number >> shift));
    }
    return *this;
  }
  FieldHash& Text(std::string_view text) {
    Number(text.size());
    bytes_.append(text);
    return *this;
  }
  std::uint64_t value() const { return XXH3_64bits(bytes_.data(), bytes_.size()); }

 private:
  std::string bytes_;
};

}  // namespace

void ToWire(const MemberRecord& record, wire::Member& message) {
  const MemberInfo& info = record.info;
  message.set_id(std::string(info.id.raw()));
  message.set_name(info.name);
  message.set_host(info.host);
  message.set_port(info.port);
  message.set_resp_port(info.resp_port);
  message.set_resp_cluster_port(info.resp_cluster_port);
  message.set_memcached_port(info.memcached_port);
  message.set_http_port(info.http_port);
  message.set_zone(info.zone);
  message.set_weight(info.weight);
  message.set_incarnation(info.incarnation);
  message.set_state(static_cast<wire::MemberState>(info.state));
  message.set_protocol_version(kProtocolVersion);
  message.set_epoch(record.epoch);
  message.set_proof(record.proof);
}

std::optional<MemberRecord> FromWire(const wire::Member& message) {
  const auto id = NodeId::FromBytes(message.id());
  if (!id || !IsText(message.name(), kMemberNameBytesMax) ||
      !IsText(message.host(), kHostBytesMax) || message.host().empty() ||
      !IsText(message.zone(), kZoneBytesMax) || message.port() == 0 || !IsPort(message.port()) ||
      !IsPort(message.resp_port()) || !IsPort(message.resp_cluster_port()) ||
      !IsPort(message.memcached_port()) || !IsPort(message.http_port()) ||
      !IsWeight(message.weight()) || message.incarnation() > kCounterMax ||
      message.epoch() > message.incarnation() || !IsProof(message.proof()) ||
      message.state() < wire::ALIVE || message.state() > wire::STOPPED) {
    return std::nullopt;
  }
  MemberRecord record;
  record.info.id = *id;
  record.info.name = message.name();
  record.info.host = message.host();
  record.info.port = static_cast<std::uint16_t>(message.port());
  record.info.resp_port = static_cast<std::uint16_t>(message.resp_port());
  record.info.resp_cluster_port = static_cast<std::uint16_t>(message.resp_cluster_port());
  record.info.memcached_port = static_cast<std::uint16_t>(message.memcached_port());
  record.info.http_port = static_cast<std::uint16_t>(message.http_port());
  record.info.zone = message.zone();
  record.info.weight = message.weight();
  record.info.incarnation = message.incarnation();
  record.info.state = static_cast<MemberState>(message.state());
  record.epoch = message.epoch();
  record.proof = message.proof();
  return record;
}

void ToWire(const NodeId& id, const Holdings& holdings, wire::Holdings& message) {
  message.set_id(std::string(id.raw()));
  message.set_epoch(holdings.incarnation);
  message.set_revision(holdings.revision);
  message.set_proof(holdings.proof);
  message.set_leaving(holdings.leaving);
  if (holdings.restored.as_of != 0) {
    message.set_restored(EncodePartitions(holdings.restored.partitions));
    message.set_restored_as_of_ms(holdings.restored.as_of);
  }
  std::string bits = EncodePartitions(holdings.complete);
  std::string sparse = EncodeSparse(holdings.complete);
  if (sparse.size() < bits.size()) {
    message.set_complete_sparse(std::move(sparse));
  } else {
    message.set_complete(std::move(bits));
  }
  if (auto part = EncodePart(holdings.owned, holdings.complete)) {
    message.set_owned_of_complete(*std::move(part));
    return;
  }
  bits = EncodePartitions(holdings.owned);
  sparse = EncodeSparse(holdings.owned);
  if (sparse.size() < bits.size()) {
    message.set_owned_sparse(std::move(sparse));
  } else {
    message.set_owned(std::move(bits));
  }
}

std::optional<HoldingsRecord> FromWire(const wire::Holdings& message,
                                       std::uint32_t partition_count) {
  const auto id = NodeId::FromBytes(message.id());
  auto complete = message.complete_sparse().empty()
                      ? DecodePartitions(message.complete(), partition_count)
                      : DecodeSparse(message.complete_sparse(), partition_count);
  if (!complete) return std::nullopt;
  auto owned =
      !message.owned_of_complete().empty() ? DecodePart(message.owned_of_complete(), *complete)
      : message.owned_sparse().empty()     ? DecodePartitions(message.owned(), partition_count)
                                           : DecodeSparse(message.owned_sparse(), partition_count);
  auto restored = DecodePartitions(message.restored(), partition_count);
  if (!id || !owned || !restored || message.epoch() > kCounterMax ||
      message.revision() > kCounterMax || !IsProof(message.proof())) {
    return std::nullopt;
  }
  RestoredCopies copies;
  if (message.restored_as_of_ms() > 0) copies = {std::move(*restored), message.restored_as_of_ms()};
  return HoldingsRecord{*id,
                        {message.epoch(), message.revision(), std::move(*complete),
                         std::move(*owned), std::move(copies), message.leaving(), message.proof()}};
}

void ToWire(const RingEntry& entry, wire::RingEntry& message) {
  message.set_id(std::string(entry.id.raw()));
  message.set_zone(entry.zone);
  message.set_weight(entry.weight);
  message.set_revision(entry.revision);
  message.set_removed(entry.removed);
  message.set_evicted(entry.evicted);
  message.set_drained(entry.drained);
  message.set_version_node(entry.version_node);
  message.set_proof(entry.proof);
}

std::optional<RingEntry> FromWire(const wire::RingEntry& message) {
  const auto id = NodeId::FromBytes(message.id());
  if (!id || !IsText(message.zone(), kZoneBytesMax) || !IsWeight(message.weight()) ||
      message.revision() > kCounterMax || (message.drained() && !message.removed()) ||
      message.version_node() >= kRingNodesMax || !IsProof(message.proof())) {
    return std::nullopt;
  }
  return RingEntry{.id = *id,
                   .zone = message.zone(),
                   .weight = message.weight(),
                   .revision = message.revision(),
                   .removed = message.removed(),
                   .evicted = message.evicted(),
                   .proof = message.proof(),
                   .drained = message.drained(),
                   .version_node = static_cast<std::uint8_t>(message.version_node())};
}

void ToWire(const SuspicionRecord& record, wire::Suspicion& message) {
  message.set_id(std::string(record.id.raw()));
  message.set_incarnation(record.incarnation);
  message.set_from(std::string(record.from.raw()));
}

std::optional<SuspicionRecord> FromWire(const wire::Suspicion& message) {
  const auto id = NodeId::FromBytes(message.id());
  const auto from = NodeId::FromBytes(message.from());
  if (!id || !from || message.incarnation() > kCounterMax) return std::nullopt;
  return SuspicionRecord{*id, message.incarnation(), *from};
}

void ToWire(const RebalanceSetting& setting, wire::RebalanceSetting& message) {
  message.set_revision(setting.revision);
  message.set_by(std::string(setting.by.raw()));
  message.set_paused(setting.paused);
  message.set_has_limit(setting.bytes_per_second.has_value());
  message.set_bytes_per_second(setting.bytes_per_second.value_or(0));
  message.set_proof(setting.proof);
}

std::optional<RebalanceSetting> FromWire(const wire::RebalanceSetting& message) {
  const auto by = NodeId::FromBytes(message.by());
  if (!by || message.revision() == 0 || message.revision() > kCounterMax ||
      message.bytes_per_second() > kCounterMax || !IsProof(message.proof())) {
    return std::nullopt;
  }
  RebalanceSetting setting{message.revision(), *by, message.paused(), std::nullopt,
                           message.proof()};
  if (message.has_limit()) setting.bytes_per_second = message.bytes_per_second();
  return setting;
}

std::string WordsOf(const MemberRecord& record, MemberState said) {
  MemberRecord bare{record.info, record.epoch, {}};
  bare.info.state = said;
  wire::Member message;
  ToWire(bare, message);
  message.clear_protocol_version();  // of whoever passes it on
  return message.SerializeAsString();
}

std::string WordsOf(const NodeId& id, const Holdings& holdings) {
  wire::Holdings message;
  ToWire(id, holdings, message);
  message.clear_proof();
  return message.SerializeAsString();
}

std::string WordsOf(const RingEntry& entry) {
  wire::RingEntry message;
  ToWire(entry, message);
  message.clear_proof();
  return message.SerializeAsString();
}

std::string WordsOf(const RebalanceSetting& setting) {
  wire::RebalanceSetting message;
  ToWire(setting, message);
  message.clear_proof();
  return message.SerializeAsString();
}

std::string EncodePartitions(const PartitionSet& set) {
  std::string bytes = set.ToBytes();
  if (!bytes.empty()) bytes.resize(PartitionSet::BytesOf(set.partition_count()));
  return bytes;
}

std::optional<PartitionSet> DecodePartitions(std::string_view bytes,
                                             std::uint32_t partition_count) {
  if (!bytes.empty() && bytes.size() != PartitionSet::BytesOf(partition_count)) return std::nullopt;
  return PartitionSet::FromBytes(bytes, partition_count);
}

std::string EncodeSparse(const PartitionSet& set) {
  std::string bytes;
  PartitionId next = 0;  // the least partition that may follow
  set.ForEach([&](PartitionId partition) {
    PartitionId gap = partition - next;
    for (; gap >= 0x80; gap >>= 7) bytes.push_back(static_cast<char>(gap | 0x80));
    bytes.push_back(static_cast<char>(gap));
    next = partition + 1;
  });
  return bytes;
}

std::optional<PartitionSet> DecodeSparse(std::string_view bytes, std::uint32_t partition_count) {
  PartitionSet set(partition_count);
  PartitionId next = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    PartitionId gap = 0;
    for (int shift = 0;; shift += 7) {
      if (at == bytes.size() || shift > 14) return std::nullopt;
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      gap |= static_cast<PartitionId>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    if (gap >= partition_count - next) return std::nullopt;
    set.Set(next + gap);
    next += gap + 1;
  }
  return set;
}

std::optional<std::string> EncodePart(const PartitionSet& set, const PartitionSet& whole) {
  PartitionSet part(whole.Count());
  PartitionId place = 0;
  whole.ForEach([&](PartitionId partition) { part.Assign(place++, set.Has(partition)); });
  if (part.Count() != set.Count()) return std::nullopt;
  return EncodePartitions(part);
}

std::optional<PartitionSet> DecodePart(std::string_view bytes, const PartitionSet& whole) {
  const auto part = DecodePartitions(bytes, whole.Count());
  if (!part) return std::nullopt;
  PartitionSet set(whole.partition_count());
  PartitionId place = 0;
  whole.ForEach([&](PartitionId partition) { set.Assign(partition, part->Has(place++)); });
  return set;
}

void SilenceProtobuf() {
  static auto* const before = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(before);
}

std::uint32_t ClusterHash(std::string_view name) { return XXH32(name.data(), name.size(), 0); }

void StateDigest::Add(const MemberRecord& record, bool on_ring) {
  const MemberInfo& info = record.info;
  if (info.state == MemberState::kDead && !on_ring) return;
  const MemberState state = info.serving() ? MemberState::kAlive : info.state;
  sum_ += FieldHash('m', info.id)
              .Number(info.incarnation)
              .Number(static_cast<std::uint64_t>(state))
              .value();
}

void StateDigest::Add(const NodeId& id, const Holdings& holdings) {
  sum_ += FieldHash('h', id).Number(holdings.incarnation).Number(holdings.revision).value();
}

void StateDigest::Add(const RingEntry& entry) {
  sum_ += FieldHash('r', entry.id)
              .Number(entry.revision)
              .Number((entry.removed ? 1 : 0) + (entry.evicted ? 2 : 0) + (entry.drained ? 4 : 0))
              .Number(entry.version_node)
              .Number(entry.weight)
              .Text(entry.zone)
              .value();
}

void StateDigest::Add(const RebalanceSetting& setting) {
  if (setting.revision == 0) return;
  sum_ += FieldHash('b', setting.by)
              .Number(setting.revision)
              .Number((setting.paused ? 1 : 0) + (setting.bytes_per_second ? 2 : 0))
              .Number(setting.bytes_per_second.value_or(0))
              .value();
}

}  // namespace gyre
