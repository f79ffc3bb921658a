#include "ops/info_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "command/command_table.h"
#include "ops/foreign_page.h"
#include "ops/memcached_report.h"

namespace gyre {
namespace {

struct GateStats {
  std::uint64_t opened = 0;
  std::uint64_t inside = 0;
  std::uint64_t knocks = 0;

  static constexpr Statistic<GateStats> kStatistics[] = {
      {&GateStats::opened, {.redis = "doors_opened", .memcached = "openings"}},
      {&GateStats::inside, {.redis = "people"}},
      {&GateStats::knocks, {}},
  };
};

TEST(ForeignPageTest, HasLinesInTheirOrderAndTheRestAtTheEnd) {
  ForeignPage page(&StatText::redis);
  page.Know(GateStats{1, 2, 3});
  page.Say("before", "x");
  page.Place({"people"});
  page.Say("after", "y");
  EXPECT_EQ(page.Take(),
            (Fields{{"before", "x"}, {"people", "2"}, {"after", "y"}, {"doors_opened", "1"}}));
  ForeignPage other(&StatText::memcached);
  other.Know(GateStats{1, 2, 3});
  EXPECT_EQ(other.Take(), (Fields{{"openings", "1"}}));
}

class InfoReportTest : public ::testing::Test {
 protected:
  InfoReportTest() {
    config_.name = "n1";
    config_.memory_bytes = std::size_t{256} << 20;
    config_.connections_max = 100;
    node_.now = 90'061'000;
    node_.started = 0;
    node_.clients = 3;
    node_.used_bytes_peak = 2 << 20;
    node_.resident_bytes = 3 << 20;
    node_.figures.commands.resize(CommandTable::Get().commands().size());
    node_.figures.storage.bytes_used = 1 << 20;
  }

  CommandCounts& Counts(std::string_view name) {
    return node_.figures.commands[CommandTable::Get().Find(name)->index];
  }
  std::string Info(const std::string& section, const std::string& name) {
    return Value(InfoFields(node_, section), name);
  }
  std::string Memcached(const std::string& name) { return Value(MemcachedFields(node_), name); }

  static std::string Value(const Fields& fields, const std::string& name) {
    EXPECT_EQ(std::count_if(fields.begin(), fields.end(),
                            [&name](const auto& field) { return field.first == name; }),
              1)
        << name;
    for (const auto& [field, value] : fields) {
      if (field == name) return value;
    }
    return "";
  }

  Config config_;
  Identity identity_;
  SnapshotStats snapshot_;
  InfoSource node_{.config = config_, .identity = identity_, .snapshot = snapshot_};
};

// Every number that Redis, or memcached, has a name for is on its page: with its value, once.
template <Described Stats>
void ExpectNamed(const Fields& fields, std::string_view StatText::*name, const Stats& stats) {
  for (const Statistic<Stats>& row : Stats::kStatistics) {
    const std::string wanted(row.text.*name);
    if (wanted.empty()) continue;
    std::vector<std::string> values;
    for (const auto& [field, value] : fields) {
      if (field == wanted) values.push_back(value);
    }
    EXPECT_EQ(values, std::vector<std::string>{std::to_string(stats.*row.field)}) << wanted;
  }
}

template <Described Stats>
void NumberAll(std::uint64_t& next, Stats& stats) {
  for (const Statistic<Stats>& row : Stats::kStatistics) stats.*row.field = next++;
}

TEST_F(InfoReportTest, ForeignNamesOfNumbersAreOnTheirPages) {
  std::uint64_t next = 1000;
  NumberAll(next, node_.figures.storage);
  NumberAll(next, node_.figures.server);
  ExpectNamed(InfoFields(node_, "stats"), &StatText::redis, node_.figures.storage);
  ExpectNamed(InfoFields(node_, "stats"), &StatText::redis, node_.figures.server);
  ExpectNamed(MemcachedFields(node_), &StatText::memcached, node_.figures.storage);
  ExpectNamed(MemcachedFields(node_), &StatText::memcached, node_.figures.server);
}

// Clients cut the pages by their names: the order is Redis's, and memcached's.
TEST_F(InfoReportTest, TheOrderOfStats) {
  const auto names = [](const Fields& fields) {
    std::vector<std::string> names;
    for (const auto& [name, value] : fields) names.push_back(name);
    return names;
  };
  EXPECT_EQ(names(InfoFields(node_, "stats")),
            (std::vector<std::string>{"total_connections_received",
                                      "total_commands_processed",
                                      "instantaneous_ops_per_sec",
                                      "total_net_input_bytes",
                                      "total_net_output_bytes",
                                      "instantaneous_input_kbps",
                                      "instantaneous_output_kbps",
                                      "rejected_connections",
                                      "sync_full",
                                      "sync_partial_ok",
                                      "sync_partial_err",
                                      "expired_keys",
                                      "evicted_keys",
                                      "keyspace_hits",
                                      "keyspace_misses",
                                      "pubsub_channels",
                                      "pubsub_patterns",
                                      "latest_fork_usec",
                                      "total_forks",
                                      "migrate_cached_sockets",
                                      "slave_expires_tracked_keys",
                                      "active_defrag_hits",
                                      "active_defrag_misses",
                                      "active_defrag_key_hits",
                                      "active_defrag_key_misses",
                                      "total_error_replies"}));
  const std::vector<std::string> memcached = names(MemcachedFields(node_));
  EXPECT_EQ(std::set<std::string>(memcached.begin(), memcached.end()).size(), memcached.size());
  EXPECT_EQ(memcached.front(), "pid");
  EXPECT_EQ(memcached.back(), "reclaimed");
}

// Redis's tools ask for these whether or not they are in use.
TEST_F(InfoReportTest, WhatANodeHasNotIsNoneOrNever) {
  for (const char* none :
       {"used_memory_scripts", "mem_not_counted_for_evict", "mem_clients_slaves"}) {
    EXPECT_EQ(Info("memory", none), "0") << none;
  }
  for (const char* never : {"rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec",
                            "aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"}) {
    EXPECT_EQ(Info("persistence", never), "-1") << never;
  }
  for (const char* none :
       {"repl_backlog_size", "repl_backlog_first_byte_offset", "repl_backlog_histlen"}) {
    EXPECT_EQ(Info("replication", none), "0") << none;
  }
  EXPECT_EQ(Info("replication", "second_repl_offset"), "-1");
  EXPECT_EQ(Info("server", "executable").front(), '/');
}

// How the last save, or the last rewrite, went: there was none.
TEST_F(InfoReportTest, NoOutcomeIsInvented) {
  for (const auto& [name, value] : InfoFields(node_, "persistence")) {
    EXPECT_EQ(name.find("_status"), std::string::npos) << name << ":" << value;
  }
}

TEST_F(InfoReportTest, Sections) {
  for (const char* section :
       {"server", "clients", "memory", "persistence", "stats", "replication", "cpu"}) {
    EXPECT_FALSE(InfoFields(node_, section).empty()) << section;
  }
  EXPECT_EQ(InfoFields(node_, "nothing"), Fields{});
  EXPECT_EQ(Info("server", "node_name"), "n1");
  EXPECT_EQ(Info("server", "uptime_in_seconds"), "90061");
  EXPECT_EQ(Info("server", "uptime_in_days"), "1");
  EXPECT_EQ(Info("clients", "connected_clients"), "3");
  EXPECT_EQ(Info("memory", "used_memory_human"), "1.00M");
  EXPECT_EQ(Info("memory", "used_memory_peak_perc"), "50.00%");
  EXPECT_EQ(Info("memory", "mem_fragmentation_ratio"), "3.00");
  EXPECT_EQ(Info("memory", "maxmemory_human"), "256.00M");
  node_.usage.ru_utime = {.tv_sec = 12, .tv_usec = 345};
  EXPECT_EQ(Info("cpu", "used_cpu_user"), "12.000345");
}

TEST_F(InfoReportTest, Commands) {
  Counts("get") = {.calls = 4, .nanoseconds = 8000, .rejected = 1, .errors = 2};
  EXPECT_EQ(InfoFields(node_, "commandstats"),
            (Fields{{"cmdstat_get",
                     "calls=4,usec=8,usec_per_call=2.00,rejected_calls=1,failed_calls=2"}}));
  EXPECT_EQ(Info("stats", "total_error_replies"), "3");
}

TEST_F(InfoReportTest, MemcachedAddsCommandsUp) {
  node_.figures.storage.hits = 5;
  node_.figures.storage.misses = 2;
  Counts("mc.set").calls = 3;
  Counts("set").calls = 4;
  Counts("mc.touch") = {.found = 1, .missing = 2};
  Counts("mc.gat") = {.found = 10, .missing = 20};
  Counts("mc.cas").mismatched = 6;
  EXPECT_EQ(Memcached("cmd_get"), "7");
  EXPECT_EQ(Memcached("cmd_set"), "7");
  EXPECT_EQ(Memcached("cmd_touch"), "33");
  EXPECT_EQ(Memcached("touch_hits"), "11");
  EXPECT_EQ(Memcached("cas_badval"), "6");
  EXPECT_EQ(Memcached("limit_maxbytes"), std::to_string(256 << 20));
}

TEST_F(InfoReportTest, MemcachedSlabsAreThoseWithPages) {
  const Fields fields = MemcachedSlabs(
      {{.slot_bytes = 64, .slots_a_page = 10, .page_bytes = 1000, .pages = 0, .slots_used = 0},
       {.slot_bytes = 128, .slots_a_page = 5, .page_bytes = 1000, .pages = 2, .slots_used = 7}});
  EXPECT_EQ(fields, (Fields{{"2:chunk_size", "128"},
                            {"2:chunks_per_page", "5"},
                            {"2:total_pages", "2"},
                            {"2:total_chunks", "10"},
                            {"2:used_chunks", "7"},
                            {"2:free_chunks", "3"},
                            {"active_slabs", "1"},
                            {"total_malloced", "2000"}}));
}

TEST_F(InfoReportTest, MemcachedConnectionsAreItsOwn) {
  SessionRegistry sessions;
  Session redis;
  redis.id = sessions.NextId();
  sessions.Add(redis);
  Session memcached;
  memcached.id = sessions.NextId();
  memcached.protocol = Protocol::kMemcached;
  memcached.peer_address = "127.0.0.1:1";
  memcached.local_address = "127.0.0.1:2";
  memcached.last_active_ms = 4000;
  sessions.Add(memcached);
  const std::string id = std::to_string(memcached.id);
  EXPECT_EQ(MemcachedConnections(sessions, 9500), (Fields{{id + ":addr", "tcp:127.0.0.1:1"},
                                                          {id + ":listen_addr", "tcp:127.0.0.1:2"},
                                                          {id + ":secs_since_last_cmd", "5"}}));
  sessions.Remove(redis);
  sessions.Remove(memcached);
}

}  // namespace
}  // namespace gyre
