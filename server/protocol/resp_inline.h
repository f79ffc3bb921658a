// Inline commands of RESP: a line typed by a person, split into arguments as redis-cli's users
// expect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gyre {

// Splits `line` (without its line end) at blanks. "..." takes \n \r \t \b \a \xHH and backslash
// before any other character; '...' takes \' alone; a closing quote ends the argument. Arguments
// point into `line`, or into `unescaped` where quotes were undone; `unescaped` must not change
// while they are in use. False where quotes are unbalanced.
bool SplitInline(std::string_view line, std::string& unescaped,
                 std::vector<std::string_view>& arguments);

}  // namespace gyre
