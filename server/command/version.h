// What we tell clients that choose their dialect by a server's version.
#pragma once

#include <string_view>

namespace gyre {

// The Redis release whose commands these are.
inline constexpr std::string_view kRedisVersion = "7.2.0";

}  // namespace gyre
