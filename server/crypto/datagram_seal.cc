#include "crypto/datagram_seal.h"

#include <cstring>

#include "crypto/sodium.h"

namespace gyre {
namespace {

constexpr std::string_view kMagic("GYS\x01", 4);
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kStampBytes = 24;
static_assert(kDatagramSealBytes == kMagic.size() + kNonceBytes + kStampBytes + kTagBytes);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stamps are little-endian on the wire");

unsigned char* WritableBytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
std::string WriteStamp(const ReplayGuard::Stamp& stamp) {
  std::string bytes(kStampBytes, '\0');
  std::memcpy(bytes.data(), &stamp.life, 8);
  std::memcpy(bytes.data() + 8, &stamp.count, 8);
  std::memcpy(bytes.data() + 16, &stamp.sent_ms, 8);
  return bytes;
}

ReplayGuard::Stamp ReadStamp(std::string_view bytes) {
  ReplayGuard::Stamp stamp;
  std::memcpy(&stamp.life, bytes.data(), 8);
  std::memcpy(&stamp.count, bytes.data() + 8, 8);
  std::memcpy(&stamp.sent_ms, bytes.data() + 16, 8);
  return stamp;
}

tl::unexpected<Error> Dropped(SharedCounter& counter, std::string message) {
  counter.Add(1);
  return Fail(ErrorCode::kNotAllowed, std::move(message));
}

}  // namespace

bool LooksSealed(std::string_view datagram) { return datagram.substr(0, kMagic.size()) == kMagic; }

DatagramSealer::DatagramSealer(const Keyring& keys) : keys_(keys) {
  randombytes_buf(&life_, sizeof life_);
}

std::string DatagramSealer::Seal(std::string_view plain, UnixMillis wall) {
  std::string stamped = WriteStamp({life_, ++count_, wall});
  stamped.append(plain);
  std::string out(kMagic);
  out.resize(kMagic.size() + kNonceBytes + stamped.size() + kTagBytes);
  unsigned char* const nonce = WritableBytes(out) + kMagic.size();
  randombytes_buf(nonce, kNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, nullptr, SodiumBytes(stamped),
                                             stamped.size(), SodiumBytes(kMagic), kMagic.size(),
                                             nullptr, nonce, keys_.Load()->front().datagram.data());
  return out;
}

Result<std::string_view> DatagramOpener::Open(std::string_view datagram, TimePoint now,
                                              UnixMillis wall) {
  Keyring::Counters& counters = keys_.counters();
  if (!LooksSealed(datagram)) {
    return Dropped(counters[&CryptoStats::datagrams_unsealed],
                   "it is not sealed: start all nodes of the cluster with --gossip-key");
  }
  const auto foreign = [&] {
    return Dropped(counters[&CryptoStats::datagrams_foreign],
                   "it is sealed with another key or damaged: compare the files of --gossip-key");
  };
  if (datagram.size() < kDatagramSealBytes) return foreign();
  const std::string_view nonce = datagram.substr(kMagic.size(), kNonceBytes);
  const std::string_view sealed = datagram.substr(kMagic.size() + kNonceBytes);
  plain_.resize(sealed.size() - kTagBytes);
  const Keyring::Keys keys = keys_.Load();
  bool opened = false;
  for (std::size_t i = 0; !opened && i < keys->size(); ++i) {
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
                 WritableBytes(plain_), nullptr, nullptr, SodiumBytes(sealed), sealed.size(),
                 SodiumBytes(kMagic), kMagic.size(), SodiumBytes(nonce),
                 (*keys)[i].datagram.data()) == 0;
  }
  if (!opened) return foreign();
  switch (replays_.Check(ReadStamp(plain_), now, wall)) {
    case ReplayGuard::Verdict::kReplayed:
      return Dropped(counters[&CryptoStats::datagrams_replayed], "it was received before");
    case ReplayGuard::Verdict::kStale:
      return Dropped(counters[&CryptoStats::datagrams_stale],
                     "it is of another time than this node's: set the clocks of both, they may "
                     "differ by five minutes at most");
    case ReplayGuard::Verdict::kFresh:
      break;
  }
  return std::string_view(plain_).substr(kStampBytes);
}

}  // namespace gyre
