// Commands on the connection, the node and the ring.

#include <gtest/gtest.h>

#include <set>

#include "command/command_fixture.h"
#include "command/command_table.h"
#include "command/slot_ranges.h"
#include "proto_gen/cluster.pb.h"

namespace gyre::testing {
namespace {

class NodeCommandTest : public CommandTest {
 protected:
  // On the native port.
  std::string Operator(const std::string& line) {
    return TextOf(cluster_.RunAs(0, node().operator_client, Words(line)));
  }
  void ExpectOperator(const std::vector<Line>& lines) {
    for (const Line& line : lines) EXPECT_EQ(Operator(line.command), line.expected) << line.command;
  }
};

TEST_F(NodeCommandTest, TheConnection) {
  Expect({{"PING", "PONG"},
          {"PING hello", "\"hello\""},
          {"ECHO hello", "\"hello\""},
          {"SELECT 0", "OK"},
          {"SELECT x", "invalid_argument: value is not an integer or out of range"},
          {"AUTH default whatever", "OK"},
          {"AUTH other x",
           "not_allowed: WRONGPASS invalid username-password pair or user is disabled."},
          {"AUTH a b c", "invalid_argument: syntax error"},
          {"READONLY", "not_allowed: This instance has cluster support disabled"},
          {"CLUSTER INFO", "not_allowed: This instance has cluster support disabled"},
          {"CLUSTER FOO", "invalid_argument: unknown subcommand 'FOO'. Try CLUSTER HELP."},
          {"QUIT", "OK"}});
  EXPECT_TRUE(node().client.close_after_reply);
  EXPECT_TRUE(Text("AUTH secret").starts_with("not_allowed: AUTH <password> called without"));
}

TEST_F(NodeCommandTest, AfterARefusedSelectNothingIsWritten) {
  Expect({{"SELECT 1", "invalid_argument: DB index is out of range"}});
  for (const char* line : {"SET k v", "GET k", "PING", "INFO", "DBSIZE"}) {
    EXPECT_TRUE(Text(line).starts_with("not_allowed: DB index is out of range")) << line;
  }
  Expect({{"SELECT 0", "OK"},
          {"GET k", "nil"},
          {"SELECT 1", "invalid_argument: DB index is out of range"},
          {"RESET", "(RESET)"},
          {"GET k", "nil"}});
}

TEST_F(NodeCommandTest, Advise) {
  EXPECT_TRUE(Text("ADVISE").starts_with("unknown_command")) << "the operator's alone";
  EXPECT_EQ(Operator("ADVISE"), "\"{\"advised_nodes\":3}\"");
}

TEST_F(NodeCommandTest, HotKeys) {
  EXPECT_TRUE(Text("HOTKEYS").starts_with("unknown_command")) << "the operator's alone";
  EXPECT_EQ(Operator("HOTKEYS"), "[]");
  node().report.hot_keys = {{1, "item:17", true, 4100.4}, {2, "long", false, 12}};
  EXPECT_EQ(Operator("HOTKEYS"), "[[\"item:17\", 4100, 1], [\"long\", 12, 0]]");
}

TEST_F(NodeCommandTest, RepliesCanBeSwitchedOff) {
  Run("CLIENT REPLY OFF");
  EXPECT_TRUE(node().client.mute());
  Expect({{"CLIENT REPLY ON", "OK"}, {"CLIENT REPLY WHAT", "invalid_argument: syntax error"}});
  EXPECT_FALSE(node().client.mute());
  Run("CLIENT REPLY SKIP");
  EXPECT_EQ(node().client.replies_skipped, 2) << "its own and the next";
  const Reply refused = cluster_.RunAs(0, node().peer, {"CLIENT", "REPLY", "OFF"});
  EXPECT_EQ(refused.error, ErrorCode::kNotAllowed) << "native replies carry numbers";
}

TEST_F(NodeCommandTest, ContainersExplainThemselves) {
  for (const char* container : {"CLIENT", "CONFIG", "COMMAND", "OBJECT"}) {
    const Reply help = Run(std::string(container) + " HELP");
    ASSERT_GT(help.elements.size(), 4U) << container;
    EXPECT_TRUE(help.elements[0].bytes.starts_with(std::string(container) + " <subcommand>"));
    EXPECT_EQ(Run(std::string(container) + " HELP x").kind, Reply::Kind::kError);
  }
}

TEST_F(NodeCommandTest, HelloChoosesTheProtocol) {
  const std::string greeting = Text("HELLO 3 SETNAME me");
  EXPECT_TRUE(greeting.starts_with("{\"server\": \"redis\", \"version\": \"7.")) << greeting;
  EXPECT_NE(
      greeting.find("\"proto\": 3, \"id\": 1, \"mode\": \"standalone\", \"role\": \"master\""),
      std::string::npos)
      << greeting;
  EXPECT_EQ(node().client.resp_version, 3);
  EXPECT_EQ(Text("CLIENT GETNAME"), "\"me\"");
  EXPECT_EQ(Text("RESET"), "(RESET)");
  EXPECT_EQ(node().client.resp_version, 2);
  Expect({{"CLIENT GETNAME", "nil"},
          {"HELLO 4", "invalid_argument: NOPROTO unsupported protocol version"},
          {"HELLO x", "invalid_argument: Protocol version is not an integer or out of range"},
          {"HELLO 3 FOO", "invalid_argument: Syntax error in HELLO option 'FOO'"}});
  EXPECT_EQ(Run("HELLO 3 AUTH other x").error, ErrorCode::kNotAllowed);
  EXPECT_EQ(node().client.resp_version, 2) << "a refused HELLO changes nothing";
  EXPECT_EQ(Run("HELLO 3 AUTH default x").kind, Reply::Kind::kList);
}

TEST_F(NodeCommandTest, Client) {
  Expect({{"CLIENT ID", "1"},
          {"CLIENT SETNAME me", "OK"},
          {"CLIENT GETNAME", "\"me\""},
          {"CLIENT SETNAME \"a b\"",
           "invalid_argument: Client names cannot contain spaces, newlines or special characters."},
          {"CLIENT SETINFO LIB-NAME redis-py", "OK"},
          {"CLIENT SETINFO lib-ver 4.3", "OK"},
          {"CLIENT SETINFO FOO 4.3", "invalid_argument: Unrecognized option 'FOO'"},
          {"CLIENT NO-EVICT ON", "OK"},
          {"CLIENT NO-TOUCH maybe", "invalid_argument: syntax error"},
          {"CLIENT FOO", "invalid_argument: unknown subcommand 'FOO'. Try CLIENT HELP."},
          {"CLIENT SETNAME",
           "invalid_argument: wrong number of arguments for 'client|setname' command"}});
  for (const char* line : {"CLIENT INFO", "CLIENT LIST", "CLIENT LIST TYPE normal"}) {
    const std::string text = Text(line);
    EXPECT_TRUE(text.starts_with("\"id=1 addr=127.0.0.1:50001 laddr=127.0.0.1:6301 name=me "))
        << text;
    EXPECT_NE(text.find(" lib-name=redis-py lib-ver=4.3\n"), std::string::npos) << text;
  }
}

TEST_F(NodeCommandTest, Info) {
  Run("SET k v");
  const std::string all = Run("INFO").bytes;
  EXPECT_TRUE(all.starts_with("# Server\r\nredis_version:7.0.15\r\n")) << all;
  EXPECT_NE(all.find("redis_mode:standalone\r\n"), std::string::npos);
  EXPECT_NE(all.find("\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n"), std::string::npos) << all;
  EXPECT_NE(all.find("# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0"), std::string::npos) << all;
  Run("SET e v EX 100");
  const std::string keyspace = Run("INFO keyspace").bytes;
  EXPECT_NE(keyspace.find("db0:keys=2,expires=1,avg_ttl=100000"), std::string::npos) << keyspace;
  EXPECT_EQ(all.find("Commandstats"), std::string::npos);
  EXPECT_EQ(Text("INFO cluster"), "\"# Cluster\r\ncluster_enabled:0\r\n\"");
  EXPECT_NE(Run("INFO everything").bytes.find("# Commandstats"), std::string::npos);
  EXPECT_EQ(Text("INFO nothing"), "\"\"");
  const Reply there = cluster_.RunAs(0, node().cluster_client, {"INFO"});
  EXPECT_NE(there.bytes.find("cluster_enabled:1\r\n"), std::string::npos);
  EXPECT_NE(there.bytes.find("redis_mode:cluster\r\n"), std::string::npos);
}

TEST_F(NodeCommandTest, Config) {
  Expect({{"CONFIG GET maxmemory", "{\"maxmemory\": \"1000\"}"},
          {"CONFIG GET * max*", "{\"log-level\": \"info\", \"maxmemory\": \"1000\"}"},
          {"CONFIG GET save", "{}"},
          {"CONFIG SET log-level debug", "OK"},
          {"CONFIG GET log-level", "{\"log-level\": \"debug\"}"},
          {"CONFIG SET foo 1", "invalid_argument: Unknown option 'foo'"},
          {"CONFIG SET log-level debug x",
           "invalid_argument: wrong number of arguments for 'config|set' command"},
          {"CONFIG RESETSTAT", "OK"}});
  EXPECT_EQ(node().report.resets, 1);
}

TEST_F(NodeCommandTest, CommandDescribesTheTable) {
  const Reply all = Run("COMMAND");
  EXPECT_EQ(Run("COMMAND COUNT").integer, static_cast<std::int64_t>(all.elements.size()));
  EXPECT_EQ(Run("COMMAND LIST").elements.size(), all.elements.size());
  EXPECT_EQ(Run("COMMAND DOCS").elements.size(), 2 * all.elements.size());
  for (const Reply& command : all.elements) {
    EXPECT_EQ(command.elements.size(), 10U);
    EXPECT_EQ(command.elements[0].bytes.find("gyre."), std::string::npos);
    EXPECT_EQ(command.elements[0].bytes.find("mc."), std::string::npos);
  }
  EXPECT_EQ(Text("COMMAND INFO get nothing mc.get"),
            "[[\"get\", 2, [(readonly), (fast)], 1, 1, 1, [(@read), (@string), (@fast)], [], "
            "[{\"flags\": [(RO), (access)], \"begin_search\": {\"type\": \"index\", \"spec\": "
            "{\"index\": 1}}, \"find_keys\": {\"type\": \"range\", \"spec\": {\"lastkey\": 0, "
            "\"keystep\": 1, \"limit\": 0}}}], []], nil, nil]");
  EXPECT_EQ(
      Text("COMMAND INFO object|help drain drain|help"),
      "[[\"object|help\", 2, [(loading), (stale)], 0, 0, 0, [(@keyspace), (@slow)], [], [], []], "
      "nil, nil]");
  Expect({{"COMMAND GETKEYS MSET a 1 b 2", "[\"a\", \"b\"]"},
          {"COMMAND GETKEYS GET a", "[\"a\"]"},
          {"COMMAND GETKEYS OBJECT ENCODING a", "[\"a\"]"},
          {"COMMAND GETKEYS OBJECT ENCODING a b",
           "invalid_argument: Invalid number of arguments specified for command"},
          {"COMMAND GETKEYS PING x", "invalid_argument: The command has no key arguments"},
          {"COMMAND GETKEYS GET",
           "invalid_argument: wrong number of arguments for 'command|getkeys' command"},
          {"COMMAND GETKEYS GET a b",
           "invalid_argument: Invalid number of arguments specified for command"},
          {"COMMAND GETKEYS FOO a", "invalid_argument: Invalid command specified"},
          {"COMMAND LIST FILTERBY PATTERN mset*", "[\"mset\", \"msetnx\"]"}});
  EXPECT_TRUE(Text("COMMAND DOCS get").starts_with("{\"get\": {\"summary\": "));
}

TEST_F(NodeCommandTest, TimeAndStatus) {
  EXPECT_EQ(Text("TIME"), "[\"1700000000\", \"0\"]");
  EXPECT_EQ(Text("STATUS"), "\"{\"name\":\"n1\"}\"");
}

TEST_F(NodeCommandTest, OperatorsAndNodesCommandsAreSeenOnlyWhereTheyBelong) {
  for (const std::string line :
       {"DRAIN n1", "REMOVE n1", "REBALANCE", "GYRE.FLUSH 0", "mc.get k"}) {
    EXPECT_EQ(Run(line).error, ErrorCode::kUnknownCommand) << line;
  }
  for (const std::string line : {"DRAIN n9", "REBALANCE"}) {
    EXPECT_EQ(Memcached(line), "unknown_command: " + Memcached(line).substr(17)) << line;
    EXPECT_NE(cluster_.RunAs(0, node().operator_client, Words(line)).error,
              ErrorCode::kUnknownCommand)
        << line;
  }
  EXPECT_EQ(cluster_.RunAs(0, node().operator_client, {"gyre.flush", "0"}).error,
            ErrorCode::kUnavailable)
      << "a client of the native port is no node";
  Session stranger;
  stranger.protocol = Protocol::kNative;
  stranger.peer.emplace().bytes[0] = 99;
  EXPECT_EQ(cluster_.RunAs(0, stranger, {"gyre.flush", "0"}).error, ErrorCode::kUnavailable)
      << "nor is a node that is no member";
  EXPECT_EQ(TextOf(cluster_.RunAs(0, node().peer, {"gyre.flush", "0"})), "OK");
}

TEST_F(NodeCommandTest, DrainAndRemove) {
  EXPECT_EQ(Operator("DRAIN n9"),
            "invalid_argument: no node has the name or id 'n9'; see the nodes with: gyre status");
  Request request;
  request.args = {"DRAIN", "n1"};
  const auto slot = node().Start(request, node().operator_client);
  EXPECT_FALSE(slot->finished());
  ASSERT_EQ(node().ring.drained.size(), 1U);
  EXPECT_EQ(node().ring.drained[0].first, node().info.id);
  node().ring.drained[0].second({});
  EXPECT_EQ(TextOf(slot->reply()), "OK");
  EXPECT_EQ(Operator("UNDRAIN n1"), "OK");
  EXPECT_EQ(node().ring.undrained, std::vector<NodeId>{node().info.id});
  EXPECT_EQ(Operator("REMOVE " + node().info.id.ToString()),
            "not_allowed: the node is alive; use drain");
  EXPECT_EQ(Operator("REMOVE " + node().info.id.ToRedisId()),
            "not_allowed: the node is alive; use drain");
}

TEST_F(NodeCommandTest, Rebalance) {
  ExpectOperator(
      {{"REBALANCE", "\"{\"paused\":false}\""},
       {"REBALANCE PAUSE", "OK"},
       {"REBALANCE STATUS", "\"{\"paused\":true}\""},
       {"rebalance resume", "OK"},
       {"REBALANCE", "\"{\"paused\":false}\""},
       {"REBALANCE LIMIT 5000000", "OK"},
       {"REBALANCE LIMIT fast",
        "invalid_argument: the limit is a number of bytes a second; 0 for none, default for each "
        "node's own --rebalance-limit"},
       {"REBALANCE LIMIT -1",
        "invalid_argument: the limit is a number of bytes a second; 0 for none, default for each "
        "node's own --rebalance-limit"},
       {"REBALANCE LIMIT",
        "invalid_argument: wrong number of arguments for 'rebalance|limit' command"},
       {"REBALANCE FASTER", "invalid_argument: unknown subcommand 'FASTER'. Try REBALANCE HELP."}});
  EXPECT_EQ(node().ring.rebalance.bytes_per_second, 5'000'000U);
  ExpectOperator({{"REBALANCE LIMIT 0", "OK"}});
  EXPECT_EQ(node().ring.rebalance.bytes_per_second, 0U);
  ExpectOperator({{"REBALANCE PAUSE", "OK"}, {"REBALANCE LIMIT default", "OK"}});
  EXPECT_EQ(node().ring.rebalance.bytes_per_second, std::nullopt);
  EXPECT_TRUE(node().ring.rebalance.paused) << "the limit alone";
}

TEST_F(NodeCommandTest, RingConfig) {
  ExpectOperator(
      {{"RINGCONFIG GET", "\"{\"ring\":\"*\"}\""},
       {"RINGCONFIG GET log*", "\"{\"ring\":\"log*\"}\""},
       {"RINGCONFIG SOURCES max*", "\"{\"sources\":\"max*\"}\""},
       {"ringconfig set log-level debug maxmemory 5", "[\"log-level\", \"maxmemory\"]"},
       {"RINGCONFIG UNSET maxmemory", "[\"maxmemory\"]"},
       {"RINGCONFIG SET log-level",
        "invalid_argument: wrong number of arguments for 'ringconfig|set' command"},
       {"RINGCONFIG SET log-level debug maxmemory",
        "invalid_argument: wrong number of arguments for 'ringconfig|set' command"},
       {"RINGCONFIG SET nothing 1", "invalid_argument: Unknown option 'nothing'"},
       {"RINGCONFIG UNSET a b c", "too_large: too many at once"},
       {"RINGCONFIG", "invalid_argument: wrong number of arguments for 'ringconfig' command"}});
  const std::vector<SettingChange>& changed = node().ring.changed;
  ASSERT_EQ(changed.size(), 3U);
  EXPECT_EQ(changed[0].name, "log-level");
  EXPECT_EQ(changed[1].value, "5");
  EXPECT_EQ(changed[2].value, std::nullopt);
  EXPECT_EQ(Run("RINGCONFIG GET").error, ErrorCode::kUnknownCommand) << "the native port alone";
}

TEST_F(NodeCommandTest, ConfigUnset) {
  EXPECT_EQ(Text("CONFIG UNSET log-level"), "OK");
  EXPECT_EQ(Text("CONFIG UNSET nothing"), "invalid_argument: Unknown option 'nothing'");
}

// ---- The ring -----------------------------------------------------------------------------------

class RingCommandTest : public ::testing::Test {
 protected:
  Reply Run(std::size_t index, const std::vector<std::string>& words) {
    return cluster_.RunAs(index, cluster_.node(index).cluster_client, words);
  }
  TestCluster cluster_{3};
};

TEST_F(RingCommandTest, ClusterSlotsCoversEachSlotOnce) {
  const Reply slots = Run(1, {"CLUSTER", "SLOTS"});
  EXPECT_EQ(slots.elements.size(), 16U);
  std::int64_t next = 0;
  for (const Reply& range : slots.elements) {
    ASSERT_EQ(range.elements.size(), 3U) << "masters only";
    EXPECT_EQ(range.elements[0].integer, next);
    next = range.elements[1].integer + 1;
    const PartitionId partition = static_cast<PartitionId>(range.elements[0].integer) / 1024;
    const MemberInfo& owner = cluster_.node(partition % 3).info;
    EXPECT_EQ(range.elements[2].elements[0].bytes, owner.host);
    EXPECT_EQ(range.elements[2].elements[1].integer, owner.resp_cluster_port);
    EXPECT_EQ(range.elements[2].elements[2].bytes, owner.id.ToRedisId());
  }
  EXPECT_EQ(next, kSlotCount);
}

TEST_F(RingCommandTest, ClusterShardsListsEachOwnerOnce) {
  const Reply shards = Run(0, {"CLUSTER", "SHARDS"});
  ASSERT_EQ(shards.elements.size(), 3U);
  std::int64_t slots = 0;
  std::set<std::int64_t> ports;
  for (const Reply& shard : shards.elements) {
    EXPECT_EQ(shard.shape, ListShape::kMap);
    EXPECT_EQ(shard.elements[0].bytes, "slots");
    const auto& ranges = shard.elements[1].elements;
    for (std::size_t i = 0; i + 1 < ranges.size(); i += 2) {
      slots += ranges[i + 1].integer - ranges[i].integer + 1;
    }
    ASSERT_EQ(shard.elements[3].elements.size(), 1U);
    ports.insert(shard.elements[3].elements[0].elements[3].integer);
  }
  EXPECT_EQ(slots, kSlotCount);
  EXPECT_EQ(ports, (std::set<std::int64_t>{7301, 7302, 7303}));
}

TEST_F(RingCommandTest, ClusterNodesHasALineEach) {
  const std::string nodes = Run(2, {"CLUSTER", "NODES"}).bytes;
  EXPECT_EQ(std::count(nodes.begin(), nodes.end(), '\n'), 3);
  const MemberInfo& me = cluster_.node(2).info;
  const std::string line =
      me.id.ToRedisId() +
      " 127.0.0.1:7303@7703 myself,master - 0 0 0 connected 2048-3071 5120-6143";
  EXPECT_NE(nodes.find(line), std::string::npos) << nodes;
  EXPECT_EQ(nodes.find("slave"), std::string::npos);
}

TEST_F(RingCommandTest, ClusterInfoSaysWhetherAllSlotsAreServed) {
  std::string info = Run(0, {"CLUSTER", "INFO"}).bytes;
  EXPECT_TRUE(info.starts_with("cluster_enabled:1\r\ncluster_state:ok\r\n")) << info;
  EXPECT_NE(info.find("cluster_size:3\r\n"), std::string::npos);
  cluster_.SetOwnerInView(3, kNoMember);
  cluster_.Publish();
  info = Run(0, {"CLUSTER", "INFO"}).bytes;
  EXPECT_NE(info.find("cluster_state:fail\r\ncluster_slots_assigned:15360\r\n"), std::string::npos)
      << info;
}

TEST_F(RingCommandTest, ClusterOnSlots) {
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "KEYSLOT", "foo"})), "12182");
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "KEYSLOT", "{foo}bar"})), "12182");
  EXPECT_EQ(Run(0, {"CLUSTER", "MYID"}).bytes, cluster_.node(0).info.id.ToRedisId());
  const std::string key = cluster_.KeyIn(0);
  const std::string slot = std::to_string(SlotOf(key));
  Run(0, {"SET", key, "v"});
  Run(0, {"SET", "{" + key + "}x", "v"});
  Run(0, {"SET", cluster_.KeyIn(0, 1), "v"});
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "COUNTKEYSINSLOT", slot})), "2");
  EXPECT_EQ(Run(0, {"CLUSTER", "GETKEYSINSLOT", slot, "10"}).elements.size(), 2U);
  EXPECT_EQ(Run(0, {"CLUSTER", "GETKEYSINSLOT", slot, "1"}).elements.size(), 1U);
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "GETKEYSINSLOT", slot, "0"})), "[]");
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "COUNTKEYSINSLOT", "16384"})),
            "invalid_argument: Invalid slot");
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "FOO"})),
            "invalid_argument: unknown subcommand 'FOO'. Try CLUSTER HELP.");
}

TEST_F(RingCommandTest, RingIsWhatTheClientLibraryReads) {
  cluster_.SetOwnerInView(5, kNoMember);
  cluster_.Publish();
  wire::RingView ring;
  ASSERT_TRUE(ring.ParseFromString(Run(0, {"RING"}).bytes));
  EXPECT_EQ(ring.partition_count(), TestCluster::kPartitions);
  EXPECT_EQ(ring.replicas(), 2U);
  EXPECT_NE(ring.digest(), 0U);
  ASSERT_EQ(ring.members_size(), 3);
  EXPECT_EQ(ring.members(1).name(), "n2");
  EXPECT_EQ(ring.members(1).port(), 7702U);
  const std::string& table = ring.holders();
  ASSERT_EQ(table.size(), TestCluster::kPartitions * 3U * 2U);
  const auto at = [&](PartitionId partition, int column) {
    const std::size_t i = (partition * 3 + column) * 2;
    return static_cast<unsigned char>(table[i]) | static_cast<unsigned char>(table[i + 1]) << 8;
  };
  EXPECT_EQ(at(4, 0), 1);  // the owner, then the other holder
  EXPECT_EQ(at(4, 1), 2);
  EXPECT_EQ(at(4, 2), 0xffff);
  EXPECT_EQ(at(5, 0), 0xffff);
}

TEST_F(RingCommandTest, LocateSaysWhereAKeyLives) {
  const std::string key = cluster_.KeyIn(4);
  EXPECT_EQ(TextOf(Run(0, {"LOCATE", key})),
            "{\"slot\": " + std::to_string(SlotOf(key)) +
                ", \"partition\": 4, \"owner\": \"n2\", \"owner_id\": \"" +
                cluster_.node(1).info.id.ToString() +
                "\", \"owner_address\": \"127.0.0.1:7702\", \"holders\": [\"n2\", \"n3\"]}");
}

TEST_F(RingCommandTest, BeforeTheFirstView) {
  cluster_.node(0).views.Publish(nullptr);
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "SLOTS"})), "[]");
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "SHARDS"})), "[]");
  EXPECT_EQ(TextOf(Run(0, {"CLUSTER", "NODES"})), "\"\"");
  EXPECT_NE(Run(0, {"CLUSTER", "INFO"}).bytes.find("cluster_state:fail"), std::string::npos);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"RING"}, {"LOCATE", "k"}, {"CLUSTER", "MYID"}}) {
    EXPECT_EQ(Run(0, words).error, ErrorCode::kUnavailable) << words[0];
  }
}

TEST(SlotRangesTest, RunsOfOneOwnerAreOneRange) {
  ClusterView view;
  view.partition_count = 8;
  view.owner = {0, 0, 1, kNoMember, 1, 1, 0, 0};
  EXPECT_EQ(
      SlotRangesOf(view),
      (std::vector<SlotRange>{{0, 4095, 0}, {4096, 6143, 1}, {8192, 12287, 1}, {12288, 16383, 0}}));
}

}  // namespace
}  // namespace gyre::testing
