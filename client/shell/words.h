// Lines and words, as people type them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gyre/client.h"

namespace gyre::client {

// Cuts a line into words. Blanks separate; "..." understands \n \r \t \\ \" and \xHH; '...'
// understands \' alone. kInvalidArgument for a quote that does not end, or text that touches a
// closing quote.
Result<std::vector<std::string>> SplitWords(std::string_view line);

// Those of `known` that `typed` may have meant, best first: few edits away, or beginning with it.
std::vector<std::string> NearMatches(std::string_view typed, const std::vector<std::string>& known);

// Printable ASCII as it is, the rest as \n, \t, \", \\, \xHH; in double quotes.
std::string Quote(std::string_view bytes);

bool IsUtf8(std::string_view bytes);
std::string Base64(std::string_view bytes);

// "1.5 GiB", "12 B".
std::string HumanBytes(double bytes);
// "1.5M", "12".
std::string HumanCount(double count);

}  // namespace gyre::client
