// What callers see when nodes die, move, fall silent or lie. No test waits for a fixed time: each
// waits for what a node saw.
#include <future>
#include <thread>

#include "client/fixture.h"
#include "proto/frame.h"
#include "proto/result.h"

namespace gyre::client {
namespace {

class FailoverTest : public ClientTest {
 protected:
  static Mischief CloseInsteadOfAnswering(bool execute) {
    Mischief mischief;
    mischief.execute = execute;
    mischief.close = true;
    return mischief;
  }
  static Mischief AnswerError(gyre::ErrorCode code) {
    Mischief mischief;
    wire::Error* error = mischief.reply.emplace().mutable_value()->mutable_error();
    error->set_code(static_cast<std::uint32_t>(code));
    error->set_message("made up");
    return mischief;
  }
};

// ---- Reads -------------------------------------------------------------------------------------

TEST_F(FailoverTest, AReadOutlivesItsOwner) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "kept"));
  cluster_.Kill(1);
  EXPECT_EQ(Read(key), "kept");
  EXPECT_GE(client().GetStats().retries, 1u);
}

TEST_F(FailoverTest, AReadInFlightOutlivesItsOwner) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "kept"));
  cluster_.node(1).Pause();
  auto read = client().GetAsync(key);
  cluster_.node(1).AwaitCount("GET", 1);
  cluster_.Kill(1);
  EXPECT_EQ((**read.Get()).value, "kept");
}

TEST_F(FailoverTest, ASilentOwnerIsPassedOver) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "kept"));
  cluster_.node(1).Pause();
  EXPECT_EQ(Read(key), "kept");
  EXPECT_EQ(client().GetStats().hedges, 1u);
  // Once known as silent, it is not waited for again.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Read(key), "kept");
  EXPECT_EQ(client().GetStats().hedges, 1u);
  cluster_.node(1).Resume();
}

TEST_F(FailoverTest, ASilentOwnerThatWakesUpIsAskedAgain) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v"));
  cluster_.node(1).Pause();
  EXPECT_EQ(Read(key), "v");
  cluster_.node(1).Resume();
  const std::uint64_t before = cluster_.node(1).count("GET");
  while (cluster_.node(1).count("GET") == before) EXPECT_EQ(Read(key), "v");
}

TEST_F(FailoverTest, ReadsWaitForTheTakeover) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "kept"));
  cluster_.KillWithoutTakeover(1);
  auto read = client().GetAsync(key);
  // The next holder is asked, cannot help yet, and is asked again.
  cluster_.node(2).AwaitCount("GET", 2);
  cluster_.TakeOver(1);
  EXPECT_EQ((**read.Get()).value, "kept");
}

TEST_F(FailoverTest, HoldersThatCouldNotHelpAreAskedAgainWhileTheOwnerIsSilent) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "kept"));
  cluster_.node(1).Pause();
  for (const std::size_t other : {0, 2}) {
    cluster_.node(other).Misbehave("GET", AnswerError(gyre::ErrorCode::kUnavailable), 2);
  }
  EXPECT_EQ(Read(key), "kept");
}

TEST_F(FailoverTest, AReadOfADeadClusterEndsAtItsDeadline) {
  Connect();
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Kill();
  // The later ones find the nodes known to be down, and perhaps try none of them in time.
  for (int i = 0; i < 5; ++i) {
    const auto record = client().Get("k", {.deadline = i == 0 ? 100ms : 5ms});
    EXPECT_EQ(CodeOf(record), ErrorCode::kUnavailable);
    EXPECT_NE(record.error().message.find("refused"), std::string::npos) << record.error().message;
  }
  EXPECT_EQ(client().GetStats().timeouts, 0u);
}

TEST_F(FailoverTest, AReadOfASilentClusterEndsAtItsDeadline) {
  Connect();
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Pause();
  const auto record = client().Get("k", {.deadline = 50ms});
  EXPECT_EQ(CodeOf(record), ErrorCode::kTimeout);
  EXPECT_EQ(client().GetStats().timeouts, 1u);
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Resume();
}

TEST_F(FailoverTest, AClusterThatComesBackIsFoundAgain) {
  Connect();
  ASSERT_TRUE(client().Set("k", "v"));
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Kill();
  EXPECT_FALSE(client().Get("k", {.deadline = 50ms}).ok());
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Start();
  EXPECT_EQ(Read("k"), "v");
}

TEST_F(FailoverTest, AttemptsAreBounded) {
  Options options = DefaultOptions();
  options.retry.attempts_max = 3;
  Connect(options);
  for (std::size_t i = 0; i < 3; ++i) {
    cluster_.node(i).Misbehave("GET", AnswerError(gyre::ErrorCode::kUnavailable), 1000);
  }
  const auto record = client().Get("k");
  EXPECT_EQ(CodeOf(record), ErrorCode::kUnavailable);
  EXPECT_EQ(
      cluster_.node(0).count("GET") + cluster_.node(1).count("GET") + cluster_.node(2).count("GET"),
      3u);
}

// ---- Writes ------------------------------------------------------------------------------------

TEST_F(FailoverTest, AWriteThatWasSurelyNotSentIsRepeated) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.Kill(1);  // its link was never opened: nothing can have been sent
  EXPECT_EQ(*client().Incr(key), 1);
}

TEST_F(FailoverTest, AnIncrWhoseAnswerIsLostIsUnknownAndNotRepeated) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  for (const bool executed : {true, false}) {
    cluster_.node(1).Misbehave("INCRBY", CloseInsteadOfAnswering(executed));
    EXPECT_EQ(CodeOf(client().Incr(key)), ErrorCode::kUnknownOutcome);
  }
  EXPECT_EQ(cluster_.store().Get(key), "1") << "done once, at most";
  EXPECT_EQ(client().GetStats().unknown_outcomes, 2u);
  EXPECT_EQ(*client().Incr(key), 2) << "the next one goes through";
}

TEST_F(FailoverTest, AWriteThatMetAGoodbyeIsRepeated) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  Mischief goodbye;
  AppendFrame(FrameType::kGoodbye, 0, "", goodbye.bytes);
  goodbye.close = true;
  cluster_.node(1).Misbehave("INCRBY", goodbye);
  EXPECT_EQ(*client().Incr(key), 1);
  EXPECT_EQ(cluster_.node(1).count("INCRBY"), 1u);
  EXPECT_EQ(client().GetStats().unknown_outcomes, 0u);
}

TEST_F(FailoverTest, AnIdempotentWriteWhoseAnswerIsLostIsRepeated) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("SET", CloseInsteadOfAnswering(true));
  EXPECT_TRUE(*client().Set(key, "v"));
  EXPECT_EQ(cluster_.store().Get(key), "v");
}

TEST_F(FailoverTest, ThatRepetitionCanBeSwitchedOff) {
  Options options = DefaultOptions();
  options.retry.retry_idempotent_writes = false;
  Connect(options);
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("SET", CloseInsteadOfAnswering(true));
  EXPECT_EQ(CodeOf(client().Set(key, "v")), ErrorCode::kUnknownOutcome);
}

TEST_F(FailoverTest, AConditionMakesASetUnrepeatable) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("SET", CloseInsteadOfAnswering(true));
  EXPECT_EQ(CodeOf(client().Set(key, "v", {.condition = SetOptions::Condition::kIfAbsent})),
            ErrorCode::kUnknownOutcome);
}

TEST_F(FailoverTest, AWriteWithoutAnAnswerInTimeIsUnknown) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "1"));
  cluster_.node(1).Pause();
  EXPECT_EQ(CodeOf(client().Incr(key, 1, {.deadline = 50ms})), ErrorCode::kUnknownOutcome);
  EXPECT_EQ(CodeOf(client().Set(key, "2", {}, {.deadline = 50ms})), ErrorCode::kUnknownOutcome);
  cluster_.node(1).Resume();
  EXPECT_TRUE(client().Set(key, "3")) << "the late answers confuse nobody";
}

TEST_F(FailoverTest, AWriteDoesNotWaitForASilentNodeThatIsDead) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Pause();
  auto write = client().SetAsync(key, "v");
  cluster_.node(1).AwaitCount("SET", 1);
  cluster_.DeclareDead(1);
  EXPECT_TRUE(*write.Get());
  EXPECT_EQ(cluster_.store().Get(key), "v");
}

TEST_F(FailoverTest, AnIncrOnASilentNodeThatIsDeadIsUnknown) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Pause();
  auto sum = client().IncrAsync(key, 1);
  cluster_.node(1).AwaitCount("INCRBY", 1);
  cluster_.DeclareDead(1);
  const auto answer = sum.Get();
  EXPECT_EQ(CodeOf(answer), ErrorCode::kUnknownOutcome);
  EXPECT_NE(answer.error().message.find("dead"), std::string::npos) << answer.error().message;
}

TEST_F(FailoverTest, AWriteThatNoNodeTookIsNotDone) {
  Connect();
  // The seed last: once its link breaks, the ring is asked for elsewhere.
  for (const std::size_t i : {1, 2, 0}) cluster_.node(i).Kill();
  // Else it might leave through the link to the seed, which is not known to be broken yet.
  while (client().GetStats().connections_lost == 0) std::this_thread::yield();
  const auto sum = client().Incr("k", 1, {.deadline = 200ms});
  EXPECT_NE(CodeOf(sum), ErrorCode::kUnknownOutcome) << sum.error().message;
}

TEST_F(FailoverTest, OnceInDoubtLaterRefusalsDoNotMakeItSafe) {
  Options options = DefaultOptions();
  options.retry.attempts_max = 4;
  Connect(options);
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "old"));
  cluster_.node(1).Misbehave("SET", CloseInsteadOfAnswering(true));
  for (const std::size_t other : {0, 2}) {
    cluster_.node(other).Misbehave("SET", AnswerError(gyre::ErrorCode::kOutOfMemory), 100);
  }
  EXPECT_EQ(CodeOf(client().Set(key, "new")), ErrorCode::kUnknownOutcome);
}

TEST_F(FailoverTest, WhatANodeRefusesIsToldAsItIs) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  for (const auto code : {gyre::ErrorCode::kUnknownOutcome, gyre::ErrorCode::kOutOfMemory,
                          gyre::ErrorCode::kTimeout, gyre::ErrorCode::kWrongType}) {
    cluster_.node(1).Misbehave("SET", AnswerError(code));
    const auto set = client().Set(key, "v");
    EXPECT_EQ(static_cast<int>(CodeOf(set)), static_cast<int>(code));
    EXPECT_EQ(set.error().message, "made up");
  }
}

TEST_F(FailoverTest, AWriteWaitsForTheCopiesThatItNeeds) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("INCRBY", AnswerError(gyre::ErrorCode::kTooFewReplicas), 5);
  EXPECT_EQ(*client().Incr(key), 1);
  EXPECT_EQ(cluster_.node(1).count("INCRBY"), 6u);
  for (const std::size_t other : {0, 2}) {
    EXPECT_EQ(cluster_.node(other).count("INCRBY"), 0u) << "it would ask the same owner";
  }
}

TEST_F(FailoverTest, AWriteThatNeverGetsItsCopiesSaysSo) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("INCRBY", AnswerError(gyre::ErrorCode::kTooFewReplicas), 1'000'000);
  const auto sum = client().Incr(key, 1, {.deadline = 200ms});
  EXPECT_EQ(CodeOf(sum), ErrorCode::kTooFewReplicas);
  EXPECT_NE(sum.error().message.find("made up"), std::string::npos) << sum.error().message;
  EXPECT_GE(cluster_.node(1).count("INCRBY"), 2u);
}

TEST_F(FailoverTest, AWriteInDoubtIsNotTriedAgain) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("INCRBY", AnswerError(gyre::ErrorCode::kUnknownOutcome));
  EXPECT_EQ(CodeOf(client().Incr(key)), ErrorCode::kUnknownOutcome);
  EXPECT_EQ(cluster_.node(1).count("INCRBY"), 1u);
}

TEST_F(FailoverTest, NotOwnerIsNeverSeen) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("INCRBY", AnswerError(gyre::ErrorCode::kNotOwner));
  EXPECT_EQ(*client().Incr(key), 1);
}

// ---- The ring ----------------------------------------------------------------------------------

TEST_F(FailoverTest, AStaleReplyBringsTheNewRing) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  const std::uint64_t old_digest = client().Ring().digest;
  cluster_.MoveAll(1, 2);
  cluster_.TellTruth();
  ASSERT_TRUE(client().Set(key, "v"));
  EXPECT_GE(client().GetStats().stale_replies, 1u);
  while (client().Ring().digest == old_digest) std::this_thread::yield();
  const std::uint64_t before = cluster_.node(1).count("GET");
  EXPECT_EQ(Read(key), "v");
  EXPECT_EQ(cluster_.node(1).count("GET"), before) << "straight to the new owner";
}

TEST_F(FailoverTest, ABrokenLinkBringsTheNewRing) {
  Connect();
  const std::uint64_t old_digest = client().Ring().digest;
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v"));
  cluster_.Kill(1);
  cluster_.TellTruth();
  EXPECT_EQ(Read(key), "v");
  while (client().Ring().digest == old_digest) std::this_thread::yield();
  EXPECT_EQ(client().Ring().nodes[1].state, "dead");
}

TEST_F(FailoverTest, TheRingIsFetchedFromTimeToTime) {
  Options options = DefaultOptions();
  options.ring_refresh_interval = 5ms;
  Connect(options);
  const std::uint64_t old_digest = client().Ring().digest;
  cluster_.MoveAll(1, 2);
  cluster_.TellTruth();
  while (client().Ring().digest == old_digest) std::this_thread::yield();
  EXPECT_EQ(client().Ring().nodes[1].partitions_owned, 0u);
}

TEST_F(FailoverTest, ANonsenseRingIsIgnored) {
  Connect();
  const std::uint64_t digest = client().Ring().digest;
  Mischief lie;
  lie.reply.emplace().mutable_value()->set_bulk("nonsense");
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Misbehave("RING", lie, 1);
  EXPECT_EQ(CodeOf(client().RefreshRing()), ErrorCode::kProtocol);
  EXPECT_EQ(client().Ring().digest, digest);
  EXPECT_TRUE(client().Set("k", "v"));
}

TEST_F(FailoverTest, ANodeThatLeftIsForgotten) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v"));
  cluster_.Leave(1);
  ASSERT_TRUE(client().RefreshRing());
  EXPECT_EQ(client().Ring().nodes.size(), 2u);
  const std::uint64_t before = cluster_.node(1).count("");
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(client().Set("k" + std::to_string(i), "v"));
  EXPECT_EQ(cluster_.node(1).count(""), before);
}

// ---- Malformed replies -------------------------------------------------------------------------

struct Babble {
  const char* name;
  std::string bytes;
};

class BabbleTest : public FailoverTest, public testing::WithParamInterface<Babble> {};

std::string Frame(gyre::FrameType type, std::uint64_t id, const std::string& payload) {
  std::string frame;
  gyre::AppendFrame(type, id, payload, frame);
  return frame;
}

TEST_P(BabbleTest, CostsOnlyThatLink) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v"));
  Mischief babble;
  babble.bytes = GetParam().bytes;
  cluster_.node(1).Misbehave("GET", babble);
  EXPECT_EQ(Read(key), "v") << "the read went elsewhere";
  cluster_.node(1).Misbehave("INCRBY", babble);
  const std::string counter = cluster_.KeyOwnedBy(1, 1);
  EXPECT_EQ(CodeOf(client().Incr(counter)), ErrorCode::kUnknownOutcome);
  EXPECT_TRUE(client().Set(key, "w"));
  EXPECT_EQ(Read(key), "w");
}

INSTANTIATE_TEST_SUITE_P(
    Table, BabbleTest,
    ::testing::Values(
        Babble{"OtherProtocol", "HTTP/1.1 400 Bad Request\r\n\r\n"},
        Babble{"WrongVersion", std::string("GY\x63\x02\0\0\0\0\1\0\0\0\0\0\0\0", 16)},
        Babble{"NotAReply", Frame(gyre::FrameType::kRequest, 1, "x")},
        Babble{"PeerReply", Frame(gyre::FrameType::kPeerReply, 1, "x")},
        Babble{"IdNeverAsked", Frame(gyre::FrameType::kReply, 999999, "\x0a\x02\x08\x01")},
        Babble{"IdZero", Frame(gyre::FrameType::kReply, 0, "\x0a\x02\x08\x01")},
        Babble{"FrameTooLong", std::string("GY\x01\x02\xff\xff\xff\xff\1\0\0\0\0\0\0\0", 16)},
        Babble{
            "NonsensePayload",
            // The link's ids are small: one of these is the request's.
            Frame(gyre::FrameType::kReply, 2, "\xff") + Frame(gyre::FrameType::kReply, 3, "\xff")}),
    [](const auto& info) { return std::string(info.param.name); });

// It says that nothing was written, so nothing may be, however long the connection was full.
TEST_F(FailoverTest, AWriteThatWasNotSentInTimeIsNotSentLater) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  const std::string elsewhere = cluster_.KeyOwnedBy(2);
  cluster_.node(1).Pause();
  auto first = client().SetAsync(key, "first");
  cluster_.node(1).AwaitCount("SET", 1);  // and it reads no further
  // More than the kernel takes for a node that does not read.
  auto large = client().SetAsync(key, std::string(FakeNode::kUnreadBytesMax + (1 << 20), 'x'));
  ASSERT_EQ(Read(elsewhere), "(none)");  // by then it was handed to the connection
  EXPECT_EQ(CodeOf(client().Del(key, {.deadline = 50ms})), ErrorCode::kTimeout);
  auto last = client().IncrAsync(key);  // behind where it stood
  cluster_.node(1).Resume();
  EXPECT_TRUE(first.Get());
  EXPECT_TRUE(large.Get());
  EXPECT_FALSE(last.Get());
  EXPECT_EQ(cluster_.node(1).count("DEL"), 0u);
  EXPECT_NE(Read(key), "(none)");
}

TEST_F(FailoverTest, AnswersToForgottenRequestsAreDropped) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "v"));
  cluster_.node(1).Pause();
  EXPECT_FALSE(client().Incr(key, 1, {.deadline = 20ms}).ok());
  cluster_.node(1).Resume();
  EXPECT_EQ(Read(key), "v");
  EXPECT_EQ(client().GetStats().connections_lost, 0u);
}

}  // namespace
}  // namespace gyre::client
