// What the fuzz targets of the codecs share: arbitrary bytes, split arbitrarily, give what they
// give whole; nothing crashes, nothing is read beyond the input, and every error can be said to the
// client.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/prng.h"
#include "protocol/codec_replay.h"

namespace gyre::testing {

// Limits so small that a fuzzer meets them.
inline constexpr CodecLimits kFuzzLimits = {.key_bytes_max = 64,
                                            .value_bytes_max = 256,
                                            .argument_count_max = 32,
                                            .request_bytes_max = 1024};

[[noreturn]] inline void FailFuzz(const char* what, const Replayed& whole, const Replayed& parted) {
  std::cerr << what << "\nwhole:\n";
  for (const Event& event : whole.events) std::cerr << "  " << event << "\n";
  std::cerr << "parted:\n";
  for (const Event& event : parted.events) std::cerr << "  " << event << "\n";
  std::abort();
}

// The first eight bytes of `data` choose the splits, the rest is the stream.
inline void FuzzCodec(const MakeCodec& make, std::string_view data) {
  std::uint64_t seed = 0;
  if (data.size() < sizeof seed) return;
  std::memcpy(&seed, data.data(), sizeof seed);
  data.remove_prefix(sizeof seed);

  const Replayed whole = ReplaySplit(make, data, {});
  if (whole.broken) FailFuzz("the codec broke its contract", whole, whole);
  Prng prng(seed);
  for (const Patience patience : {Patience::kAsWanted, Patience::kNone}) {
    const std::uint64_t step_max = 1 + prng.Below(64);
    std::vector<std::size_t> ends;
    for (std::size_t at = 1 + prng.Below(step_max); at < data.size();
         at += 1 + prng.Below(step_max)) {
      ends.push_back(at);
    }
    const Replayed parted = ReplaySplit(make, data, ends, patience);
    if (!(parted == whole)) FailFuzz("the result depends on the split", whole, parted);
  }
  const std::unique_ptr<Codec> codec = make();
  Buffer out;
  for (const Event& event : whole.events) {
    ReplyWriter* writer = codec->WriterFor(Request{}, out);
    writer->Fail(event.error);
    codec->Recycle(writer);
  }
}

}  // namespace gyre::testing
