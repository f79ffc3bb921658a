// The payload of a request of the native protocol (wire::Request), written without Protobuf's library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gyre {

// What stands as 0 or false is left out.
struct NativeRequest {
  std::span<const std::string_view> args;  // the command's name, then its arguments
  std::uint32_t hops = 0;
  std::uint32_t write_acks = 0;
  std::uint32_t deadline_ms = 0;
  bool no_forward = false;
  bool takes_goodbye = false;
};

// No less than it takes encoded.
std::size_t EncodedBytesMax(const NativeRequest& request);
std::string EncodeNativeRequest(const NativeRequest& request);

}  // namespace gyre
