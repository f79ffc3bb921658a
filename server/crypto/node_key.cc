#include "crypto/node_key.h"

#include "crypto/sodium.h"

namespace gyre {
namespace {

NodeId Fingerprint(const unsigned char* public_key) {
  std::array<std::uint8_t, 16> hash;
  crypto_generichash(hash.data(), hash.size(), public_key, crypto_sign_PUBLICKEYBYTES, nullptr, 0);
  return NodeIdFromRandom(hash);
}

}  // namespace

static_assert(Secret32::size() == crypto_sign_SEEDBYTES);

NodeKey::NodeKey(const Secret32& seed) {
  InitSodium();
  crypto_sign_seed_keypair(public_, secret_.data(), seed.data());
  id_ = Fingerprint(public_);
}

Secret32 NodeKey::DrawSeed() {
  InitSodium();
  Secret32 seed;
  randombytes_buf(seed.data(), Secret32::size());
  return seed;
}

std::string NodeKey::Sign(std::string_view words) const {
  std::string proof(reinterpret_cast<const char*>(public_), sizeof public_);
  proof.resize(kProofBytes);
  crypto_sign_detached(reinterpret_cast<unsigned char*>(proof.data()) + sizeof public_, nullptr,
                       SodiumBytes(words), words.size(), secret_.data());
  return proof;
}

bool NodeKey::Verify(const NodeId& id, std::string_view words, std::string_view proof) {
  if (proof.size() != kProofBytes || Fingerprint(SodiumBytes(proof)) != id) return false;
  return crypto_sign_verify_detached(SodiumBytes(proof.substr(crypto_sign_PUBLICKEYBYTES)),
                                     SodiumBytes(words), words.size(), SodiumBytes(proof)) == 0;
}

}  // namespace gyre
