// What the codecs share when they decode: the results by name, and the upkeep of vectors that are
// used again.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "protocol/codec.h"

namespace gyre {

// `wanted`: bytes in all without which nothing can be decided; 0: any more.
inline Decoded NeedMore(std::size_t wanted = 0) {
  return {Decoded::Status::kNeedMore, 0, wanted, {}};
}
inline Decoded Done(std::size_t consumed) { return {Decoded::Status::kRequest, consumed, 0, {}}; }
inline Decoded Skip(std::size_t consumed) { return {Decoded::Status::kSkip, consumed, 0, {}}; }
inline Decoded ErrorReply(std::size_t consumed, ErrorCode code, std::string message) {
  return {Decoded::Status::kError, consumed, 0, {code, std::move(message)}};
}
inline Decoded MalformedInput(ErrorCode code, std::string message) {
  return {Decoded::Status::kMalformed, 0, 0, {code, std::move(message)}};
}

// Vectors keep their memory from request to request, up to so many elements: one huge MSET must not
// be remembered by every connection that ever sent one.
inline constexpr std::size_t kKeptElementsMax = 4096;

template <typename T>
void ClearKept(std::vector<T>& elements) {
  elements.clear();
  if (elements.capacity() > kKeptElementsMax) std::vector<T>().swap(elements);
}

// Empties `request` for the next one.
inline void BeginRequest(Request& request) {
  ClearKept(request.args);
  request.Clear();
}

}  // namespace gyre
