#include "crypto/link_stream.h"

#include <algorithm>
#include <cstring>

namespace gyre {
namespace {

unsigned char* Bytes(char* data) { return reinterpret_cast<unsigned char*>(data); }
const unsigned char* Bytes(const char* data) {
  return reinterpret_cast<const unsigned char*>(data);
}

constexpr unsigned char kTag = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;

tl::unexpected<Error> Broken(std::string message) {
  return Fail(ErrorCode::kProtocol, std::move(message));
}

}  // namespace

LinkStream::LinkStream(const Keyring& keys, const Secret32& key, const Secret32& to_send,
                       const Secret32& to_receive)
    : keys_(keys), key_(key), receive_key_(to_receive) {
  crypto_secretstream_xchacha20poly1305_init_push(&send_, header_, to_send.data());
  NoteRevision();
}

LinkStream::~LinkStream() {
  sodium_memzero(&send_, sizeof send_);
  sodium_memzero(&receive_, sizeof receive_);
}

void LinkStream::NoteRevision() {
  const std::uint64_t revision = keys_.revision();
  if (revision == revision_) return;
  revision_ = revision;
  revoked_ = !keys_.Accepts(key_);
  outdated_ = !keys_.Sends(key_);
}

bool LinkStream::revoked() {
  NoteRevision();
  return revoked_;
}

bool LinkStream::outdated() {
  NoteRevision();
  return outdated_;
}

void LinkStream::Seal(std::string_view plain, Buffer& out) {
  if (!header_sent_) {
    header_sent_ = true;
    out.Append({reinterpret_cast<const char*>(header_), kHeaderBytes});
  }
  while (!plain.empty()) {
    const auto length = static_cast<std::uint32_t>(std::min(plain.size(), kRecordBytesMax));
    char* const at = out.Prepare(length + kOverheadBytes);
    std::memcpy(at, &length, kLengthBytes);
    crypto_secretstream_xchacha20poly1305_push(&send_, Bytes(at + kLengthBytes), nullptr,
                                               Bytes(plain.data()), length, Bytes(at), kLengthBytes,
                                               kTag);
    out.Commit(length + kOverheadBytes);
    plain.remove_prefix(length);
  }
}

Result<std::size_t> LinkStream::Open(std::string_view sealed, Buffer& plain) {
  if (failed_) return Broken("the link is broken");
  if (revoked()) {
    failed_ = true;
    return Broken("the gossip key of the link was removed from --gossip-key");
  }
  std::size_t consumed = 0;
  if (!header_received_) {
    if (sealed.size() < kHeaderBytes) return consumed;
    crypto_secretstream_xchacha20poly1305_init_pull(&receive_, Bytes(sealed.data()),
                                                    receive_key_.data());
    header_received_ = true;
    consumed = kHeaderBytes;
  }
  while (sealed.size() - consumed >= kLengthBytes) {
    const char* const at = sealed.data() + consumed;
    std::uint32_t length = 0;
    std::memcpy(&length, at, kLengthBytes);
    if (length == 0 || length > kRecordBytesMax) {
      failed_ = true;
      return Broken("a sealed record of " + std::to_string(length) + " bytes");
    }
    if (sealed.size() - consumed < length + kOverheadBytes) break;
    unsigned char tag = 0;
    const int opened = crypto_secretstream_xchacha20poly1305_pull(
        &receive_, Bytes(plain.Prepare(length)), nullptr, &tag, Bytes(at + kLengthBytes),
        length + kOverheadBytes - kLengthBytes, Bytes(at), kLengthBytes);
    if (opened != 0 || tag != kTag) {
      failed_ = true;
      return Broken("a sealed record does not open: its bytes were changed, repeated or left out");
    }
    proven_ = true;
    plain.Commit(length);
    consumed += length + kOverheadBytes;
  }
  return consumed;
}

}  // namespace gyre
