#include "proto/node_id.h"

#include <algorithm>
#include <cstring>

#include "proto/hex.h"

namespace gyre {
namespace {

bool IsDashPosition(std::size_t byte_index) {
  return byte_index == 4 || byte_index == 6 || byte_index == 8 || byte_index == 10;
}

}  // namespace

std::optional<NodeId> NodeId::FromBytes(std::string_view raw) {
  NodeId id;
  if (raw.size() != id.bytes.size()) return std::nullopt;
  std::memcpy(id.bytes.data(), raw.data(), raw.size());
  return id;
}

std::optional<NodeId> NodeId::Parse(std::string_view text) {
  NodeId id;
  std::size_t at = 0;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (IsDashPosition(i)) {
      if (at >= text.size() || text[at] != '-') return std::nullopt;
      ++at;
    }
    if (at + 2 > text.size()) return std::nullopt;
    const int high = HexDigit(text[at]);
    const int low = HexDigit(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    at += 2;
  }
  if (at != text.size()) return std::nullopt;
  return id;
}

std::string NodeId::ToString() const {
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (IsDashPosition(i)) text.push_back('-');
    AppendHex(bytes[i], text);
  }
  return text;
}

std::string NodeId::ToRedisId() const {
  std::string text = ToString();
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  text.append(40 - text.size(), '0');
  return text;
}

NodeId NodeIdFromRandom(std::array<std::uint8_t, 16> random) {
  NodeId id{random};
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

}  // namespace gyre
