// The encrypted byte stream of one link, both directions, after its handshake.
//
//   24 bytes | length | sealed bytes, 17 more than length | length | sealed bytes | ...
//    header    u32 LE   (XChaCha20-Poly1305, the length as associated data)
//
// Each direction is a crypto_secretstream of libsodium under a key that no other direction and no
// other link has. So a record opens only where it was sealed, and only behind those that were
// sealed before it: replayed, reordered, left out, reflected or tampered bytes end the link.
// Truncation looks like what it is, a link that broke: what was not answered has an unknown
// outcome.
//
// Cost: 21 bytes a record, one copy and one pass of the cipher; a record is what leaves in one
// write, cut into pieces of 64 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "crypto/keyring.h"
#include "proto/result.h"

namespace gyre {

// One thread.
class LinkStream {
 public:
  static constexpr std::size_t kRecordBytesMax = 64 * 1024;
  static constexpr std::size_t kLengthBytes = 4;
  static constexpr std::size_t kHeaderBytes = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
  static constexpr std::size_t kOverheadBytes =
      kLengthBytes + crypto_secretstream_xchacha20poly1305_ABYTES;

  // `key`: the link key of the shared secret that the handshake was made with. `keys` outlives it.
  LinkStream(const Keyring& keys, const Secret32& key, const Secret32& to_send,
             const Secret32& to_receive);
  ~LinkStream();
  LinkStream(const LinkStream&) = delete;
  LinkStream& operator=(const LinkStream&) = delete;

  // Appends `plain`, sealed, to `out`.
  void Seal(std::string_view plain, Buffer& out);
  // Opens the complete records at the front of `sealed` and appends what they hold to `plain`.
  // Returns how many bytes they took; what is left is to come again, with more behind it. An error
  // is the end of the link.
  Result<std::size_t> Open(std::string_view sealed, Buffer& plain);

  // The secret that this link was made with is no longer in the key file: it must not be used.
  bool revoked();
  // It is there, but no longer the one to send with: the side that connected makes a new link.
  bool outdated();
  // A record of the other side was opened: it has proven that it knows the shared secret.
  bool proven() const { return proven_; }

 private:
  void NoteRevision();

  const Keyring& keys_;
  const Secret32 key_;
  std::uint64_t revision_ = 0;
  bool revoked_ = false;
  bool outdated_ = false;
  bool proven_ = false;
  bool failed_ = false;

  Secret32 receive_key_;  // until the header came
  bool header_sent_ = false;
  bool header_received_ = false;
  unsigned char header_[kHeaderBytes];  // ours
  crypto_secretstream_xchacha20poly1305_state send_;
  crypto_secretstream_xchacha20poly1305_state receive_;
};

}  // namespace gyre
