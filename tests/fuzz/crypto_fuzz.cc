// Whatever a stranger sends to a node with a key, nothing of it opens. The first byte chooses what
// the bytes are taken for: a hello, an answer, records of a link, a datagram; or the stamps of
// datagrams, which are authentic when they are looked at.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "crypto/datagram_seal.h"
#include "crypto/link_handshake.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

constexpr UnixMillis kNow = 1'800'000'000'000;
constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr std::size_t kStampBytes = 3;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Split at each size that the first byte names: a stream has no edges.
void OpenRecords(LinkStream& stream, std::string_view bytes) {
  if (bytes.empty()) return;
  const std::size_t step = std::size_t{1} + static_cast<unsigned char>(bytes.front());
  Buffer raw;
  Buffer plain;
  for (std::size_t at = 1; at < bytes.size(); at += step) {
    raw.Append(bytes.substr(at, step));
    const Result<std::size_t> opened = stream.Open(raw.view(), plain);
    if (!opened) break;
    raw.Consume(*opened);
  }
  Require(plain.empty() && !stream.proven());
}

void CheckStamps(std::string_view bytes) {
  ReplayGuard guard;
  std::set<std::pair<std::uint64_t, std::uint64_t>> taken;
  for (; bytes.size() >= kStampBytes; bytes.remove_prefix(kStampBytes)) {
    std::uint16_t count = 0;
    std::memcpy(&count, bytes.data() + 1, sizeof count);
    const std::uint64_t life = static_cast<unsigned char>(bytes.front()) % 4;
    const ReplayGuard::Stamp stamp{life, count, kNow};
    if (guard.Check(stamp, kStart, kNow) != ReplayGuard::Verdict::kFresh) continue;
    Require(taken.emplace(life, count).second);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  static Keyring keys(ParseGossipKeys(std::string(64, '7')).value());
  switch (data[0] % 6) {
    case 0:
      Require(!AnswerLink(keys, bytes));
      break;
    case 1: {
      LinkInitiator initiator(keys);
      Require(!initiator.OnAnswer(bytes));
      break;
    }
    case 2: {
      const LinkInitiator initiator(keys);
      OpenRecords(*AnswerLink(keys, initiator.hello())->stream, bytes);
      break;
    }
    case 3:
      Require(!DatagramOpener(keys).Open(bytes, kStart, kNow));
      break;
    case 4:
      CheckStamps(bytes);
      break;
    default:
      (void)ParseGossipKeys(bytes);
      break;
  }
  return 0;
}
