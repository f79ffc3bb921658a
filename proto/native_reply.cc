#include "proto/native_reply.h"

namespace gyre {

std::string_view OutcomeWord(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "OK";
    case Outcome::kStored:
      return "STORED";
    case Outcome::kNotStored:
      return "NOT_STORED";
    case Outcome::kExists:
      return "EXISTS";
    case Outcome::kNotFound:
      return "NOT_FOUND";
    case Outcome::kDeleted:
      return "DELETED";
    case Outcome::kTouched:
      return "TOUCHED";
    case Outcome::kPong:
      return "PONG";
  }
  return "OK";
}

std::string_view ReplyFaultText(ReplyFault fault) {
  switch (fault) {
    case ReplyFault::kNone:
      return "nothing";
    case ReplyFault::kGarbled:
      return "it is cut off or garbled";
    case ReplyFault::kNoValue:
      return "it has no value";
    case ReplyFault::kUnknownKind:
      return "a value of no known kind";
    case ReplyFault::kUnknownOutcome:
      return "an unknown outcome";
    case ReplyFault::kUnknownShape:
      return "a list of unknown shape";
    case ReplyFault::kOddMap:
      return "a map with a key that has no value";
    case ReplyFault::kTooDeep:
      return "it is nested too deeply";
    case ReplyFault::kTooManyElements:
      return "it has too many elements";
  }
  return "it is cut off or garbled";
}

}  // namespace gyre
