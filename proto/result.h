// Errors are values. A `Result<T>` is either a T or an `Error` whose message tells the reader what
// to do next. No exception crosses a module.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace gyre {

// What went wrong, as clients and peers see it. The numbers are part of the native protocol: append
// only.
enum class ErrorCode : std::uint8_t {
  kInternal = 0,         // a bug of ours; the log has more
  kInvalidArgument = 1,  // the request is well formed but makes no sense
  kUnknownCommand = 2,   //
  kProtocol = 3,         // the bytes are not of the protocol; the connection closes
  kTooLarge = 4,         // a named bound was hit (key, value, frame, argument count)
  kOutOfMemory = 5,      // the value cannot fit even after eviction
  kNotOwner = 6,         // peer only: this node does not order writes of the partition; ask again
  kMoved = 7,            // RESP cluster port: another node owns the slot
  kCrossSlot = 8,        // the command needs all its keys in one slot
  kUnavailable =
      9,  // no live node holds the partition, or the link to it is down; nothing was written
  kTimeout = 10,  // the deadline passed; nothing was written
  kUnknownOutcome =
      11,  // the write may have been applied: its copies, or the node asked, did not answer in time
  kTooFewReplicas = 12,  // fewer live holders than the acks asked for; nothing was written
  kIo = 13,              // a socket or file failed
  kClosed = 14,          // shutting down
  kWrongType = 15,       // the value is not an integer or a float, as the command needs
  kNotAllowed = 16,      // switched off, or not possible on this port
};

// The name that stands in logs, metrics and JSON ("unknown_outcome").
std::string_view ErrorCodeName(ErrorCode code);

// The code that a message names; a number of a newer release is an error still, kInternal.
constexpr ErrorCode ErrorCodeFromWire(std::uint64_t number) {
  return number <= static_cast<std::uint64_t>(ErrorCode::kNotAllowed)
             ? static_cast<ErrorCode>(number)
             : ErrorCode::kInternal;
}

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace gyre
