// Reading a command's arguments: numbers exactly as Redis reads them, words in any case.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proto/word.h"  // IsWord

namespace gyre {

// A decimal integer and nothing else: no space, no plus, no leading zero, no "-0".
std::optional<std::int64_t> ParseInteger(std::string_view text);
// Likewise, not negative.
std::optional<std::uint64_t> ParseUnsigned(std::string_view text);
// As memcached reads numbers: blanks before it, a plus, leading zeros, and whatever stands behind a
// blank after it are allowed; a minus only before 0.
std::optional<std::uint64_t> ParseLenientUnsigned(std::string_view text);
// A finite or infinite number without spaces around it.
std::optional<long double> ParseFloat(std::string_view text);
// Without an exponent and without trailing zeros.
std::string FormatFloat(long double number);

std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);

// memcached's exptime as an absolute expiry: 0 never, up to 30 days from now in seconds, above that
// unix seconds, negative at once. Nothing if it is no number.
std::optional<UnixMillis> ParseMemcachedExpiry(std::string_view text, UnixMillis now);

// An expiry that is over, for what is stored expired.
inline constexpr UnixMillis kLongExpired = 1;

}  // namespace gyre
