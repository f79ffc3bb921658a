#include "crypto/keyring.h"

#include <algorithm>
#include <utility>

#include "crypto/sodium.h"

namespace gyre {
namespace {

constexpr char kContext[crypto_kdf_CONTEXTBYTES + 1] = "gyrekey1";
enum Purpose : std::uint64_t { kDatagram = 1, kLink = 2, kFingerprint = 3 };
constexpr std::size_t kFingerprintBytes = 16;  // the least that the derivation gives
constexpr std::size_t kFingerprintShown = 4;

static_assert(Secret32::size() == crypto_kdf_KEYBYTES);

// Before any other call of the library; again costs nothing.
void Derive(const Secret32& key, Purpose purpose, unsigned char* out, std::size_t bytes) {
  crypto_kdf_derive_from_key(out, bytes, purpose, kContext, key.data());
}

GossipKey FromSecret(const Secret32& secret) {
  GossipKey key;
  Derive(secret, kDatagram, key.datagram.data(), key.datagram.size());
  Derive(secret, kLink, key.link.data(), key.link.size());
  unsigned char id[kFingerprintBytes];
  Derive(secret, kFingerprint, id, sizeof id);
  char hex[2 * kFingerprintShown + 1];
  key.fingerprint = sodium_bin2hex(hex, sizeof hex, id, kFingerprintShown);
  return key;
}

// The 32 bytes that `text` spells, in any of the forms that tools print.
bool ReadSecret(std::string_view text, Secret32& secret) {
  std::size_t bytes = 0;
  const char* end = nullptr;
  if (text.size() == 2 * Secret32::size()) {
    return sodium_hex2bin(secret.data(), secret.size(), text.data(), text.size(), nullptr, &bytes,
                          &end) == 0 &&
           bytes == secret.size() && end == text.data() + text.size();
  }
  for (const int variant :
       {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
        sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_URLSAFE_NO_PADDING}) {
    if (sodium_base642bin(secret.data(), secret.size(), text.data(), text.size(), nullptr, &bytes,
                          &end, variant) == 0 &&
        bytes == secret.size() && end == text.data() + text.size()) {
      return true;
    }
  }
  return false;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

Result<std::vector<GossipKey>> ParseGossipKeys(std::string_view text) {
  InitSodium();
  std::vector<GossipKey> keys;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::string where = "line " + std::to_string(number);
    Secret32 secret;
    if (!ReadSecret(line, secret)) {
      return Fail(
          ErrorCode::kInvalidArgument,
          where + " is no key: 32 bytes as base64 or hex, as gyred --gen-gossip-key prints");
    }
    if (keys.size() == kGossipKeysMax) {
      return Fail(ErrorCode::kInvalidArgument,
                  where + ": a third key; there are two at most, the one to send with first");
    }
    GossipKey key = FromSecret(secret);
    if (!keys.empty() && keys.front().link == key.link) {
      return Fail(ErrorCode::kInvalidArgument, where + " is the first key again: leave one out");
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "there is no key in it: gyred --gen-gossip-key prints one");
  }
  return keys;
}

std::string GenerateGossipKey() {
  InitSodium();
  Secret32 secret;
  randombytes_buf(secret.data(), secret.size());
  char text[sodium_base64_ENCODED_LEN(Secret32::size(), sodium_base64_VARIANT_ORIGINAL)];
  sodium_bin2base64(text, sizeof text, secret.data(), secret.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  return text;
}

Keyring::Keyring(std::vector<GossipKey> keys)
    : keys_(std::make_shared<const std::vector<GossipKey>>(std::move(keys))) {
  InitSodium();
}

void Keyring::Replace(std::vector<GossipKey> keys) {
  auto fresh = std::make_shared<const std::vector<GossipKey>>(std::move(keys));
  MutexLock lock(mutex_);
  keys_ = std::move(fresh);
  revision_.fetch_add(1, std::memory_order_release);
}

Keyring::Keys Keyring::Load() const {
  MutexLock lock(mutex_);
  return keys_;
}

bool Keyring::Accepts(const Secret32& link) const {
  const Keys keys = Load();
  return std::any_of(keys->begin(), keys->end(),
                     [&](const GossipKey& key) { return key.link == link; });
}

bool Keyring::Sends(const Secret32& link) const { return Load()->front().link == link; }

std::string Keyring::Fingerprints() const {
  std::string text;
  for (const GossipKey& key : *Load()) {
    if (!text.empty()) text += ',';
    text += key.fingerprint;
  }
  return text;
}

}  // namespace gyre
