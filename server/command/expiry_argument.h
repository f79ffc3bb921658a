// Expiry times as Redis's commands take them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "proto/result.h"

namespace gyre {

// How a number means an expiry.
struct ExpiryForm {
  bool absolute = false;  // unix time, else from now on
  bool seconds = false;   // else milliseconds
  friend bool operator==(const ExpiryForm&, const ExpiryForm&) = default;
};

// `number` as absolute milliseconds: may be in the past, or negative. Nothing where it overflows.
std::optional<UnixMillis> ToExpiry(std::int64_t number, ExpiryForm form, UnixMillis now);

// Of SET, SETEX, GETEX: must be positive. `command` stands in the error.
Result<UnixMillis> ParseExpiry(std::string_view text, ExpiryForm form, UnixMillis now,
                               std::string_view command);

// The form that a word of SET and GETEX (EX PX EXAT PXAT) names.
std::optional<ExpiryForm> ExpiryFormOf(std::string_view word);

}  // namespace gyre
