#include "proto/result.h"

namespace gyre {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal:
      return "internal";
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kUnknownCommand:
      return "unknown_command";
    case ErrorCode::kProtocol:
      return "protocol";
    case ErrorCode::kTooLarge:
      return "too_large";
    case ErrorCode::kOutOfMemory:
      return "out_of_memory";
    case ErrorCode::kNotOwner:
      return "not_owner";
    case ErrorCode::kMoved:
      return "moved";
    case ErrorCode::kCrossSlot:
      return "cross_slot";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kUnknownOutcome:
      return "unknown_outcome";
    case ErrorCode::kTooFewReplicas:
      return "too_few_replicas";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kClosed:
      return "closed";
    case ErrorCode::kWrongType:
      return "wrong_type";
    case ErrorCode::kNotAllowed:
      return "not_allowed";
  }
  return "unknown";
}

}  // namespace gyre
