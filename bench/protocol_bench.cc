// The codecs: what one request and one reply cost, parsed out of a pipeline as a connection does.
//
// Bytes are those of `redis-benchmark -t get,set -d 64`; items are requests. `Large` values show
// what a byte costs, `SmallReads` what being interrupted costs (linear in the size: the codec does
// not begin again).

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "proto/frame.h"
#include "protocol/codec.h"
#include "protocol/native_codec.h"

namespace gyre {
namespace {

constexpr std::string_view kKey = "key:000000000042";
constexpr int kPipeline = 16;

enum class Spoken { kResp, kMemcached, kNative };

std::unique_ptr<Codec> MakeCodec(Spoken spoken, Session& session) {
  switch (spoken) {
    case Spoken::kResp:
      return MakeRespCodecFactory({})(session);
    case Spoken::kMemcached:
      return MakeMemcachedCodecFactory({})(session);
    case Spoken::kNative:
      return MakeNativeCodecFactory({})(session);
  }
  return nullptr;
}

std::string RespArray(std::initializer_list<std::string_view> args) {
  std::string bytes = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string_view argument : args) {
    bytes += "$" + std::to_string(argument.size()) + "\r\n" + std::string(argument) + "\r\n";
  }
  return bytes;
}

std::string NativeFrame(std::initializer_list<std::string_view> args) {
  Request request;
  request.args = args;
  std::string frame;
  AppendFrame(FrameType::kRequest, 1, EncodeRequest(request), frame);
  return frame;
}

std::string Get(Spoken spoken) {
  switch (spoken) {
    case Spoken::kResp:
      return RespArray({"GET", kKey});
    case Spoken::kMemcached:
      return "get " + std::string(kKey) + "\r\n";
    case Spoken::kNative:
      return NativeFrame({"GET", kKey});
  }
  return {};
}

std::string Set(Spoken spoken, std::size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  switch (spoken) {
    case Spoken::kResp:
      return RespArray({"SET", kKey, value});
    case Spoken::kMemcached:
      return "set " + std::string(kKey) + " 0 0 " + std::to_string(value_bytes) + "\r\n" + value +
             "\r\n";
    case Spoken::kNative:
      return NativeFrame({"SET", kKey, value});
  }
  return {};
}

void DecodePipeline(benchmark::State& state, Spoken spoken, const std::string& single) {
  Session session;
  const std::unique_ptr<Codec> codec = MakeCodec(spoken, session);
  std::string pipeline;
  for (int i = 0; i < kPipeline; ++i) pipeline += single;
  Request request;
  for (auto _ : state) {
    std::string_view input = pipeline;
    while (!input.empty()) {
      const Decoded decoded = codec->Decode(input, request);
      benchmark::DoNotOptimize(request.args.data());
      input.remove_prefix(decoded.consumed);
    }
  }
  state.SetItemsProcessed(state.iterations() * kPipeline);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(pipeline.size()));
}

void BM_DecodeGet(benchmark::State& state, Spoken spoken) {
  DecodePipeline(state, spoken, Get(spoken));
}
void BM_DecodeSet(benchmark::State& state, Spoken spoken) {
  DecodePipeline(state, spoken, Set(spoken, 64));
}
void BM_DecodeLargeSet(benchmark::State& state, Spoken spoken) {
  DecodePipeline(state, spoken, Set(spoken, 64 * 1024));
}

// One request of range(0) arguments, seen in reads of 4 KiB.
void BM_DecodeInSmallReads(benchmark::State& state) {
  constexpr std::size_t kReadBytes = 4096;
  Session session;
  const std::unique_ptr<Codec> codec = MakeCodec(Spoken::kResp, session);
  const auto count = static_cast<std::size_t>(state.range(0));
  std::string bytes = "*" + std::to_string(count) + "\r\n";
  for (std::size_t i = 0; i < count; ++i) bytes += "$8\r\nargument\r\n";
  Request request;
  for (auto _ : state) {
    for (std::size_t size = kReadBytes; size < bytes.size(); size += kReadBytes) {
      codec->Decode({bytes.data(), size}, request);
    }
    codec->Decode(bytes, request);
    benchmark::DoNotOptimize(request.args.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// The reply to a GET that hits: a list of one record for memcached, the record elsewhere.
void BM_EncodeHit(benchmark::State& state, Spoken spoken) {
  Session session;
  const std::unique_ptr<Codec> codec = MakeCodec(spoken, session);
  const std::string value(static_cast<std::size_t>(state.range(0)), 'v');
  Request request;
  request.args = {spoken == Spoken::kMemcached ? "mc.get" : "GET", kKey};
  Buffer out;
  for (auto _ : state) {
    for (int i = 0; i < kPipeline; ++i) {
      ReplyWriter* writer = codec->WriterFor(request, out);
      if (spoken == Spoken::kMemcached) writer->BeginList(ListShape::kArray, 1);
      writer->BeginRecord({kKey, 0, 1, value.size()});
      writer->Chunk(value);
      writer->EndRecord();
      if (spoken == Spoken::kMemcached) writer->EndList();
      codec->Recycle(writer);
    }
    benchmark::DoNotOptimize(out.data());
    out.Clear();
  }
  state.SetItemsProcessed(state.iterations() * kPipeline);
}

void BM_EncodeStored(benchmark::State& state, Spoken spoken) {
  Session session;
  const std::unique_ptr<Codec> codec = MakeCodec(spoken, session);
  Request request;
  request.args = {"SET"};
  Buffer out;
  for (auto _ : state) {
    for (int i = 0; i < kPipeline; ++i) {
      ReplyWriter* writer = codec->WriterFor(request, out);
      writer->Word(Outcome::kStored);
      codec->Recycle(writer);
    }
    benchmark::DoNotOptimize(out.data());
    out.Clear();
  }
  state.SetItemsProcessed(state.iterations() * kPipeline);
}

BENCHMARK_CAPTURE(BM_DecodeGet, resp, Spoken::kResp);
BENCHMARK_CAPTURE(BM_DecodeGet, memcached, Spoken::kMemcached);
BENCHMARK_CAPTURE(BM_DecodeGet, native, Spoken::kNative);
BENCHMARK_CAPTURE(BM_DecodeSet, resp, Spoken::kResp);
BENCHMARK_CAPTURE(BM_DecodeSet, memcached, Spoken::kMemcached);
BENCHMARK_CAPTURE(BM_DecodeSet, native, Spoken::kNative);
BENCHMARK_CAPTURE(BM_DecodeLargeSet, resp, Spoken::kResp);
BENCHMARK_CAPTURE(BM_DecodeLargeSet, memcached, Spoken::kMemcached);
BENCHMARK_CAPTURE(BM_DecodeLargeSet, native, Spoken::kNative);
BENCHMARK(BM_DecodeInSmallReads)->Arg(1000)->Arg(100'000);
BENCHMARK_CAPTURE(BM_EncodeHit, resp, Spoken::kResp)->Arg(64)->Arg(64 * 1024);
BENCHMARK_CAPTURE(BM_EncodeHit, memcached, Spoken::kMemcached)->Arg(64)->Arg(64 * 1024);
BENCHMARK_CAPTURE(BM_EncodeHit, native, Spoken::kNative)->Arg(64)->Arg(64 * 1024);
BENCHMARK_CAPTURE(BM_EncodeStored, resp, Spoken::kResp);
BENCHMARK_CAPTURE(BM_EncodeStored, memcached, Spoken::kMemcached);
BENCHMARK_CAPTURE(BM_EncodeStored, native, Spoken::kNative);

}  // namespace
}  // namespace gyre
