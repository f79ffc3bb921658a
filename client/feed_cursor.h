// How far a feed was read: a position for each partition, as a text that may be stored, typed and sent.
//
//   base64url of:  | 1 | partitions | terms: count, the first, then how far each is above the one before |
//                  | for each partition: 0 or 1 + the index of its term, number | checksum (4 bytes, LE) |
//
// Numbers are varints. Terms are stamps, often near each other and shared, so that a position takes
// about four bytes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gyre/result.h"

namespace gyre::client {

// Of a partition (server/cluster/stream/position.h).
struct FeedPosition {
  std::uint64_t term = 0;
  std::uint64_t number = 0;

  // As nodes say it: "TERM-NUMBER".
  std::string ToString() const;
  static std::optional<FeedPosition> Parse(std::string_view text);
  friend auto operator<=>(const FeedPosition&, const FeedPosition&) = default;
};

// [partition]; nothing: from now on.
using FeedCursor = std::vector<std::optional<FeedPosition>>;

std::string EncodeCursor(const FeedCursor& cursor);
// kInvalidArgument, with what is wrong with it, for anything that EncodeCursor did not make.
Result<FeedCursor> DecodeCursor(std::string_view text);

}  // namespace gyre::client
