// A request as every protocol delivers it: the command's name and its arguments.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gyre {

enum class Protocol : std::uint8_t { kNative, kResp, kMemcached, kHttp };

// Filled by a codec, read by the handler; one object is used again for each request of a
// connection. All views point into the connection's input and are valid until the handler returns.
struct Request {
  enum class Kind : std::uint8_t {
    kCommand,  // args
    kPeer,     // payload: an encoded PeerRequest (native port only)
  };

  Kind kind = Kind::kCommand;
  // args[0] is the command's name, in any case. Never empty for kCommand.
  std::vector<std::string_view> args;
  std::string_view payload;
  std::uint64_t id = 0;           // native: echoed in the reply's frame
  std::uint32_t hops = 0;         // times forwarded so far
  std::uint32_t write_acks = 0;   // 0: the node's default
  std::uint32_t deadline_ms = 0;  // 0: the node's default
  bool no_forward = false;        // answer kNotOwner instead of forwarding
  bool quiet = false;             // memcached noreply: execute, say nothing
  bool waited = false;  // in the kernel, while this process was stopped (pause_detector.h)

  void Clear() {
    kind = Kind::kCommand;
    args.clear();
    payload = {};
    id = 0;
    hops = write_acks = deadline_ms = 0;
    no_forward = quiet = waited = false;
  }
};

}  // namespace gyre
