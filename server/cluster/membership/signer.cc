#include "membership/signer.h"

#include <utility>

#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

// Tag and length of field 99 of cluster.proto's messages: length-delimited, kProofBytes.
constexpr std::string_view kFieldHead("\x9a\x06\x60", 3);
static_assert((99 << 3 | 2) == (0x06 << 7 | 0x1a) && kProofBytes == 0x60);
static_assert(kProofFieldBytes == kProofBytes + kFieldHead.size());

}  // namespace

void AppendProof(const Signer& signer, Said what, std::string& message) {
  const std::string proof = signer.Sign(what, message);
  message.append(kFieldHead).append(proof);
}

bool IsProven(const Signer& signer, const NodeId& id, Said what, std::string_view message) {
  if (message.size() < kProofFieldBytes) return false;
  const std::string_view words = message.substr(0, message.size() - kProofFieldBytes);
  const std::string_view field = message.substr(words.size());
  return field.starts_with(kFieldHead) &&
         signer.Verify(id, what, words, field.substr(kFieldHead.size()));
}

std::string EncodeIdentify(const Signer& signer, const NodeId& self, const NodeId& to) {
  wire::Identify identify;
  identify.set_from(std::string(self.raw()));
  identify.set_to(std::string(to.raw()));
  identify.set_proof(signer.Sign(Said::kIdentify, identify.SerializeAsString()));
  wire::PeerRequest request;
  *request.mutable_identify() = std::move(identify);
  return request.SerializeAsString();
}

}  // namespace gyre
