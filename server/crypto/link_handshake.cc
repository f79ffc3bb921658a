#include "crypto/link_handshake.h"

#include <optional>

#include "crypto/sodium.h"

namespace gyre {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kPublicAt = 1;
constexpr std::size_t kPublicBytes = crypto_scalarmult_BYTES;
constexpr std::size_t kMacAt = kPublicAt + kPublicBytes;
constexpr std::size_t kMacBytes = 32;
static_assert(kLinkHelloBytes == kMacAt + kMacBytes);
static_assert(kLinkAnswerBytes == kMacAt + kMacBytes);
static_assert(crypto_scalarmult_SCALARBYTES == Secret32::size());

// So that no byte string has two meanings.
constexpr std::string_view kHelloLabel = "gyre link hello 1";
constexpr std::string_view kAnswerLabel = "gyre link answer 1";
constexpr std::string_view kMasterLabel = "gyre link master 1";
constexpr char kLinkContext[crypto_kdf_CONTEXTBYTES + 1] = "gyrelink";
enum LinkPurpose : std::uint64_t { kForward = 1, kBackward = 2, kConfirm = 3 };

// BLAKE2b-256 with `key` over the parts, all of fixed length.
Secret32 Keyed(const Secret32& key, std::initializer_list<std::string_view> parts) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.data(), key.size(), Secret32::size());
  for (const std::string_view part : parts) {
    crypto_generichash_update(&state, SodiumBytes(part), part.size());
  }
  Secret32 out;
  crypto_generichash_final(&state, out.data(), out.size());
  sodium_memzero(&state, sizeof state);
  return out;
}

std::string_view View(const Secret32& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool MacMatches(const Secret32& mac, std::string_view message) {
  return sodium_memcmp(mac.data(), message.data() + kMacAt, kMacBytes) == 0;
}

// Version and public key of a fresh pair, whose private half is put into `ephemeral`.
std::string Begin(Secret32& ephemeral) {
  randombytes_buf(ephemeral.data(), ephemeral.size());
  unsigned char point[kPublicBytes];
  crypto_scalarmult_base(point, ephemeral.data());
  std::string message(1, kVersion);
  message.append(reinterpret_cast<const char*>(point), sizeof point);
  return message;
}

struct LinkSecrets {
  Secret32 forward;   // from the connecting side
  Secret32 backward;  // to it
  Secret32 confirm;
};

// Nothing if the other's public key is degenerate. `answer_head`: its version and public key.
std::optional<LinkSecrets> Agree(const Secret32& key, const Secret32& ephemeral,
                                 std::string_view other_public, std::string_view hello,
                                 std::string_view answer_head) {
  Secret32 shared;
  if (crypto_scalarmult(shared.data(), ephemeral.data(), SodiumBytes(other_public)) != 0) {
    return std::nullopt;
  }
  const Secret32 master = Keyed(key, {kMasterLabel, hello, answer_head, View(shared)});
  LinkSecrets secrets;
  const auto derive = [&](LinkPurpose purpose, Secret32& out) {
    crypto_kdf_derive_from_key(out.data(), out.size(), purpose, kLinkContext, master.data());
  };
  derive(kForward, secrets.forward);
  derive(kBackward, secrets.backward);
  derive(kConfirm, secrets.confirm);
  return secrets;
}

tl::unexpected<Error> Refused(std::string message) {
  return Fail(ErrorCode::kNotAllowed, std::move(message));
}

}  // namespace

LinkInitiator::LinkInitiator(const Keyring& keys)
    : keys_(keys), key_(keys.Load()->front().link), hello_(Begin(ephemeral_)) {
  const Secret32 mac = Keyed(key_, {kHelloLabel, hello_});
  hello_.append(View(mac));
}

Result<std::unique_ptr<LinkStream>> LinkInitiator::OnAnswer(std::string_view answer) {
  const auto refused = [] {
    return Refused(
        "the node there does not prove that it has this cluster's gossip key: give all nodes the "
        "same --gossip-key");
  };
  if (answer.size() != kLinkAnswerBytes || answer.front() != kVersion) return refused();
  const std::string_view head = answer.substr(0, kMacAt);
  const std::optional<LinkSecrets> secrets =
      Agree(key_, ephemeral_, answer.substr(kPublicAt, kPublicBytes), hello_, head);
  ephemeral_ = Secret32();
  if (!secrets || !MacMatches(Keyed(secrets->confirm, {kAnswerLabel, head}), answer)) {
    return refused();
  }
  return std::make_unique<LinkStream>(keys_, key_, secrets->forward, secrets->backward);
}

Result<LinkAnswer> AnswerLink(const Keyring& keys, std::string_view hello) {
  if (hello.size() != kLinkHelloBytes || hello.front() != kVersion) {
    return Refused("the handshake is of another release: upgrade one release at a time");
  }
  const Keyring::Keys known = keys.Load();
  for (const GossipKey& key : *known) {
    if (!MacMatches(Keyed(key.link, {kHelloLabel, hello.substr(0, kMacAt)}), hello)) continue;
    LinkAnswer answer;
    Secret32 ephemeral;
    answer.answer = Begin(ephemeral);
    const std::optional<LinkSecrets> secrets =
        Agree(key.link, ephemeral, hello.substr(kPublicAt, kPublicBytes), hello, answer.answer);
    if (!secrets) return Refused("the handshake has a degenerate key");
    answer.answer.append(View(Keyed(secrets->confirm, {kAnswerLabel, answer.answer})));
    answer.stream =
        std::make_unique<LinkStream>(keys, key.link, secrets->backward, secrets->forward);
    return answer;
  }
  return Refused("the two nodes have different gossip keys: compare the files of --gossip-key");
}

}  // namespace gyre
