// What each typed call expects as an answer: Value -> Result<T>. Pure.
#pragma once

#include "gyre/client.h"

namespace gyre::client {

// A record, or nothing.
Result<std::optional<Record>> ReadRecord(Value value);
// Whether the command did what was asked: OK, STORED, a count above 0; not: null, EXISTS,
// NOT_FOUND, 0.
Result<bool> ReadDone(Value value);
Result<std::int64_t> ReadInteger(Value value);
// The answer to PTTL: -2 no such key, -1 no expiry.
Result<TimeToLive> ReadTimeToLive(Value value);
// As it is.
Result<Value> ReadValue(Value value);

}  // namespace gyre::client
