// What we tell clients that choose their dialect by a server's version.
#pragma once

#include <string_view>

namespace gyre {

// The Redis release whose commands these are, and whose answers they give.
inline constexpr std::string_view kRedisVersion = "7.0.15";

// The memcached release likewise: its clients read three numbers.
inline constexpr std::string_view kMemcachedVersion = "1.6.18";

}  // namespace gyre
