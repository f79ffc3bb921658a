#include "ops/memcached_report.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <string>

#include "command/command_table.h"
#include "command/version.h"
#include "ops/foreign_page.h"
#include "ops/process_stats.h"

namespace gyre {
namespace {

// Connections that "stats conns" describes at most.
constexpr std::size_t kConnectionsShownMax = 1000;
constexpr std::size_t kConnectionsAtOnce = 128;

// The sum over some commands of one of their counts.
std::uint64_t SumOf(const std::vector<CommandCounts>& counts, std::uint64_t CommandCounts::*count,
                    std::initializer_list<std::string_view> names) {
  std::uint64_t sum = 0;
  for (const std::string_view name : names) {
    const Command* const command = CommandTable::Get().Find(name);
    if (command != nullptr && command->index < counts.size()) sum += counts[command->index].*count;
  }
  return sum;
}

}  // namespace

Fields MemcachedFields(const InfoSource& node) {
  const NodeFigures& figures = node.figures;
  ForeignPage page(&StatText::memcached);
  page.Know(figures.server);
  page.Know(figures.storage);
  const auto say_sum = [&](std::string_view name, std::uint64_t CommandCounts::*count,
                           std::initializer_list<std::string_view> commands) {
    page.Say(name, std::to_string(SumOf(figures.commands, count, commands)));
  };
  constexpr auto kCalls = &CommandCounts::calls;
  constexpr auto kFound = &CommandCounts::found;
  constexpr auto kMissing = &CommandCounts::missing;
  const std::initializer_list<std::string_view> touches = {"mc.touch", "mc.gat", "mc.gats"};

  page.Say("pid", std::to_string(::getpid()));
  page.Say("uptime", std::to_string(node.uptime_seconds()));
  page.Say("time", std::to_string(node.now / 1000));
  page.Say("version", std::string(kMemcachedVersion));
  page.Say("gyre_version", GYRE_VERSION);
  page.Say("pointer_size", std::to_string(8 * sizeof(void*)));
  page.Say("rusage_user", SecondsText(node.usage.ru_utime));
  page.Say("rusage_system", SecondsText(node.usage.ru_stime));
  page.Say("max_connections", std::to_string(node.config.connections_max));
  page.Say("curr_connections", std::to_string(node.clients));
  page.Place({"total_connections", "rejected_connections"});
  page.Say("cmd_get", std::to_string(figures.storage.hits + figures.storage.misses));
  say_sum(
      "cmd_set", kCalls,
      {"mc.set", "mc.refused", "mc.add", "mc.replace", "mc.append", "mc.prepend", "mc.cas", "set"});
  say_sum("cmd_flush", kCalls, {"mc.flush_all", "flushall", "flushdb"});
  page.Say("cmd_touch", std::to_string(SumOf(figures.commands, kFound, touches) +
                                       SumOf(figures.commands, kMissing, touches)));
  page.Say("cmd_meta", "0");
  page.Place({"get_hits", "get_misses"});
  say_sum("delete_misses", kMissing, {"mc.delete"});
  say_sum("delete_hits", kFound, {"mc.delete"});
  say_sum("incr_misses", kMissing, {"mc.incr"});
  say_sum("incr_hits", kFound, {"mc.incr"});
  say_sum("decr_misses", kMissing, {"mc.decr"});
  say_sum("decr_hits", kFound, {"mc.decr"});
  say_sum("cas_misses", kMissing, {"mc.cas"});
  say_sum("cas_hits", kFound, {"mc.cas"});
  say_sum("cas_badval", &CommandCounts::mismatched, {"mc.cas"});
  say_sum("touch_hits", kFound, touches);
  say_sum("touch_misses", kMissing, touches);
  say_sum("store_too_large", kCalls, {"mc.refused"});
  page.Place({"store_no_memory"});
  page.Say("auth_cmds", "0");
  page.Say("auth_errors", "0");
  page.Place({"bytes_read", "bytes_written"});
  page.Say("limit_maxbytes", std::to_string(node.config.memory_bytes));
  page.Say("accepting_conns", "1");
  page.Say("threads", std::to_string(node.config.threads));
  page.Place({"slabs_moved", "bytes", "curr_items", "evictions", "reclaimed"});
  return page.Take();
}

Fields MemcachedSettings(const Config& config) {
  return {{"maxbytes", std::to_string(config.memory_bytes)},
          {"maxconns", std::to_string(config.connections_max)},
          {"tcpport", std::to_string(config.memcached_port)},
          {"udpport", "0"},
          {"inter", config.host},
          {"evictions", "on"},
          {"domain_socket", "NULL"},
          {"shutdown_command", "no"},
          {"num_threads", std::to_string(config.threads)},
          {"detail_enabled", "no"},
          {"cas_enabled", "yes"},
          {"binding_protocol", "ascii"},
          {"auth_enabled_sasl", "no"},
          {"auth_enabled_ascii", "no"},
          {"item_size_max", std::to_string(config.value_bytes_max)},
          {"maxconns_fast", "yes"},
          {"idle_timeout",
           std::to_string(std::chrono::ceil<std::chrono::seconds>(config.idle_timeout).count())},
          {"slab_reassign", "yes"},
          {"flush_enabled", "yes"},
          {"dump_enabled", "no"},
          {"track_sizes", "no"},
          {"ssl_enabled", "no"}};
}

// The shards have the same classes.
Fields MemcachedSlabs(const std::vector<SlabClassUse>& classes) {
  Fields fields;
  std::size_t active = 0;
  std::uint64_t bytes = 0;
  for (std::size_t id = 0; id < classes.size(); ++id) {
    const SlabClassUse& use = classes[id];
    if (use.pages == 0) continue;
    const std::uint64_t slots = use.pages * use.slots_a_page;
    const auto add = [&fields, id](const char* name, std::uint64_t value) {
      fields.emplace_back(std::to_string(id + 1) + ":" + name, std::to_string(value));
    };
    add("chunk_size", use.slot_bytes);
    add("chunks_per_page", use.slots_a_page);
    add("total_pages", use.pages);
    add("total_chunks", slots);
    add("used_chunks", use.slots_used);
    add("free_chunks", slots - std::min(slots, use.slots_used));
    ++active;
    bytes += use.pages * use.page_bytes;
  }
  fields.emplace_back("active_slabs", std::to_string(active));
  fields.emplace_back("total_malloced", std::to_string(bytes));
  return fields;
}

Fields MemcachedConnections(SessionRegistry& sessions, UnixMillis now) {
  Fields fields;
  std::size_t shown = 0;
  const auto show = [&](const Session& session) {
    if (session.protocol != Protocol::kMemcached || shown == kConnectionsShownMax) return;
    ++shown;
    const std::string id = std::to_string(session.id);
    const UnixMillis active = session.last_active_ms.load(std::memory_order_relaxed);
    fields.emplace_back(id + ":addr", "tcp:" + session.peer_address);
    fields.emplace_back(id + ":listen_addr", "tcp:" + session.local_address);
    fields.emplace_back(id + ":secs_since_last_cmd",
                        std::to_string(std::max<UnixMillis>(now - active, 0) / 1000));
  };
  // The registry's lock is held for a few at a time.
  std::uint64_t next = 0;
  do {
    next = sessions.ForEachFrom(next, kConnectionsAtOnce, show);
  } while (next != 0 && shown < kConnectionsShownMax);
  return fields;
}

}  // namespace gyre
