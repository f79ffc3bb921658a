// Proofs that cost nothing and that every test could forge: for virtual clusters, where what is
// tested is who is believed, and not the cryptography.
#pragma once

#include <xxhash.h>

#include <string>
#include <string_view>

#include "membership/signer.h"

namespace gyre {

class TestSigner final : public Signer {
 public:
  explicit TestSigner(const NodeId& self) : self_(self) {}

  std::string Sign(Said what, std::string_view words) const override {
    return Proof(self_, what, words);
  }
  bool Verify(const NodeId& id, Said what, std::string_view words,
              std::string_view proof) const override {
    return proof == Proof(id, what, words);
  }

  static std::string Proof(const NodeId& id, Said what, std::string_view words) {
    const std::uint64_t seed =
        XXH3_64bits_withSeed(id.bytes.data(), id.bytes.size(), static_cast<unsigned char>(what));
    const std::uint64_t hash = XXH3_64bits_withSeed(words.data(), words.size(), seed);
    std::string proof(kProofBytes, '\0');
    proof.replace(0, sizeof hash, reinterpret_cast<const char*>(&hash), sizeof hash);
    return proof;
  }

 private:
  const NodeId self_;
};

}  // namespace gyre
