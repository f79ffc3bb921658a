// Whatever stands in a snapshot, the reader stays whole and the engine's invariants hold: refused or
// taken. Random bytes seldom get past a checksum, so the first byte chooses a road: the bytes as
// they are; as the payload of a data block, with the checksums made right; or bits of a true
// snapshot flipped, which must be refused.
#include <xxhash.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "storage/snapshot.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

constexpr UnixMillis kNow = 1'700'000'000'000;
constexpr std::size_t kHeaderPrefix = 16;

void Require(bool holds) {
  if (!holds) std::abort();
}

SnapshotOwner Owner() {
  SnapshotOwner owner;
  owner.node.bytes.fill(3);
  owner.cluster = "gyre";
  return owner;
}

std::unique_ptr<Engine> MakeEngine() {
  EngineOptions options;
  options.memory_bytes = std::size_t{2} << 20;
  options.partition_count = 4;
  options.shard_count = 1;
  return std::move(*Engine::Create(options));
}

std::string TrueSnapshot() {
  const std::unique_ptr<Engine> engine = MakeEngine();
  {
    Shard& shard = engine->shard(0);
    MutexLock lock(shard.mutex());
    for (PartitionId p = 0; p < 4; ++p) {
      shard.SetRole(p, Role::kOwner);
      shard.SetKeepsTombstones(p, true);
    }
    for (int i = 0; i < 10; ++i) {
      const std::string name = std::to_string(i);
      const Key key = engine->KeyOf(name);
      (void)shard.Store(key, name, i % 2 == 0 ? kNow + i : kNeverExpires, 0,
                        shard.NextVersion(kNow));
      if (i % 3 == 0) shard.Remove(key, shard.NextVersion(kNow), kNow);
    }
  }
  std::string bytes;
  const Status written = WriteSnapshot(
      *engine, DescribeSnapshot(*engine, Owner(), kNow),
      [&bytes](std::string_view part) {
        bytes += part;
        return Status{};
      },
      nullptr);
  Require(written.has_value());
  return bytes;
}

std::size_t HeaderBytes(const std::string& snapshot) {
  std::uint32_t bytes = 0;
  std::memcpy(&bytes, snapshot.data() + kHeaderPrefix - 4, sizeof bytes);
  return bytes;
}

template <typename Number>
void Append(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::string Block(std::uint64_t number, std::uint32_t kind, std::string_view payload) {
  const std::uint64_t place[] = {number, kind, payload.size()};
  std::string block;
  Append(kind, block);
  Append(static_cast<std::uint32_t>(payload.size()), block);
  Append(XXH3_64bits_withSeed(payload.data(), payload.size(), XXH3_64bits(place, sizeof place)),
         block);
  return block.append(payload);
}

bool Restore(std::string_view bytes) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const std::unique_ptr<Engine> engine = MakeEngine();
  SnapshotReader reader(
      [rest = bytes](char* to, std::size_t size) mutable -> Result<std::size_t> {
        const std::size_t read = std::min(size, rest.size());
        rest.copy(to, read);
        rest.remove_prefix(read);
        return read;
      },
      bytes.size());
  const bool taken = RestoreSnapshot(*engine, Owner(), kNow, reader, nullptr).has_value();
  Shard& shard = engine->shard(0);
  MutexLock lock(shard.mutex());
  Require(shard.CheckInvariants());
  Require(taken || shard.stats().records == 0);
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string snapshot = TrueSnapshot();
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Restore(bytes);
      break;
    case 1: {
      std::string crafted = snapshot.substr(0, HeaderBytes(snapshot));
      if (!bytes.empty()) crafted += Block(0, 1, bytes);
      Restore(crafted);
      break;
    }
    default: {
      std::string flipped = snapshot;
      for (std::size_t i = 0; i + 2 < bytes.size(); i += 3) {
        std::uint16_t at = 0;
        std::memcpy(&at, bytes.data() + i, sizeof at);
        flipped[at % flipped.size()] =
            static_cast<char>(flipped[at % flipped.size()] ^ bytes[i + 2]);
      }
      Require(Restore(flipped) == (flipped == snapshot));
    }
  }
  return 0;
}
