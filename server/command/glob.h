// Glob patterns as KEYS, SCAN and CONFIG GET take them: * ? [a-c] [^a] \x
#pragma once

#include <string_view>

namespace gyre {

// Linear in `text` for each `*`, never exponential: only the latest `*` is ever tried again.
bool GlobMatches(std::string_view pattern, std::string_view text, bool ignore_case = false);

}  // namespace gyre
