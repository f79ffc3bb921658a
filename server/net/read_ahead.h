// Requests that were decoded and not executed yet: several, and of several connections, so that the
// handler can foresee what they need (Handler::LookAhead).
//
//   requests   | a1 a2 a3 | b1 | c1 c2 ...     executed in this order
//   parts      |    A     | B  |   C           of one connection each
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "protocol/codec.h"
#include "protocol/request.h"

namespace gyre {

class Connection;

struct ReadAhead {
  // Enough to hide the waits for memory behind each other; few enough that what was fetched for the
  // last one is still in the cache when its turn comes.
  static constexpr std::size_t kRequestsMax = 32;
  // Of connections whose next request is not complete, too.
  static constexpr std::size_t kPartsMax = 32;
  // Arguments of one request beyond which it gives their memory back.
  static constexpr std::size_t kArgumentsKept = 8192;

  struct Part {
    Connection* connection = nullptr;
    std::size_t first = 0;  // of its requests
    std::size_t count = 0;
    std::size_t begin = 0;  // in its input
    std::size_t end = 0;    // of all that was decoded, skipped bytes and an error included
    // Why no more were decoded: kNeedMore, kError, kMalformed, or kRequest if something else ended
    // it. An error is that of the request behind the last one.
    Decoded stop;
  };

  std::span<const Request> view() const { return {requests.data(), count}; }
  bool full() const { return count == kRequestsMax || parts_count == kPartsMax; }
  // Requires !full().
  Part& Add(Connection& connection, std::size_t begin) {
    Part& part = parts[parts_count++];
    part.connection = &connection;
    part.first = count;
    part.count = 0;
    part.begin = part.end = begin;
    part.stop.status = Decoded::Status::kRequest;
    return part;
  }
  // The requests are executed. One more may have been begun.
  void Clear() {
    for (std::size_t i = 0; i < std::min(count + 1, kRequestsMax); ++i) {
      if (requests[i].args.capacity() > kArgumentsKept) requests[i].args = {};
    }
    count = parts_count = 0;
  }

  std::array<Request, kRequestsMax> requests;
  std::array<std::size_t, kRequestsMax> ends{};  // of each, in its input
  std::size_t count = 0;
  std::array<Part, kPartsMax> parts;
  std::size_t parts_count = 0;
};

}  // namespace gyre
