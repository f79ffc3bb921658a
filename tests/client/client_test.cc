// The header must stand alone, so it comes first.
#include "gyre/client.h"

#include "client/fixture.h"

namespace gyre::client {
namespace {

class TypedCallTest : public ClientTest {
 protected:
  void SetUp() override { Connect(); }
};

TEST_F(TypedCallTest, SetThenGet) {
  const std::string binary("\0\r\n\xff", 4);
  EXPECT_TRUE(*client().Set("key", binary, {.flags = 7}));
  const auto record = client().Get("key");
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->value, binary);
  EXPECT_EQ((*record)->flags, 7u);
  EXPECT_GT((*record)->version, 0u);
}

TEST_F(TypedCallTest, AMissIsNothingNotAnError) {
  const auto record = client().Get("nothing");
  ASSERT_TRUE(record);
  EXPECT_FALSE(record->has_value());
}

TEST_F(TypedCallTest, ConditionsOfSet) {
  EXPECT_FALSE(*client().Set("k", "1", {.condition = SetOptions::Condition::kIfPresent}));
  EXPECT_TRUE(*client().Set("k", "1", {.condition = SetOptions::Condition::kIfAbsent}));
  EXPECT_FALSE(*client().Set("k", "2", {.condition = SetOptions::Condition::kIfAbsent}));
  EXPECT_TRUE(*client().Set("k", "3", {.condition = SetOptions::Condition::kIfPresent}));
  EXPECT_EQ(Read("k"), "3");
}

TEST_F(TypedCallTest, CompareAndSetWinsOnce) {
  ASSERT_TRUE(*client().Set("k", "old"));
  const std::uint64_t version = (**client().Get("k")).version;
  EXPECT_TRUE(*client().CompareAndSet("k", "mine", version));
  EXPECT_FALSE(*client().CompareAndSet("k", "theirs", version));
  EXPECT_FALSE(*client().CompareAndSet("gone", "x", version));
  EXPECT_EQ(Read("k"), "mine");
}

TEST_F(TypedCallTest, FlagsGoWithConditionsAndExpiry) {
  using Condition = SetOptions::Condition;
  EXPECT_FALSE(*client().Set("k", "1", {.condition = Condition::kIfPresent, .flags = 1}));
  EXPECT_TRUE(*client().Set("k", "1", {.condition = Condition::kIfAbsent, .flags = 1}));
  EXPECT_FALSE(*client().Set("k", "2", {.condition = Condition::kIfAbsent, .flags = 2}));
  EXPECT_TRUE(*client().Set("k", "3", {.ttl = 1001ms, .flags = 3}));
  EXPECT_EQ((**client().Get("k")).flags, 3u);
  EXPECT_EQ(client().Ttl("k")->left, 2000ms) << "whole seconds";
  const std::uint64_t version = (**client().Get("k")).version;
  EXPECT_TRUE(*client().CompareAndSet("k", "4", version, {.ttl = 5s, .flags = 4}));
  EXPECT_EQ((**client().Get("k")).flags, 4u);
  EXPECT_EQ(client().Ttl("k")->left, 5000ms);
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.keep_ttl = true, .flags = 1})),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().CompareAndSet("k", "v", 1, {.keep_ttl = true})),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().CompareAndSet("k", "v", 1, {.condition = Condition::kIfAbsent})),
            ErrorCode::kInvalidArgument);
}

TEST_F(TypedCallTest, CountersCount) {
  EXPECT_EQ(*client().Incr("n"), 1);
  EXPECT_EQ(*client().Incr("n", 41), 42);
  EXPECT_EQ(*client().Incr("n", -50), -8);
  ASSERT_TRUE(client().Set("text", "abc"));
  EXPECT_EQ(CodeOf(client().Incr("text")), ErrorCode::kWrongType);
}

TEST_F(TypedCallTest, AppendStrlenExistsDel) {
  EXPECT_EQ(*client().Append("k", "ab"), 2);
  EXPECT_EQ(*client().Append("k", "cd"), 4);
  EXPECT_EQ(*client().Strlen("k"), 4);
  EXPECT_TRUE(*client().Exists("k"));
  EXPECT_TRUE(*client().Touch("k"));
  EXPECT_TRUE(*client().Del("k"));
  EXPECT_FALSE(*client().Del("k"));
  EXPECT_FALSE(*client().Exists("k"));
  EXPECT_FALSE(*client().Touch("k"));
}

TEST_F(TypedCallTest, TimeToLive) {
  EXPECT_FALSE(client().Ttl("k")->exists);
  ASSERT_TRUE(client().Set("k", "v"));
  EXPECT_TRUE(client().Ttl("k")->exists);
  EXPECT_FALSE(client().Ttl("k")->left);
  EXPECT_TRUE(*client().Expire("k", 1500ms));
  EXPECT_EQ(client().Ttl("k")->left, 1500ms);
  ASSERT_TRUE(client().Set("k", "w", {.keep_ttl = true}));
  EXPECT_EQ(client().Ttl("k")->left, 1500ms);
  EXPECT_TRUE(*client().Persist("k"));
  EXPECT_FALSE(*client().Persist("k"));
  ASSERT_TRUE(client().Set("k", "v", {.ttl = 9s}));
  EXPECT_EQ(client().Ttl("k")->left, 9000ms);
}

TEST_F(TypedCallTest, OptionsThatMakeNoSenseAreRefusedHere) {
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.ttl = -1ms})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.ttl = 1ms, .keep_ttl = true})),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Expire("k", 0ms)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Execute({})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().ExecuteOn("::1", {"PING"})), ErrorCode::kInvalidArgument);
}

TEST_F(TypedCallTest, ExecuteGivesTheTree) {
  ASSERT_TRUE(client().Set("a", "1"));
  const Result<Value> keys = client().Execute({"KEYS", "*"});
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->kind, Value::Kind::kArray);
  EXPECT_EQ(keys->elements.at(0).text, "a");
  EXPECT_EQ(client().Execute({"PING"})->text, "PONG");
  EXPECT_EQ(CodeOf(client().Execute({"NOSUCH", "x"})), ErrorCode::kUnknownCommand);
}

TEST_F(TypedCallTest, ExecuteOnAsksThatNode) {
  const std::uint64_t before = cluster_.node(2).count("PING");
  EXPECT_TRUE(client().ExecuteOn(cluster_.node(2).address(), {"PING"}));
  EXPECT_EQ(cluster_.node(2).count("PING"), before + 1);
}

TEST_F(TypedCallTest, AcksAndDeadlineTravel) {
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v", {}, {.deadline = 5000ms, .write_acks = 2}));
  EXPECT_EQ(cluster_.node(1).last_write_acks(), 2u);
  EXPECT_LT(cluster_.node(1).last_deadline_ms(), 5000u) << "the node gives up a little earlier";
  EXPECT_GT(cluster_.node(1).last_deadline_ms(), 0u);
}

TEST_F(TypedCallTest, EachKeyGoesToItsOwner) {
  for (std::size_t node = 0; node < 3; ++node) {
    const std::uint64_t before = cluster_.node(node).count("GET");
    for (std::size_t i = 0; i < 10; ++i) Read(cluster_.KeyOwnedBy(node, i));
    EXPECT_EQ(cluster_.node(node).count("GET"), before + 10);
  }
  EXPECT_EQ(client().GetStats().stale_replies, 0u);
}

TEST_F(TypedCallTest, TheRingIsKnown) {
  const RingInfo ring = client().Ring();
  EXPECT_EQ(ring.partition_count, FakeCluster::kPartitions);
  ASSERT_EQ(ring.nodes.size(), 3u);
  EXPECT_EQ(ring.nodes[0].address, cluster_.node(0).address());
  const std::string key = cluster_.KeyOwnedBy(2);
  const KeyLocation location = client().Locate(key);
  ASSERT_EQ(location.holders.size(), 2u);
  EXPECT_EQ(location.holders[0], cluster_.node(2).address());
}

TEST_F(TypedCallTest, ALargeValueGoesThereAndBack) {
  std::string large(20 << 20, 'x');
  large[12345678] = 'y';
  ASSERT_TRUE(client().Set("large", large));
  EXPECT_EQ(Read("large"), large);
}

TEST_F(TypedCallTest, AMovedClientGoesOn) {
  Client moved = std::move(client());
  EXPECT_TRUE(moved.Set("k", "v"));
  client_.emplace(std::move(moved));
  EXPECT_EQ(Read("k"), "v");
}

class ConnectTest : public ClientTest {};

TEST_F(ConnectTest, OneSeedThatAnswersIsEnough) {
  cluster_.node(1).Kill();
  Options options = DefaultOptions();
  options.seeds = {cluster_.node(1).address(), cluster_.node(2).address()};
  Connect(options);
  EXPECT_EQ(client().Ring().nodes.size(), 3u);
}

TEST_F(ConnectTest, NamesAreResolved) {
  Options options = DefaultOptions();
  options.seeds = {"localhost:" + std::to_string(cluster_.node(0).port())};
  Connect(options);
  EXPECT_TRUE(client().Set("k", "v"));
}

TEST_F(ConnectTest, NobodyAnswers) {
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Kill();
  const Result<Client> client = Client::Connect(DefaultOptions());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kCannotConnect);
  EXPECT_NE(client.error().message.find(cluster_.node(0).address()), std::string::npos);
  EXPECT_NE(client.error().message.find("refused"), std::string::npos);
}

TEST_F(ConnectTest, ASeedThatIsSilentTimesOut) {
  cluster_.node(0).Pause();
  Options options = DefaultOptions();
  options.connect_timeout = options.deadline = 50ms;
  EXPECT_EQ(CodeOf(Client::Connect(options)), ErrorCode::kCannotConnect);
}

TEST_F(ConnectTest, ASeedOfAnotherProtocol) {
  Mischief babble;
  babble.bytes = "-ERR unknown command\r\n";
  cluster_.node(0).Misbehave("RING", babble);
  const Result<Client> client = Client::Connect(DefaultOptions());
  EXPECT_EQ(CodeOf(client), ErrorCode::kCannotConnect);
  EXPECT_NE(client.error().message.find("speaks Redis's protocol"), std::string::npos)
      << client.error().message;
}

TEST_F(ConnectTest, ARingThatMakesNoSense) {
  Mischief lie;
  lie.reply.emplace().mutable_value()->set_bulk("nonsense");
  cluster_.node(0).Misbehave("RING", lie);
  EXPECT_EQ(CodeOf(Client::Connect(DefaultOptions())), ErrorCode::kCannotConnect);
}

TEST_F(ConnectTest, OptionsAreChecked) {
  const auto code = [&](auto change) {
    Options options = DefaultOptions();
    change(options);
    return CodeOf(Client::Connect(options));
  };
  EXPECT_EQ(code([](Options& o) { o.seeds.clear(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Options& o) { o.seeds = {"host:port"}; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Options& o) { o.deadline = 0ms; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Options& o) { o.connections_per_node = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Options& o) { o.retry.attempts_max = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Options& o) { o.retry.backoff_max = 1ms; }), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace gyre::client
