#include "proto/native_request.h"

#include <protozero/varint.hpp>

#include "proto/native_tags.h"
#include "proto/pbf.h"

namespace gyre {
namespace {

constexpr std::size_t kFieldHeadBytesMax = 1 + protozero::max_varint_length;  // a tag, a length
constexpr std::size_t kOtherFields = 5;

void AppendNumber(std::uint32_t tag, std::uint64_t number, std::string& out) {
  if (number == 0) return;
  AppendVarint(tag, out);
  AppendVarint(number, out);
}

}  // namespace

std::size_t EncodedBytesMax(const NativeRequest& request) {
  std::size_t bytes = (request.args.size() + kOtherFields) * kFieldHeadBytesMax;
  for (const std::string_view argument : request.args) bytes += argument.size();
  return bytes;
}

std::string EncodeNativeRequest(const NativeRequest& request) {
  std::string encoded;
  encoded.reserve(EncodedBytesMax(request));
  for (const std::string_view argument : request.args) {
    AppendBytes(native::kRequestArgs, argument, encoded);
  }
  AppendNumber(native::kRequestHops, request.hops, encoded);
  AppendNumber(native::kRequestWriteAcks, request.write_acks, encoded);
  AppendNumber(native::kRequestDeadline, request.deadline_ms, encoded);
  AppendNumber(native::kRequestNoForward, request.no_forward ? 1 : 0, encoded);
  AppendNumber(native::kRequestTakesGoodbye, request.takes_goodbye ? 1 : 0, encoded);
  return encoded;
}

}  // namespace gyre
