// How two nodes that share a secret (keyring.h) agree on the keys of one link.
//
// The pattern is that of Noise NNpsk0 (https://noiseprotocol.org): an ephemeral Diffie-Hellman
// whose result is mixed with the shared secret. Its parts are libsodium's: X25519, BLAKE2b with a
// key as MAC and as extractor, its key derivation.
//
//   K = the link key of the shared secret; e, f = fresh X25519 keys of each side
//
//   connecting side                                          listening side
//        hello:   version, e_public, MAC_K(hello)
//      ------------------------------------------------------------->  opens with one of its keys
//        answer:  version, f_public, MAC_C(answer)
//      <-------------------------------------------------------------
//        records (link_stream.h) under S1             records under S2
//
//   M = BLAKE2b(key K; label, hello, version, f_public, X25519(e, f));  S1, S2, C derived from M
//
// What is proven to whom
//   - The answer proves to the connecting side that the other knows K and answers this very hello:
//     C depends on e_public, which is new.
//   - The MAC of the hello tells the listening side at once whether the other has the key; it
//     proves nothing, since it can be repeated. The first record that opens does: S1 depends on
//     f_public, which is new, and on e's private half. Until then nothing of the peer is acted on.
//   - Who knows K is a member. *Which* member it is, a node says as its first request, signed
//     (Identify in cluster.proto).
//
// What is excluded
//   - reading or changing what is sent, by whoever does not know K;
//   - reading it later, by whoever learns K then: e and f are wiped after the handshake (forward
//     secrecy; datagrams have none);
//   - replays of whole links or parts (fresh keys on both sides), reflection (S1 is not S2);
//   - downgrade: a side with a key makes and accepts peer links with one only, and the version is
//     part of M.
// What is not: refusing service. Whoever can drop or forge packets can break a link, as ever.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "crypto/keyring.h"
#include "crypto/link_stream.h"
#include "proto/result.h"

namespace gyre {

inline constexpr std::size_t kLinkHelloBytes = 1 + 32 + 32;
inline constexpr std::size_t kLinkAnswerBytes = 1 + 32 + 32;

// The side that connects.
class LinkInitiator {
 public:
  // Uses the key that `keys` sends with; `keys` outlives it.
  explicit LinkInitiator(const Keyring& keys);

  // The payload of the hello.
  std::string_view hello() const { return hello_; }
  // The answer's payload: the stream to go on with, or why the other side is none of ours. Once.
  Result<std::unique_ptr<LinkStream>> OnAnswer(std::string_view answer);

 private:
  const Keyring& keys_;
  Secret32 key_;
  Secret32 ephemeral_;
  std::string hello_;
};

// The side that listens.
struct LinkAnswer {
  std::string answer;
  std::unique_ptr<LinkStream> stream;
};
// `keys` outlives the stream. An error is worded for the operators of both nodes.
Result<LinkAnswer> AnswerLink(const Keyring& keys, std::string_view hello);

}  // namespace gyre
