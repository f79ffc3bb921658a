#include "net/peer_gate.h"

#include <utility>

#include "crypto/link_handshake.h"
#include "proto/frame.h"

namespace gyre {
namespace {

constexpr std::size_t kFrameTypeAt = 3;
constexpr std::size_t kHelloFrameBytes = FrameHeader::kBytes + kLinkHelloBytes;

// Whether the bytes begin, as far as they go, like a frame with a hello.
bool MayBeHello(std::string_view bytes) {
  constexpr std::string_view kMagic = "GY";
  const std::string_view begun = bytes.substr(0, kMagic.size());
  if (begun != kMagic.substr(0, begun.size())) return false;
  return bytes.size() <= kFrameTypeAt ||
         bytes[kFrameTypeAt] == static_cast<char>(FrameType::kHandshake);
}

}  // namespace

PeerGate::Step PeerGate::Take(std::string_view fresh, Buffer& input) {
  if (sealed()) return Open(fresh, input);
  raw_.Append(fresh);
  Step step = Decide(input);
  if (!sealed() || raw_.empty()) return step;
  // A peer does not go on before it has the answer.
  return {.next = Next::kBroken,
          .error = {ErrorCode::kProtocol, "bytes before the handshake was answered"}};
}

PeerGate::Step PeerGate::Decide(Buffer& input) {
  if (!MayBeHello(raw_.view())) {
    input.Append(raw_.view());
    raw_.Release();
    return {.next = Next::kPlain};
  }
  if (raw_.size() < FrameHeader::kBytes) return {};
  const Result<FrameHeader> header = DecodeFrameHeader(raw_.data(), kLinkHelloBytes);
  if (!header || header->payload_bytes != kLinkHelloBytes) {
    // Of another release: the codec has the words for it.
    input.Append(raw_.view());
    raw_.Release();
    return {.next = Next::kPlain};
  }
  if (raw_.size() < kHelloFrameBytes) return {};
  Step step = Answer(raw_.view().substr(FrameHeader::kBytes, kLinkHelloBytes), header->request_id);
  raw_.Consume(kHelloFrameBytes);
  return step;
}

PeerGate::Step PeerGate::Answer(std::string_view hello, std::uint64_t request_id) {
  Result<LinkAnswer> answer = AnswerLink(keys_, hello);
  if (!answer) {
    keys_.counters()[&CryptoStats::handshakes_failed].Add(1);
    return {.next = Next::kRefused, .error = answer.error(), .request_id = request_id};
  }
  keys_.counters()[&CryptoStats::handshakes].Add(1);
  stream_ = std::move(answer->stream);
  Step step;
  AppendFrame(FrameType::kHandshake, request_id, answer->answer, step.answer);
  return step;
}

PeerGate::Step PeerGate::Open(std::string_view fresh, Buffer& input) {
  const bool whole = raw_.empty();
  if (!whole) raw_.Append(fresh);
  const Result<std::size_t> opened = stream_->Open(whole ? fresh : raw_.view(), input);
  if (!opened) {
    keys_.counters()[&CryptoStats::links_broken].Add(1);
    return {.next = Next::kBroken, .error = opened.error()};
  }
  if (whole) {
    const std::string_view rest = fresh.substr(*opened);
    if (!rest.empty()) raw_.Append(rest);
  } else {
    raw_.Consume(*opened);
  }
  return {};
}

bool PeerGate::Seal(Buffer& plain) {
  if (stream_->revoked()) return false;
  stream_->Seal(plain.view(), spare_);
  std::swap(plain, spare_);
  spare_.Clear();
  return true;
}

}  // namespace gyre
