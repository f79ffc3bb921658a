// Error texts that several commands share. Where Redis has the error, the text is Redis's, because
// clients match on it; the RESP codec puts the prefix ("ERR ") before it.
#pragma once

#include <string>
#include <string_view>

#include "proto/result.h"

namespace gyre {

inline Error SyntaxError() { return {ErrorCode::kInvalidArgument, "syntax error"}; }
inline Error NotAnInteger() {
  return {ErrorCode::kInvalidArgument, "value is not an integer or out of range"};
}
inline Error WrongArgumentCount(std::string_view command) {
  return {ErrorCode::kInvalidArgument,
          "wrong number of arguments for '" + std::string(command) + "' command"};
}
inline Error UnknownSubcommand(std::string_view container, std::string_view subcommand) {
  constexpr std::size_t kShownMax = 128;
  return {ErrorCode::kInvalidArgument, "unknown subcommand '" +
                                           std::string(subcommand.substr(0, kShownMax)) +
                                           "'. Try " + std::string(container) + " HELP."};
}
inline Error InvalidExpiry(std::string_view command) {
  return {ErrorCode::kInvalidArgument,
          "invalid expire time in '" + std::string(command) + "' command"};
}
inline Error ClusterDisabled() {
  return {ErrorCode::kNotAllowed, "This instance has cluster support disabled"};
}
// Of a write of several keys: most errors say that nothing was written.
inline Error PartlyWritten(const Error& error) {
  return {ErrorCode::kUnknownOutcome, "some of the keys were written, and then: " + error.message};
}
inline Error ValueTooLarge() {
  return {ErrorCode::kTooLarge,
          "string exceeds maximum allowed size (raise --max-value on all nodes)"};
}

}  // namespace gyre
