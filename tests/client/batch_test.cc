// Many keys, or many commands, in one submission.
#include <future>
#include <set>
#include <thread>

#include "client/fixture.h"

namespace gyre::client {
namespace {

class BatchTest : public ClientTest {
 protected:
  static std::vector<std::string> Keys(int count) {
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i) keys.push_back("key" + std::to_string(i));
    return keys;
  }
  static std::vector<KeyValue> Entries(int count, std::size_t value_bytes) {
    std::vector<KeyValue> entries;
    for (std::string& key : Keys(count)) {
      entries.push_back({std::move(key), std::string(value_bytes, 'x')});
    }
    return entries;
  }
  void PauseAll() {
    for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Pause();
  }
  void ResumeAll() {
    for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Resume();
  }
};

TEST_F(BatchTest, MGetScattersOverTheOwners) {
  Connect();
  std::vector<KeyValue> entries;
  std::vector<std::string> keys = Keys(300);
  for (const std::string& key : keys) entries.push_back({key, "value of " + key});
  for (const auto& stored : client().MSet(entries)) EXPECT_TRUE(stored && *stored);
  keys.insert(keys.begin() + 5, "missing");
  const auto records = client().MGet(keys);
  ASSERT_EQ(records.size(), 301u);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(records[i]);
    if (i == 5) {
      EXPECT_FALSE(records[i]->has_value());
    } else {
      EXPECT_EQ((*records[i])->value, "value of " + keys[i]);
    }
  }
  for (std::size_t node = 0; node < 3; ++node) EXPECT_GT(cluster_.node(node).count("GET"), 0u);
  EXPECT_EQ(client().GetStats().stale_replies, 0u);
  for (const auto& removed : client().MDel(keys)) EXPECT_TRUE(removed.ok());
  EXPECT_EQ(cluster_.store().size(), 0u);
}

TEST_F(BatchTest, AsynchronousBatches) {
  Connect();
  auto set = client().MSetAsync({{"a", "1"}, {"b", "2"}});
  for (const auto& stored : set.Get()) EXPECT_TRUE(stored && *stored);
  std::promise<std::vector<Result<std::optional<Record>>>> told;
  client().MGetAsync({"b", "nothing", "a"}).Then([&](auto records) {
    told.set_value(std::move(records));
  });
  const auto records = told.get_future().get();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ((**records[0]).value, "2");
  EXPECT_FALSE(records[1]->has_value());
  EXPECT_EQ((**records[2]).value, "1");
  const auto removed = client().MDelAsync({"a", "nothing"}).Get();
  EXPECT_TRUE(*removed[0]);
  EXPECT_FALSE(*removed[1]);
}

TEST_F(BatchTest, NoKeysNoRequests) {
  Connect();
  const std::uint64_t requests = client().GetStats().requests;
  EXPECT_TRUE(client().MGet({}).empty());
  EXPECT_TRUE(client().MSet({}).empty());
  EXPECT_TRUE(client().ExecuteMany({}).empty());
  EXPECT_TRUE(client().MDelAsync({}).Get().empty());
  bool told = false;
  client().MGetAsync({}).Then([&](const auto& records) { told = records.empty(); });
  EXPECT_TRUE(told);
  EXPECT_EQ(client().GetStats().requests, requests);
}

// ---- Pipelines ---------------------------------------------------------------------------------

TEST_F(BatchTest, APipelineAnswersInTheOrderOfItsCommands) {
  Connect();
  const auto replies = client().ExecuteMany(
      {{"SET", "n", "40"}, {"INCRBY", "n", "2"}, {"PING"}, {"GET", "n"}, {"NOSUCH", "n"}, {}});
  ASSERT_EQ(replies.size(), 6u);
  EXPECT_EQ(replies[0]->text, "OK");
  EXPECT_EQ(replies[1]->integer, 42);
  EXPECT_EQ(replies[2]->text, "PONG");
  EXPECT_EQ(replies[3]->text, "42");
  EXPECT_EQ(CodeOf(replies[4]), ErrorCode::kUnknownCommand);
  EXPECT_EQ(CodeOf(replies[5]), ErrorCode::kInvalidArgument);
}

TEST_F(BatchTest, CommandsOfOneKeyKeepTheirOrder) {
  Options options = DefaultOptions();
  options.connections_per_node = 3;
  Connect(options);
  std::vector<Command> commands;
  std::string expected[3];
  for (int i = 0; i < 600; ++i) {
    const std::string piece = std::to_string(i) + ",";
    commands.push_back({"APPEND", "log" + std::to_string(i % 3), piece});
    expected[i % 3] += piece;
  }
  for (const auto& appended : client().ExecuteMany(commands)) EXPECT_TRUE(appended);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Read("log" + std::to_string(i)), expected[i]);
}

// ---- Failures ----------------------------------------------------------------------------------

TEST_F(BatchTest, ANodeThatDiesInTheMiddleCostsNobodyAResult) {
  Options options = DefaultOptions();
  options.retry.hedge_after = 0ms;  // so that its death, and no patience, is what ends the wait
  Connect(options);
  const std::vector<std::string> keys = Keys(100);
  for (const std::string& key : keys) cluster_.store().Put(key, key);
  cluster_.node(1).Pause();
  auto under_way = client().MGetAsync(keys);
  cluster_.node(1).AwaitCount("GET", 1);
  EXPECT_FALSE(under_way.WaitFor(0ms));
  cluster_.Kill(1);
  const auto records = under_way.Get();
  ASSERT_EQ(records.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(records[i] && *records[i]) << records[i].error().message;
    EXPECT_EQ((*records[i])->value, keys[i]);
  }
  EXPECT_GT(client().GetStats().retries, 0u);
}

TEST_F(BatchTest, WritesInDoubtAreSaidToBeInDoubtAndNoOthers) {
  Connect();
  cluster_.node(1).Pause();
  const std::vector<Command> commands = {{"INCRBY", cluster_.KeyOwnedBy(0), "1"},
                                         {"INCRBY", cluster_.KeyOwnedBy(1), "1"},
                                         {"INCRBY", cluster_.KeyOwnedBy(2), "1"}};
  auto under_way = client().ExecuteManyAsync(commands);
  cluster_.node(1).AwaitCount("INCRBY", 1);
  cluster_.Kill(1);
  const auto sums = under_way.Get();
  EXPECT_EQ(sums[0]->integer, 1);
  EXPECT_EQ(CodeOf(sums[1]), ErrorCode::kUnknownOutcome);
  EXPECT_EQ(sums[2]->integer, 1);
}

TEST_F(BatchTest, OneFailureCostsOnlyItsKey) {
  Connect();
  const std::string bad = cluster_.KeyOwnedBy(1);
  const std::string good = cluster_.KeyOwnedBy(2);
  Mischief refuse;
  wire::Error* error = refuse.reply.emplace().mutable_value()->mutable_error();
  error->set_code(static_cast<std::uint32_t>(ErrorCode::kOutOfMemory));
  cluster_.node(1).Misbehave("SET", refuse);
  const auto stored = client().MSet({{bad, "1"}, {good, "2"}});
  EXPECT_EQ(CodeOf(stored[0]), ErrorCode::kOutOfMemory);
  EXPECT_TRUE(stored[1] && *stored[1]);
}

TEST_F(BatchTest, TheDeadlineIsThatOfTheWholeBatch) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 5000;
  Connect(options);
  PauseAll();
  const auto begun = std::chrono::steady_clock::now();
  const auto stored = client().MSet(Entries(200, 500), {}, {.deadline = 100ms});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, kPatience / 2);
  std::set<ErrorCode> codes;
  for (const auto& result : stored) codes.insert(CodeOf(result));
  EXPECT_TRUE(codes.contains(ErrorCode::kOverloaded)) << "there was no room for most";
  EXPECT_EQ(CodeOf(stored.back()), ErrorCode::kOverloaded);
  ResumeAll();
}

// ---- More than the budget ----------------------------------------------------------------------

TEST_F(BatchTest, ABlockingBatchAboveTheBudgetWaitsForRoom) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 5000;
  Connect(options);
  for (const auto& stored : client().MSet(Entries(200, 500))) {
    EXPECT_TRUE(stored && *stored) << stored.error().message;
  }
  EXPECT_EQ(cluster_.store().size(), 200u);
  EXPECT_EQ(client().GetStats().in_flight_bytes, 0u);
}

TEST_F(BatchTest, AnAsynchronousBatchMayWaitForRoomAsWell) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 5000;
  Connect(options);
  auto batch = client().MSetAsync(Entries(100, 500), {}, {.wait_for_room = true});
  for (const auto& stored : batch.Get()) EXPECT_TRUE(stored && *stored);
}

TEST_F(BatchTest, AnAsynchronousBatchAboveTheBudgetFailsFromThereOn) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 10000;
  Connect(options);
  PauseAll();
  auto batch = client().MSetAsync(Entries(100, 500));
  EXPECT_LE(client().GetStats().in_flight_bytes, 10000u);
  EXPECT_GT(client().GetStats().in_flight_bytes, 0u);
  ResumeAll();
  const auto stored = batch.Get();
  std::size_t done = 0;
  while (done < stored.size() && stored[done]) ++done;
  EXPECT_GT(done, 0u);
  EXPECT_LT(done, stored.size());
  for (std::size_t i = done; i < stored.size(); ++i) {
    EXPECT_EQ(CodeOf(stored[i]), ErrorCode::kOverloaded);
  }
  EXPECT_EQ(cluster_.store().size(), done);
  EXPECT_EQ(client().GetStats().in_flight_bytes, 0u);
}

// Not even what would fit, and is handed over later: writes of one key keep their order.
TEST_F(BatchTest, NothingOvertakesWhatFoundNoRoom) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 1'500'000;
  Connect(options);
  PauseAll();
  std::vector<KeyValue> entries;
  for (const std::size_t bytes : {600'000, 600'000, 600'000, 600'000, 10, 10}) {
    entries.push_back({"key", std::string(bytes, 'x')});
  }
  auto batch = client().MSetAsync(entries);
  ResumeAll();
  const auto stored = batch.Get();
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (i < 2) {
      EXPECT_TRUE(stored[i]);
    } else {
      EXPECT_EQ(CodeOf(stored[i]), ErrorCode::kOverloaded);
    }
  }
}

// Larger than what is handed over at once, so that it goes in several parts.
TEST_F(BatchTest, AVeryLargeBatchGoesInParts) {
  Connect();
  std::vector<Command> commands;
  for (int i = 0; i < 10'000; ++i) commands.push_back({"INCRBY", "n", "1"});
  const auto sums = client().ExecuteMany(commands);
  ASSERT_EQ(sums.size(), commands.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_TRUE(sums[i]) << sums[i].error().message;
    ASSERT_EQ(sums[i]->integer, static_cast<std::int64_t>(i + 1));
  }
}

TEST_F(BatchTest, LargeValuesGoInParts) {
  Connect();
  const auto entries = Entries(9, 600'000);
  for (const auto& stored : client().MSet(entries)) EXPECT_TRUE(stored && *stored);
  for (const auto& record : client().MGet(Keys(9))) {
    ASSERT_TRUE(record && *record);
    EXPECT_EQ((*record)->value.size(), 600'000u);
  }
}

// ---- The end -----------------------------------------------------------------------------------

TEST_F(BatchTest, DestructionEndsABatchThatWaits) {
  Connect();
  PauseAll();
  auto reads = client().MGetAsync(Keys(50));
  client_.reset();
  for (const auto& record : reads.Get()) EXPECT_EQ(CodeOf(record), ErrorCode::kClosed);
}

TEST_F(BatchTest, CancelAllEndsABatchThatWaits) {
  Connect();
  PauseAll();
  auto reads = client().MGetAsync(Keys(50));
  client().CancelAll();
  for (const auto& record : reads.Get()) EXPECT_EQ(CodeOf(record), ErrorCode::kCancelled);
  ResumeAll();
  EXPECT_TRUE(client().MGet(Keys(1))[0]);
}

}  // namespace
}  // namespace gyre::client
