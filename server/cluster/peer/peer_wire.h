// How the hand-written messages of cluster.proto are put together and read: for the codecs of this module
// alone.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <protozero/pbf_message.hpp>
#include <protozero/varint.hpp>
#include <string>
#include <string_view>

#include "proto/pbf.h"
#include "proto/result.h"
#include "storage/record.h"

namespace gyre::peer_wire {

using Wire = protozero::pbf_wire_type;

// Field numbers of a PeerReply.
enum class PeerReplyField : protozero::pbf_tag_type {
  kReplicate = 1,
  kPull = 2,
  kReplicateGroups = 28,
  kError = 15,
};

constexpr std::uint32_t kVarint = 0;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::uint32_t kLengthDelimited = 2;
constexpr std::size_t kLengthBytes = 5;  // of a varint of 32 bits, in full width

template <typename Field>
constexpr char Tag(Field field, std::uint32_t wire_type) {
  return static_cast<char>(static_cast<std::uint32_t>(field) << 3 | wire_type);
}

inline void AppendFixed64(std::uint64_t value, std::string& out) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof(bytes));
}

// Fills in the length, of full width, of all that follows `end`, before which it stands.
inline void SealLength(std::size_t end, std::string& out) {
  std::size_t length = out.size() - end;
  for (std::size_t i = end - kLengthBytes; i < end; ++i) {
    const bool last = i + 1 == end;
    out[i] = static_cast<char>((length & 0x7f) | (last ? 0 : 0x80));
    length >>= 7;
  }
  assert(length == 0);
}

inline std::size_t BytesFieldSize(std::size_t bytes) {
  return 1 + static_cast<std::size_t>(protozero::length_of_varint(bytes)) + bytes;
}

inline std::size_t VarintFieldSize(std::uint64_t value) {
  return value == 0 ? 0 : 1 + static_cast<std::size_t>(protozero::length_of_varint(value));
}

inline Error Malformed(std::string_view what) {
  return Error{ErrorCode::kProtocol, "malformed " + std::string(what) +
                                         " from a peer: do all nodes run adjacent releases?"};
}

// What `decode` makes of a peer's bytes, or that they are no `what`.
template <typename Decode>
auto Guarded(std::string_view what, Decode&& decode) -> decltype(decode()) {
  try {
    return decode();
  } catch (const protozero::exception&) {
    return tl::unexpected<Error>(Malformed(what));
  }
}

// The message in `field` of the PeerReply, or the error that stands there instead. This and ReadMutation
// throw protozero's exceptions: they stand in Guarded.
Result<protozero::data_view> Unwrap(std::string_view reply, PeerReplyField field);

// The views point into `bytes`.
Mutation ReadMutation(protozero::data_view bytes);

}  // namespace gyre::peer_wire
