// What a call gives: a value, or an Error that says why there is none. Nothing here throws.
//
// Included by gyre/client.h; needs C++20 and the standard library alone.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace gyre::client {

// The first block is what nodes answer and has the numbers of the native protocol; the second is
// the client's.
enum class ErrorCode : std::uint8_t {
  kInternal = 0,         // a bug of ours; the node's log has more
  kInvalidArgument = 1,  // the request makes no sense as it is
  kUnknownCommand = 2,   // the node does not know it: is it an older release?
  kProtocol = 3,         // the peer does not speak the native protocol, or breaks it
  kTooLarge = 4,         // a key, value or request is over its bound
  kOutOfMemory = 5,      // the value cannot fit, even after eviction
  kNotOwner = 6,         // never seen by callers: the client asks the right node
  kMoved = 7,            // likewise
  kCrossSlot = 8,        // the command needs all its keys in one slot: give them a common {tag}
  kUnavailable = 9,      // no live node could serve the key in time; nothing was written
  kTimeout = 10,         // the deadline passed; nothing was written
  kUnknownOutcome = 11,  // a write whose fate is unknown: it may or may not have been carried out
  kTooFewReplicas =
      12,            // fewer live holders than the acknowledgements asked for; nothing was written
  kIo = 13,          // a socket failed
  kClosed = 14,      // the client is being destroyed, or the node shuts down; nothing was written
  kWrongType = 15,   // the value is not a number, as the command needs
  kNotAllowed = 16,  // switched off, or not possible here

  kCannotConnect = 64,  // no seed could be reached
  kOverloaded = 65,     // Options::in_flight_bytes_max is used up; nothing was sent
  kCancelled = 66,      // CancelAll ended it; nothing was written
};

// "unknown_outcome", for logs and JSON.
std::string_view ErrorCodeName(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // says what to do next

  friend bool operator==(const Error&, const Error&) = default;
};

// Either a T or an Error. Access to the one that is not there is a bug of the caller (assert).
template <typename T>
class [[nodiscard]] Result {
 public:
  // A T is a result, and so is an Error.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace gyre::client
