// Amounts as people read them.
#pragma once

#include <string>

namespace gyre {

// "12 B", "1.5 KiB", "256 MiB".
std::string HumanBytes(double bytes);
// The same as Redis words it in INFO, which its tools parse: "12B", "1.50K", "256.00M".
std::string RedisHumanBytes(double bytes);
// "12", "1.5k", "256M": by thousands.
std::string HumanCount(double count);
// "45s", "3m12s", "2d4h".
std::string HumanDuration(double seconds);
// "12.5%" of a share of 0.125.
std::string HumanPercent(double share, int digits = 1);
// "0.5s", "2s": an interval as it was asked for.
std::string HumanInterval(double seconds);
// "0.6ms", "250us", "1.2s".
std::string HumanLatency(double seconds);

}  // namespace gyre
