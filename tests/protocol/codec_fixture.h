// The vocabulary of the codec tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "protocol/codec_replay.h"

namespace gyre::testing {

// Up to here a case is split at each of its bytes; a longer one at about kSplitsOfLong places,
// spread evenly.
inline constexpr std::size_t kSplitEveryByteMax = 2048;
inline constexpr std::size_t kSplitsOfLong = 61;

// Feeds `bytes` whole, split in two at every position, and in steps of one byte, and expects the
// same each time. Returns what came out.
inline Replayed Replay(const MakeCodec& make, std::string_view bytes) {
  const Replayed whole = ReplaySplit(make, bytes, {});
  EXPECT_FALSE(whole.broken) << "the codec broke its contract";
  const bool is_short = bytes.size() <= kSplitEveryByteMax;
  const std::size_t stride = is_short ? 1 : bytes.size() / kSplitsOfLong;
  std::vector<std::size_t> steps;
  for (std::size_t split = 1; split < bytes.size(); split += stride) {
    steps.push_back(split);
    const Replayed parted = ReplaySplit(make, bytes, {split});
    EXPECT_EQ(parted.events, whole.events) << "split at " << split;
    EXPECT_EQ(parted, whole) << "split at " << split;
  }
  for (const Patience patience : {Patience::kAsWanted, Patience::kNone, Patience::kRewinds}) {
    const Replayed stepped = ReplaySplit(make, bytes, steps, patience);
    EXPECT_EQ(stepped.events, whole.events) << "in steps of " << stride;
    EXPECT_EQ(stepped, whole) << "in steps of " << stride;
  }
  return whole;
}

// What a writer made of `say`, as the reply to `request`.
inline std::string Encoded(Codec& codec, const Request& request,
                           const std::function<void(ReplyWriter&)>& say) {
  Buffer out;
  ReplyWriter* writer = codec.WriterFor(request, out);
  say(*writer);
  codec.Recycle(writer);
  return std::string(out.view());
}

// A request of these arguments; they must outlive it.
inline Request CommandOf(std::initializer_list<std::string_view> args) {
  Request request;
  request.args.assign(args.begin(), args.end());
  return request;
}

}  // namespace gyre::testing
