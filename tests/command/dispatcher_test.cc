#include "command/dispatcher.h"

#include <gtest/gtest.h>

#include "command/command_fixture.h"

namespace gyre::testing {
namespace {

class DispatcherTest : public CommandTest {};

TEST_F(DispatcherTest, UnknownCommandsAreNamed) {
  Expect({{"FOO", "unknown_command: unknown command 'FOO', with args beginning with: "},
          {"FOO a \"b c\"",
           "unknown_command: unknown command 'FOO', with args beginning with: 'a' 'b c' "}});
  const Reply reply = RunWords({std::string(1000, 'x'), std::string(1000, 'y'), "z"});
  EXPECT_LT(reply.bytes.size(), 400U);
}

TEST_F(DispatcherTest, ArityIsChecked) {
  Expect({{"GET", "invalid_argument: wrong number of arguments for 'get' command"},
          {"GET a b", "invalid_argument: wrong number of arguments for 'get' command"},
          {"mget", "invalid_argument: wrong number of arguments for 'mget' command"},
          {"PING a b", "invalid_argument: wrong number of arguments for 'ping' command"}});
}

TEST_F(DispatcherTest, EachProtocolSeesItsCommands) {
  struct Case {
    const char* command;
    bool resp, memcached, native;
  };
  for (const Case& c : {Case{"get k", true, true, true}, Case{"mc.get k", false, true, true},
                        Case{"gyre.count 0", false, false, true}}) {
    const auto known = [&](Session& session) {
      const Reply reply = cluster_.RunAs(0, session, Words(c.command));
      return reply.kind != Reply::Kind::kError || reply.error != ErrorCode::kUnknownCommand;
    };
    EXPECT_EQ(known(node().client), c.resp) << c.command;
    EXPECT_EQ(known(node().memcached_client), c.memcached) << c.command;
    EXPECT_EQ(known(node().peer), c.native) << c.command;
  }
}

TEST_F(DispatcherTest, ForeseenRequestsAreAnsweredAlike) {
  const std::vector<Line> lines = {
      {"SET a 1", "OK"},
      {"GET a", "\"1\""},
      {"NONSENSE", "unknown_command: unknown command 'NONSENSE', with args beginning with: "},
      {"GET", "invalid_argument: wrong number of arguments for 'get' command"},
      {"PING", "PONG"},
      {"MSET a 2 b 3", "OK"},
      {"INCR a", "3"},
      {"MGET a", "[\"3\"]"},
      {"MSET a", "invalid_argument: wrong number of arguments for 'mset' command"},
      {"DEL a b", "2"},
      {"GET a", "nil"},
      {"GET b", "nil"}};
  std::vector<std::vector<std::string>> words;
  for (const Line& line : lines) words.push_back(Words(line.command));
  std::vector<Request> requests(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    requests[i].args.assign(words[i].begin(), words[i].end());
  }
  Dispatcher& dispatcher = node().dispatcher();
  dispatcher.LookAhead(requests);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    TestSlot slot;
    TestResponder responder(slot);
    dispatcher.Handle(requests[i], node().client, responder);
    responder.Returned();
    EXPECT_EQ(TextOf(slot.reply()), lines[i].expected) << lines[i].command;
  }
  // What ended early is forgotten with its batch.
  dispatcher.LookAhead(requests);
  dispatcher.EndOfBatch();
  Expect({{"SET c 4", "OK"}, {"GET c", "\"4\""}});
}

TEST_F(DispatcherTest, CallsAndErrorsAreCounted) {
  Expect({{"SET k v", "OK"}, {"GET k", "\"v\""}, {"GET k", "\"v\""}});
  Run("INCR k");
  Run("GET");
  Run("SELECT x");
  Run("GET nothing");
  const auto counts_of = [this](std::string_view name) {
    return node().dispatcher().command_stats()[CommandTable::Get().Find(name)->index];
  };
  EXPECT_EQ(counts_of("get").calls, 3U);
  EXPECT_EQ(counts_of("get").rejected, 1U);
  EXPECT_EQ(counts_of("get").found, 2U);
  EXPECT_EQ(counts_of("get").missing, 1U);
  EXPECT_GT(counts_of("get").nanoseconds, 0U);
  const CommandHistogram::Snapshot durations =
      node().dispatcher().command_durations()[CommandTable::Get().Find("get")->index];
  EXPECT_EQ(durations.count, counts_of("get").calls);
  EXPECT_LE(durations.sum, Duration(counts_of("get").nanoseconds));
  EXPECT_EQ(counts_of("incr").errors, 1U);
  EXPECT_EQ(counts_of("select").errors, 1U);
}

TEST_F(DispatcherTest, CommandStatsAreNamedAsInRedis) {
  std::vector<CommandCounts> counts(CommandTable::Get().commands().size());
  counts[CommandTable::Get().Find("get")->index] = {
      .calls = 4, .nanoseconds = 5000, .rejected = 2, .errors = 1};
  const Fields expected = {
      {"cmdstat_get", "calls=4,usec=5,usec_per_call=1.25,rejected_calls=2,failed_calls=1"}};
  EXPECT_EQ(CommandStatsFields(counts), expected);
}

TEST_F(DispatcherTest, PeersAreAnswered) {
  Request request;
  request.kind = Request::Kind::kPeer;
  request.payload = "abc";
  EXPECT_EQ(node().Start(request, node().peer)->reply().bytes, "cba");
}

TEST_F(DispatcherTest, EachBatchIsFlushed) {
  const int before = replicator().flushes;
  Run("SET k v");
  EXPECT_EQ(replicator().flushes, before + 1);
}

// ---- Acknowledgements ---------------------------------------------------------------------------

class AcksTest : public CommandTest {
 protected:
  std::shared_ptr<TestSlot> StartWithAcks(const std::string& line, std::uint32_t acks) {
    words_ = Words(line);
    Request request;
    request.args.assign(words_.begin(), words_.end());
    request.write_acks = acks;
    return node().Start(request, node().peer);
  }
  std::vector<std::string> words_;
};

TEST_F(AcksTest, OneCopyIsAnsweredAtOnce) {
  replicator().hold = true;
  EXPECT_EQ(Text("SET k v"), "OK");
  EXPECT_TRUE(replicator().awaited.empty());
}

TEST_F(AcksTest, MoreCopiesAreAwaited) {
  replicator().hold = true;
  const auto slot = StartWithAcks("SET k v", 2);
  EXPECT_FALSE(slot->finished());
  ASSERT_EQ(replicator().awaited.size(), 1U);
  EXPECT_EQ(replicator().awaited[0], std::pair(replicator().newest, 2U));
  replicator().Release({});
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

TEST_F(AcksTest, NoAcknowledgementIsNoOk) {
  replicator().outcome = Fail(ErrorCode::kUnknownOutcome, "no ack in time");
  for (const char* line : {"SET k v", "DEL k", "MSET a 1 b 2", "INCR n"}) {
    EXPECT_EQ(TextOf(StartWithAcks(line, 2)->reply()), "unknown_outcome: no ack in time") << line;
  }
}

TEST_F(AcksTest, EveryKeyNeedsItsCopies) {
  replicator().hold = true;
  const auto slot = StartWithAcks("MSET a 1 b 2 c 3", 2);
  EXPECT_EQ(replicator().held.size(), 3U);
  auto held = std::exchange(replicator().held, {});
  held[0]({});
  held[2]({});
  EXPECT_FALSE(slot->finished());
  held[1](Fail(ErrorCode::kUnknownOutcome, "late"));
  EXPECT_EQ(TextOf(slot->reply()), "unknown_outcome: late");
}

TEST_F(AcksTest, TooFewReplicasRefuseTheWrite) {
  replicator().check = Fail(ErrorCode::kTooFewReplicas, "only 1");
  Expect({{"SET k v", "too_few_replicas: only 1"},
          {"MSET a 1 b 2", "too_few_replicas: only 1"},
          {"GET k", "nil"}});
  EXPECT_TRUE(replicator().sent.empty());
}

TEST_F(AcksTest, WhatChangedNothingWaitsForNothing) {
  Run("SET k v");
  replicator().hold = true;
  EXPECT_EQ(TextOf(StartWithAcks("SET k w NX", 2)->reply()), "nil");
  EXPECT_EQ(TextOf(StartWithAcks("EXPIRE nothing 10", 2)->reply()), "0");
  EXPECT_EQ(TextOf(StartWithAcks("GET k", 2)->reply()), "\"v\"");
}

// A copy may have what was evicted here.
TEST_F(AcksTest, ARemovalOfWhatIsNotHereWaitsForItsCopies) {
  replicator().hold = true;
  const auto slot = StartWithAcks("DEL nothing", 2);
  EXPECT_FALSE(slot->finished());
  replicator().Release({});
  EXPECT_EQ(TextOf(slot->reply()), "0");
}

TEST_F(AcksTest, WaitAsksForTheConnectionsWrites) {
  EXPECT_EQ(Text("WAIT 1 100"), "0") << "no other node, nothing written";
  Run("SET k v");
  replicator().copies = 0;
  EXPECT_EQ(Text("WAIT 1 100"), "0");
  EXPECT_EQ(replicator().awaited_all,
            std::vector<Replicator::Ticket>{node().client.last_write_ticket});
  Expect({{"WAIT a 1", "invalid_argument: value is not an integer or out of range"},
          {"WAIT 1 -1", "invalid_argument: timeout is negative"},
          {"WAIT 1 x", "invalid_argument: timeout is not an integer or out of range"}});
}

}  // namespace
}  // namespace gyre::testing
