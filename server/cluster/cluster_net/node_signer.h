// This node's key as the cluster's decisions use it.
#pragma once

#include <string>
#include <string_view>

#include "crypto/node_key.h"
#include "membership/signer.h"

namespace gyre {

class NodeSigner final : public Signer {
 public:
  explicit NodeSigner(const Secret32& seed) : key_(seed) {}

  std::string Sign(Said what, std::string_view words) const override {
    return key_.Sign(Marked(what, words));
  }
  bool Verify(const NodeId& id, Said what, std::string_view words,
              std::string_view proof) const override {
    return NodeKey::Verify(id, Marked(what, words), proof);
  }

 private:
  static_assert(kProofBytes == NodeKey::kProofBytes);

  static std::string Marked(Said what, std::string_view words) {
    return static_cast<char>(what) + std::string(words);
  }

  const NodeKey key_;
};

}  // namespace gyre
