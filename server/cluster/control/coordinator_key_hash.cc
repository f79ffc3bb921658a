// The secret of the hash of keys: made, taken from another, given to others. When is decided by
// key_hash_agreement.h.
#include <cstring>
#include <utility>

#include "base/log.h"
#include "control/coordinator.h"
#include "control/key_hash_agreement.h"
#include "peer/peer_codec.h"

namespace gyre {

void Coordinator::TickKeyHash() {
  if (asks_for_key_hash_ || key_hash_refused_ || !parts_.membership.joined()) return;
  const KeyHashStep step =
      NextKeyHashStep(self_, parts_.engine.key_hash().id(), parts_.membership.RingLevel(),
                      parts_.membership.abilities());
  if (step.kind == KeyHashStep::Kind::kMake) MakeKeyHash();
  if (step.kind == KeyHashStep::Kind::kTake) TakeKeyHash(step.from);
}

void Coordinator::MakeKeyHash() {
  if (parts_.random_bytes == nullptr) return;
  KeyHashId id{.created_ms = parts_.wall_clock()};
  std::memcpy(&id.tag, parts_.random_bytes(sizeof id.tag).data(), sizeof id.tag);
  if (id.is_plain() || id.created_ms <= 0) return;  // on the next tick
  LogInfo("made the ring's secret for the hash of keys");
  UseKeyHash(std::make_shared<const KeyHash>(id, parts_.random_bytes(KeyHash::kSecretBytes)));
}

void Coordinator::TakeKeyHash(const NodeId& from) {
  asks_for_key_hash_ = true;
  wire::PeerRequest request;
  request.mutable_key_hash_secret();
  Call(from, request, kCallTimeout, [this, from](const wire::PeerReply* reply) {
    asks_for_key_hash_ = false;
    if (reply == nullptr || !reply->has_key_hash_secret()) return;
    const wire::KeyHashSecretReply& answer = reply->key_hash_secret();
    const KeyHashId id{answer.created_ms(), answer.tag()};
    if (answer.secret().size() != KeyHash::kSecretBytes ||
        !Replaces(id, parts_.engine.key_hash().id())) {
      return;
    }
    LogInfo("took the ring's secret for the hash of keys", {{"from", from.ToString()}});
    UseKeyHash(std::make_shared<const KeyHash>(id, answer.secret()));
  });
}

void Coordinator::UseKeyHash(std::shared_ptr<const KeyHash> hash) {
  if (!parts_.engine.UseKeyHash(hash)) {
    key_hash_refused_ = true;
    LogError(
        "the ring's secret for the hash of keys changed too often: restart this node, for it is "
        "not filled any more");
    return;
  }
  parts_.membership.SayKeyHash(hash->id());
  if (parts_.keep_key_hash) parts_.keep_key_hash(hash);
}

void Coordinator::OnKeyHashSecret(const ControlPort::Done& done) const {
  const KeyHash& hash = parts_.engine.key_hash();
  if (hash.is_plain()) {
    return done(EncodePeerError({ErrorCode::kUnavailable, "this node has no secret yet"}));
  }
  wire::PeerReply reply;
  wire::KeyHashSecretReply& body = *reply.mutable_key_hash_secret();
  body.set_created_ms(hash.id().created_ms);
  body.set_tag(hash.id().tag);
  body.set_secret(std::string(hash.secret()));
  done(reply.SerializeAsString());
}

}  // namespace gyre
