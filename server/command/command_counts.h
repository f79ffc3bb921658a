// What is counted of each command, for INFO commandstats and memcached's stats, and of the ways that
// requests take.
#pragma once

#include <cstdint>
#include <vector>

#include "base/statistic.h"
#include "base/tally.h"

namespace gyre {

struct CommandCounts {
  std::uint64_t calls = 0;
  std::uint64_t nanoseconds = 0;  // of this loop; what a call waited for is not in it
  std::uint64_t rejected = 0;     // not executed: too many or too few arguments, for one
  // Failed here and at once; what failed later or elsewhere is counted there.
  std::uint64_t errors = 0;
  // By the keyed handlers, at the owner.
  std::uint64_t found = 0;
  std::uint64_t missing = 0;
  std::uint64_t mismatched = 0;

  // None has a page of its own: there is a set for each command.
  static constexpr Statistic<CommandCounts> kStatistics[] = {
      {&CommandCounts::calls, {}},
      {&CommandCounts::nanoseconds, {.unit = StatUnit::kNanoseconds}},
      {&CommandCounts::rejected, {}},
      {&CommandCounts::errors, {}},
      {&CommandCounts::found, {}},
      {&CommandCounts::missing, {}},
      {&CommandCounts::mismatched, {}},
  };
};
static_assert(AllDescribed<CommandCounts>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// One command's, at one loop: what a call counts lies in one line of the cache.
struct alignas(64) CommandTally : Tally<CommandCounts> {};

// By Command::index; written by one loop, read by any.
using CommandTallies = std::vector<CommandTally>;

struct RouterStats {
  std::uint64_t forwarded = 0;
  std::uint64_t waited_for_owner = 0;
  std::uint64_t waited_for_claims = 0;
  std::uint64_t retried = 0;
  std::uint64_t scattered = 0;
  std::uint64_t moved = 0;
  std::uint64_t feed_changes = 0;
  std::uint64_t feed_gaps = 0;

  static constexpr Statistic<RouterStats> kStatistics[] = {
      {&RouterStats::forwarded,
       {.name = "gyre_requests_forwarded_total",
        .help = "Requests, or parts of them, sent to the node that owns their key."}},
      {&RouterStats::waited_for_owner,
       {.name = "gyre_requests_waited_total",
        .help = "Times that a request waited: for an owner of its keys, during a handover or a "
                "failover; or for a command on many keys that goes on in steps.",
        .label = "cause",
        .label_value = "owner"}},
      {&RouterStats::waited_for_claims,
       {.name = "gyre_requests_waited_total", .label = "cause", .label_value = "claims"}},
      {&RouterStats::retried,
       {.name = "gyre_requests_retried_total",
        .help = "Requests, or parts of them, sent again after a failure."}},
      {&RouterStats::scattered,
       {.name = "gyre_requests_scattered_total",
        .help = "Requests divided into parts, one for each owner of their keys."}},
      {&RouterStats::moved,
       {.name = "gyre_requests_moved_total",
        .help = "Requests answered with -MOVED, on --resp-cluster-port."}},
      {&RouterStats::feed_changes,
       {.name = "gyre_feed_changes_total", .help = "Changes of keys sent to readers of the feed."}},
      {&RouterStats::feed_gaps,
       {.name = "gyre_feed_gaps_total",
        .help = "Times that a reader of the feed was told that changes are missing."}},
  };
};
static_assert(AllDescribed<RouterStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

}  // namespace gyre
