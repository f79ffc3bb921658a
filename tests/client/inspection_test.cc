// The pure parts of the operator's looks at the ring: pipe, bigkeys, hotkeys, plan, stat, latency,
// config, support-bundle.
#include <gmock/gmock.h>

#include <numeric>

#include "client/shell/big_keys.h"
#include "client/shell/hot_keys.h"
#include "client/shell/latency.h"
#include "client/shell/node_config.h"
#include "client/shell/pipe.h"
#include "client/shell/plan.h"
#include "client/shell/ring_config.h"
#include "client/shell/stat.h"
#include "client/shell/support_bundle.h"
#include "client/shell/tar_archive.h"

namespace gyre::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// ---- pipe --------------------------------------------------------------------------------------

struct Parsed {
  std::vector<Command> commands;
  std::vector<std::string> errors;
  std::string end;  // what made it stop
};

Parsed ParseInPieces(std::string_view bytes, std::size_t piece) {
  PipeParser parser;
  Parsed parsed;
  const auto take = [&] {
    while (parsed.end.empty()) {
      Result<std::optional<PipeParser::Item>> next = parser.Next();
      if (!next) {
        parsed.end = next.error().message;
        return;
      }
      if (!*next) return;
      if ((*next)->error) {
        parsed.errors.push_back((*next)->error->message);
      } else if (!(*next)->command.empty()) {
        parsed.commands.push_back((*next)->command);
      }
    }
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    parser.Feed(bytes.substr(at, piece));
    take();
  }
  parser.End();
  take();
  if (parsed.end.empty()) {
    EXPECT_EQ(parser.bytes(), bytes.size());
  }
  return parsed;
}

TEST(PipeParserTest, LinesAndArraysInPiecesOfAnySize) {
  const std::string binary = std::string("SET k \"a b\"\r\n# nothing\n\nget k\n") +
                             std::string("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$5\r\n\r\n\0x*\r\n", 31) +
                             "GET 'open\n*1\r\n$4\r\nPING\r\nget last";
  for (std::size_t piece = 1; piece <= binary.size(); ++piece) {
    const Parsed parsed = ParseInPieces(binary, piece);
    EXPECT_THAT(parsed.commands, ElementsAre(Command{"SET", "k", "a b"}, Command{"get", "k"},
                                             Command{"SET", "b", std::string("\r\n\0x*", 5)},
                                             Command{"PING"}, Command{"get", "last"}))
        << piece;
    EXPECT_THAT(parsed.errors, ElementsAre(HasSubstr("does not end"))) << piece;
    EXPECT_EQ(parsed.end, "") << piece;
  }
}

TEST(PipeParserTest, WhatIsNoRespEndsIt) {
  for (const char* bad : {"*x\r\nGET k\n", "*1\r\n+OK\r\n", "*1\r\n$-1\r\n", "*99999999999\r\n",
                          "*1\r\n$4\r\nPI", "*1\r\n$3\r\nPING\r\n", "*1\r\n$999999999999\r\n"}) {
    EXPECT_THAT(ParseInPieces(bad, 3).end, HasSubstr("not")) << bad;
    EXPECT_THAT(ParseInPieces(bad, 3).commands, IsEmpty()) << bad;
  }
}

// ---- bigkeys -----------------------------------------------------------------------------------

TEST(BigKeysTest, KeepsTheLargestAndCountsAll) {
  BigKeys found(3);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    found.Add({"key:" + std::to_string(i), i % 2 == 0 ? "string" : "hash", (i * 7919) % 1000});
  }
  EXPECT_EQ(found.keys(), 1000u);
  EXPECT_EQ(found.bytes(), 999u * 1000 / 2);
  EXPECT_EQ(found.types().at("hash").keys, 500u);
  const std::vector<BigKeys::Key> largest = found.Largest();
  ASSERT_THAT(largest, SizeIs(3));
  EXPECT_EQ(largest[0].bytes, 999u);
  EXPECT_EQ(largest[2].bytes, 997u);
  // Told twice, it is listed once.
  found.Add({"huge", "string", 5000});
  found.Add({"huge", "string", 5000});
  EXPECT_EQ(found.Largest()[0].key, "huge");
  EXPECT_EQ(found.Largest()[1].bytes, 999u);
}

// ---- hotkeys -----------------------------------------------------------------------------------

Value HotKeyReply(const std::string& key, std::int64_t rate, bool whole) {
  Value reply;
  reply.kind = Value::Kind::kArray;
  for (int i = 0; i < 3; ++i) reply.elements.emplace_back();
  reply.elements[0].kind = Value::Kind::kBulk;
  reply.elements[0].text = key;
  reply.elements[1].integer = rate;
  reply.elements[2].integer = whole ? 1 : 0;
  return reply;
}

TEST(HotKeysTest, TheHottestOfAllNodesFirst) {
  std::vector<NodeStatus> nodes(3);
  nodes[0].name = "n1";
  nodes[1].name = "n2";
  std::vector<std::optional<Value>> replies(3);
  replies[0].emplace().elements = {HotKeyReply("a", 50, true), HotKeyReply("b", 10, true)};
  replies[1].emplace().elements = {HotKeyReply("c", 20, false), Value{}};
  const std::vector<HotKey> hot = MergeHotKeys(nodes, replies);
  ASSERT_THAT(hot, SizeIs(3));
  EXPECT_EQ(hot[0].key, "a");
  EXPECT_EQ(hot[1].key, "c");
  EXPECT_EQ(ToJson(hot[1]),
            Json({{"key", "c"}, {"whole", false}, {"node", "n2"}, {"calls_per_second", 20.0}}));
}

// ---- plan --------------------------------------------------------------------------------------

std::vector<PlannedMember> Members(int count) {
  std::vector<PlannedMember> members;
  for (int i = 0; i < count; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    bytes.fill(static_cast<std::uint8_t>(37 * i + 11));
    members.push_back({"n" + std::to_string(i + 1), {NodeIdFromRandom(bytes), "", 1}});
  }
  return members;
}

template <typename Field>
std::uint64_t Sum(const Plan& plan, Field field) {
  return std::accumulate(
      plan.nodes.begin(), plan.nodes.end(), std::uint64_t{0},
      [field](std::uint64_t sum, const PlannedNode& node) { return sum + node.*field; });
}

TEST(PlanTest, ANewNodeTakesItsShareAndNothingElseMoves) {
  const Plan plan = MakePlan(Members(4), Members(5), 2, 1024);
  EXPECT_EQ(plan.copies, 2048u);
  EXPECT_EQ(Sum(plan, &PlannedNode::owned_before), 1024u);
  EXPECT_EQ(Sum(plan, &PlannedNode::owned_after), 1024u);
  EXPECT_EQ(Sum(plan, &PlannedNode::held_before), 2048u);
  EXPECT_EQ(Sum(plan, &PlannedNode::held_after), 2048u);
  EXPECT_EQ(Sum(plan, &PlannedNode::fetched), plan.copies_moved);
  EXPECT_EQ(Sum(plan, &PlannedNode::dropped), plan.copies_moved);
  const PlannedNode& fresh = plan.nodes[4];
  EXPECT_EQ(fresh.name, "n5");
  EXPECT_EQ(fresh.held_before, 0u);
  EXPECT_EQ(fresh.fetched, fresh.held_after);
  EXPECT_NEAR(static_cast<double>(fresh.held_after), 2048.0 / 5, 100);
  EXPECT_LT(plan.copies_moved, 2048u * 3 / 10);
}

TEST(PlanTest, WhatLeavesIsFetchedByTheOthers) {
  const Plan plan = MakePlan(Members(4), Members(3), 2, 256);
  const PlannedNode& gone = plan.nodes[3];
  EXPECT_EQ(gone.held_after, 0u);
  EXPECT_EQ(gone.dropped, gone.held_before);
  EXPECT_GE(plan.copies_moved, gone.held_before);
  // With as many copies as nodes, there is nobody to take one.
  const Plan fewer = MakePlan(Members(2), Members(1), 2, 256);
  EXPECT_EQ(fewer.copies, 256u);
  EXPECT_EQ(fewer.copies_moved, 0u);
}

TEST(PlanTest, NoChangeMovesNothing) {
  const Plan plan = MakePlan(Members(3), Members(3), 2, 256);
  EXPECT_EQ(plan.copies_moved, 0u);
  EXPECT_EQ(plan.owners_moved, 0u);
}

// ---- stat --------------------------------------------------------------------------------------

TEST(StatTest, ALineOfTheRing) {
  TopSample before;
  before.at = std::chrono::steady_clock::time_point(std::chrono::seconds(10));
  NodeStatus node;
  node.name = node.id = "n1";
  node.state = "alive";
  node.answered = true;
  node.memory_used = 1 << 20;
  node.memory_limit = 4 << 20;
  node.connections = 3;
  before.status.nodes = {node, node};
  before.status.nodes[1].id = "n2";
  before.counts.resize(2);
  for (NodeCounts& counts : before.counts) {
    counts.answered = true;
    counts.uptime_seconds = 100;
  }
  TopSample now = before;
  now.at += std::chrono::seconds(2);
  for (NodeCounts& counts : now.counts) {
    counts.uptime_seconds = 102;
    counts.hits = 90;
    counts.misses = 10;
    counts.commands["get"].calls = 100;
  }
  const Json stat = StatJson(before, now, 12345);
  EXPECT_EQ(stat["keys"], 12345);
  EXPECT_EQ(stat["memory_used_bytes"], 2 << 20);
  EXPECT_EQ(stat["clients"], 6);
  EXPECT_EQ(stat["ops_per_second"], 100);
  EXPECT_EQ(stat["hit_ratio"], 0.9);
  EXPECT_EQ(stat["nodes_answered"], 2);
  EXPECT_LT(StatHeader().size(), 81u);
  EXPECT_EQ(StatLine(stat).find("  2/2"), StatHeader().find("  NODES"));
  EXPECT_THAT(StatLine(stat), HasSubstr("2.0 MiB/8.0 MiB"));
  EXPECT_THAT(StatLine(stat), HasSubstr("90.0%"));
  EXPECT_THAT(StatLine(StatJson(before, before, std::nullopt)), HasSubstr(" - "));
}

// ---- latency -----------------------------------------------------------------------------------

TEST(LatencyTest, ATableAndAHistogram) {
  std::vector<NodeLatency> nodes(2);
  nodes[0].name = "n1";
  nodes[0].min_ns = 100'000;
  nodes[0].round_trip_ns.Record(100'000, 75);
  nodes[0].round_trip_ns.Record(900'000, 25);
  nodes[1].name = "n2";
  nodes[1].lost = 4;
  const std::string utf8 = DrawLatency(nodes, {.unicode = true});
  EXPECT_THAT(utf8, HasSubstr("n1      100     0"));
  EXPECT_THAT(utf8, HasSubstr("n2        0     4      -"));
  EXPECT_THAT(utf8, HasSubstr("up to   0.1ms  75.0% ████"));
  EXPECT_THAT(utf8, HasSubstr("up to   1.0ms  25.0% ████"));
  EXPECT_THAT(DrawLatency(nodes, {}), HasSubstr("25.0% ####"));
  const Json document = LatencyJson(nodes, 5);
  EXPECT_EQ(document["nodes"][0]["pings"], 100);
  EXPECT_EQ(document["nodes"][0]["min_us"], 100);
  EXPECT_NEAR(document["nodes"][0]["p99_us"].get<double>(), 900, 30);
  EXPECT_TRUE(document["nodes"][1]["p50_us"].is_null());
}

TEST(HistogramCountTest, UpTo) {
  Histogram histogram;
  histogram.Record(10, 3);
  histogram.Record(1000, 2);
  EXPECT_EQ(histogram.CountUpTo(9), 0u);
  EXPECT_EQ(histogram.CountUpTo(10), 3u);
  EXPECT_EQ(histogram.CountUpTo(500), 3u);
  EXPECT_EQ(histogram.CountUpTo(1000), 5u);
  EXPECT_EQ(histogram.CountUpTo(1 << 30), 5u);
}

// ---- config ------------------------------------------------------------------------------------

TEST(ConfigRowsTest, SaysWhereValuesComeFrom) {
  const ParametersOfNodes values = {{"n1", {{"A", "1"}, {"b", "2"}}},
                                    {"n2", {{"A", "1"}, {"b", "2"}}}};
  const auto sources = [](const std::string& of_a) {
    return ReadSources(R"({"parameters":[{"name":"a","source":")" + of_a +
                       R"("},{"name":"b","source":"flag"},{"name":3},7]})");
  };
  std::vector<ConfigRow> rows =
      ConfigRows(values, {{"n1", sources("ring")}, {"n2", sources("ring")}});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].source, "ring");
  EXPECT_EQ(rows[1].source, "flag");
  rows = ConfigRows(values, {{"n1", sources("ring")}, {"n2", sources("set")}});
  ASSERT_EQ(rows.size(), 3U) << "the same by chance, or for now";
  EXPECT_EQ(rows[1].nodes + rows[1].source, "n2set");
  rows = ConfigRows(values, {{"n1", sources("ring")}});
  EXPECT_EQ(rows[1].source, "") << "of an older release";
  EXPECT_TRUE(ReadSources("[]").empty());
  EXPECT_TRUE(ReadSources("{").empty());
}

RingAnswer Answer(const std::string& node, const std::string& parameters) {
  return *ReadRingAnswer(node, R"({"digest":"ab","parameters":[)" + parameters + "]}");
}
std::string Said(const std::string& name, int at, const std::string& more) {
  return R"({"name":")" + name + R"(","value":"v)" + std::to_string(at) +
         R"(","set_by":"id1","set_at_ms":)" + std::to_string(at) + R"(,"set_count":0,)" + more +
         "}";
}

TEST(RingConfigRowsTest, TheNewestAndHowFarItHasCome) {
  const std::string applied = R"("standing":"applied")";
  const std::vector<RingAnswer> answers = {
      Answer("n1", Said("a", 5, applied) + "," + Said("b", 5, applied) + "," +
                       Said("c", 5, R"("standing":"refused","reason":"too little")")),
      Answer("n2", Said("a", 5, applied) + "," + Said("b", 4, applied) + "," +
                       Said("c", 5, R"("standing":"overridden","value_here":"7s")")),
      RingAnswer{"n3", "it is dead: nothing was asked of it", {}, {}}};
  const std::vector<RingConfigRow> rows = RingConfigRows(answers);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].nodes, "all 2");
  EXPECT_TRUE(rows[0].everywhere);
  EXPECT_EQ(rows[1].newest.value, "v5");
  EXPECT_EQ(rows[1].nodes, "n2: not yet");
  EXPECT_EQ(rows[2].nodes, "n1: refused: too little; n2: CONFIG SET there: 7s");
  EXPECT_FALSE(rows[2].everywhere);
}

TEST(RingConfigRowsTest, AnswersThatMakeNoSense) {
  for (const char* text : {"", "[]", "{}", R"({"parameters":7})", R"({"parameters":[7]})"}) {
    EXPECT_FALSE(ReadRingAnswer("n1", text)) << text;
  }
  EXPECT_TRUE(ReadRingAnswer("n1", R"({"parameters":[{"name":7,"set_at_ms":-1}]})"));
}

TEST(ConfigRowsTest, OneRowWhereAllAgree) {
  const std::vector<ConfigRow> rows = ConfigRows(
      {{"n1", {{"a", "1"}, {"b", "x"}, {"new", "1"}}}, {"n2", {{"a", "1"}, {"b", "y"}}}});
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_EQ(rows[0].nodes, "all 2");
  EXPECT_EQ(rows[1].nodes, "n1");
  EXPECT_EQ(rows[2].value, "y");
  EXPECT_EQ(rows[3].nodes, "n1") << "the other has no such parameter";
  EXPECT_EQ(ConfigRows({{"n1", {{"a", "1"}}}})[0].nodes, "n1");
}

// ---- support-bundle ----------------------------------------------------------------------------

TEST(SupportBundleTest, WhatMayBeASecret) {
  for (const char* secret :
       {"gossip-key", "requirepass", "masterauth", "TLS-KEY-FILE", "api_token"}) {
    EXPECT_TRUE(IsSecretParameter(secret)) << secret;
  }
  for (const char* open : {"maxmemory", "replicas", "zone", "name"}) {
    EXPECT_FALSE(IsSecretParameter(open)) << open;
  }
}

TEST(TarArchiveTest, Crc32IsThatOfGzip) { EXPECT_EQ(Crc32("123456789"), 0xcbf43926U); }

TEST(TarArchiveTest, LayoutOfTheContainer) {
  TarArchive archive(1000);
  archive.Add("folder/a.txt", std::string(70000, 'a'));  // more than a stored block takes
  archive.Add("empty", "");
  const std::string gz = archive.Finish();
  EXPECT_EQ(gz.substr(0, 3), "\x1f\x8b\x08");
  // Two headers, 137 blocks of content, two blocks of zeros; two stored blocks of 5 more bytes.
  constexpr std::size_t kTar = (1 + 137 + 1 + 2) * 512;
  EXPECT_EQ(gz.size(), 10 + kTar + 2 * 5 + 8);
  EXPECT_EQ(gz.substr(15, 12), "folder/a.txt");
}

}  // namespace
}  // namespace gyre::client
