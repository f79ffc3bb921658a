// memcached's stats.
#pragma once

#include <vector>

#include "base/clock.h"
#include "command/admin.h"
#include "ops/config.h"
#include "ops/info_report.h"
#include "protocol/session.h"
#include "storage/shard.h"

namespace gyre {

// "stats", "stats settings", "stats slabs", "stats conns".
Fields MemcachedFields(const InfoSource& node);
Fields MemcachedSettings(const Config& config);
// Of the size classes that have pages.
Fields MemcachedSlabs(const std::vector<SlabClassUse>& classes);
// Of memcached's clients, so many at most.
Fields MemcachedConnections(SessionRegistry& sessions, UnixMillis now);

}  // namespace gyre
