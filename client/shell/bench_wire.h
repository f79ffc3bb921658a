// What the load generator says and hears, on each protocol: as little work for each request as
// possible, because it shares the machine with what it measures. Requests are copies of a template
// in which only the key's digits (and the native request id) change; replies are only counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/byte_queue.h"

namespace gyre::client {

enum class BenchProtocol { kNative, kResp, kMemcached };

// "key:000000042": 13 bytes.
inline constexpr std::size_t kBenchKeyDigits = 9;
inline constexpr std::uint64_t kBenchKeysMax = 1'000'000'000;
std::string BenchKey(std::uint64_t number);

struct ReplyCounts {
  std::uint64_t replies = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stored = 0;
  std::uint64_t errors = 0;
  std::string first_error;
};

// One for each connection.
class BenchWire {
 public:
  static std::unique_ptr<BenchWire> Make(BenchProtocol protocol, std::string_view value);
  virtual ~BenchWire() = default;

  void AppendGet(std::uint64_t key, ByteQueue<>& out) { Append(get_, key, out); }
  void AppendSet(std::uint64_t key, ByteQueue<>& out) { Append(set_, key, out); }
  // Counts the complete replies at the front of `in` and returns the bytes that they took; -1:
  // these bytes are not of the protocol.
  virtual std::ptrdiff_t Count(std::string_view in, ReplyCounts& counts) = 0;

 protected:
  struct Template {
    std::string bytes;
    std::size_t key_digits_at = 0;
  };
  static Template MakeTemplate(std::string bytes);

  Template get_;
  Template set_;

 private:
  virtual void StampId(char*) {}
  void Append(const Template& request, std::uint64_t key, ByteQueue<>& out);
};

}  // namespace gyre::client
