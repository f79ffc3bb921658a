#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "net/server_fixture.h"

namespace gyre::test {
namespace {

TEST(ConnectionTest, AnswersInOrder) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo one\n\necho two\nnonsense\necho three\n");
  EXPECT_EQ(client.ReadLine(), "one");
  EXPECT_EQ(client.ReadLine(), "two");
  EXPECT_EQ(client.ReadLine(), "-unknown");
  EXPECT_EQ(client.ReadLine(), "three");
}

TEST(ConnectionTest, TakesRequestsSplitAtEveryByte) {
  ServerThread server;
  const std::string script = "echo one\nput 5\nab\ncd\n@echo hush\necho two\n";
  for (std::size_t split = 1; split < script.size(); ++split) {
    SCOPED_TRACE(split);
    Client client = server.Connect();
    client.Send(script.substr(0, split));
    const std::uint64_t before = split;
    server.Eventually([&] {
      // The first part has arrived on its own, so the second one is another read.
      std::uint64_t received = 0;
      received = server.server->stats().bytes_in % script.size();
      return received == before % script.size();
    });
    client.Send(script.substr(split));
    EXPECT_EQ(client.ReadLine(), "one");
    EXPECT_EQ(client.ReadLine(), "5");
    EXPECT_EQ(client.ReadLine(), "two");
  }
}

TEST(ConnectionTest, TakesRequestsByteByByte) {
  ServerThread server;
  Client client = server.Connect();
  for (const char c : std::string("echo slow\nput 3\nxyz\n")) client.Send({&c, 1});
  EXPECT_EQ(client.ReadLine(), "slow");
  EXPECT_EQ(client.ReadLine(), "3");
}

TEST(ConnectionTest, HandlesAPipelineInOneBatch) {
  ServerThread server;
  Client client = server.Connect();
  std::string pipeline;
  for (int i = 0; i < 100; ++i) pipeline += "echo " + std::to_string(i) + "\n";
  client.Send(pipeline);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.ReadLine(), std::to_string(i));
  EXPECT_EQ(server.handler.handled, 100);
  EXPECT_LT(server.handler.batches, 100);
}

TEST(ConnectionTest, ForeseesWhatIsReadAhead) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo one\n\necho two\n?\necho three\n=\necho four\necho five\n");
  EXPECT_EQ(client.ReadLine(), "one");
  EXPECT_EQ(client.ReadLine(), "two");
  EXPECT_EQ(client.ReadLine(), "-skipped");
  EXPECT_EQ(client.ReadLine(), "three");
  EXPECT_EQ(client.ReadLine(), "-unknown");
  EXPECT_EQ(client.ReadLine(), "four");
  EXPECT_EQ(client.ReadLine(), "five");
  // An error ends what is read ahead, a single request is not looked at ahead.
  server.OnLoop([&] { EXPECT_EQ(server.handler.lookahead, (std::vector<std::size_t>{2, 3})); });
}

TEST(ConnectionTest, TakesRequestsLargerThanARead) {
  ServerThread server;
  Client client = server.Connect();
  for (const std::size_t size : {std::size_t{70'000}, std::size_t{5'000'000}}) {
    client.Send("echo a\nput " + std::to_string(size) + "\n" + std::string(size, 'v') +
                "\necho b\n");
    EXPECT_EQ(client.ReadLine(), "a");
    EXPECT_EQ(client.ReadLine(), std::to_string(size));
    EXPECT_EQ(client.ReadLine(), "b");
  }
}

TEST(ConnectionTest, SendsRepliesLargerThanTheSocketsBuffer) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("blob 20000000\necho behind\n");
  EXPECT_EQ(client.Read(20'000'001), std::string(20'000'000, 'x') + '\n');
  EXPECT_EQ(client.ReadLine(), "behind");
}

TEST(ConnectionTest, KeepsTheStreamAfterAnError) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo a\n?too large\necho b\n");
  EXPECT_EQ(client.ReadLine(), "a");
  EXPECT_EQ(client.ReadLine(), "-skipped");
  EXPECT_EQ(client.ReadLine(), "b");
}

TEST(ConnectionTest, ClosesAfterMalformedInput) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo a\n!what\necho never\n" + std::string(100'000, 'z'));
  EXPECT_EQ(client.ReadAll(), "a\n-malformed\n");
  EXPECT_EQ(server.server->stats().protocol_errors, 1U);
  EXPECT_EQ(server.handler.handled, 1);
}

TEST(ConnectionTest, AnswersARequestThatTheHandlerLost) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("silent\nforget\necho on\n");
  EXPECT_EQ(client.ReadLine(), "-the request was dropped without a reply: see the log");
  EXPECT_EQ(client.ReadLine(), "-the request was dropped without a reply: see the log");
  EXPECT_EQ(client.ReadLine(), "on");
}

// ---- Deferred replies --------------------------------------------------------------------------

TEST(DeferredTest, HoldsLaterRepliesBack) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo a\nlater one\necho b\nlater two\necho c\necho d\n");
  EXPECT_EQ(client.ReadLine(), "a");
  server.Finish("two", "TWO");
  server.Finish("one", "ONE");
  for (const char* line : {"ONE", "b", "TWO", "c", "d"}) EXPECT_EQ(client.ReadLine(), line);
  client.Send("echo e\n");
  EXPECT_EQ(client.ReadLine(), "e");
}

TEST(DeferredTest, EveryOrderOfFinishingGivesTheSameReplies) {
  std::vector<std::string> names = {"1", "2", "3", "4"};
  ServerThread server;
  do {
    Client client = server.Connect();
    client.Send("later 1\necho a\nlater 2\nlater 3\necho b\nwritten 4\necho c\n");
    std::string order;
    for (const std::string& name : names) {
      server.Finish(name, name == "4" ? "" : name);
      order += name;
    }
    client.FinishSending();
    EXPECT_EQ(client.ReadAll(), "1\na\n2\n3\nb\nwritten\nc\n") << order;
  } while (std::next_permutation(names.begin(), names.end()));
}

TEST(DeferredTest, UnorderedRepliesLeaveAsTheyFinish) {
  ServerThread server({}, Frames());
  Client client = server.Connect();
  std::string requests;
  AppendFrame(FrameType::kRequest, 1, "later one", requests);
  AppendFrame(FrameType::kRequest, 2, "echo two", requests);
  AppendFrame(FrameType::kRequest, 3, "written three", requests);
  client.Send(requests);
  const auto expect = [&client](std::uint64_t id, const std::string& payload) {
    std::string frame;
    AppendFrame(FrameType::kReply, id, payload, frame);
    EXPECT_EQ(client.Read(frame.size()), frame);
  };
  expect(2, "two");
  server.Finish("three", "");
  expect(3, "written");
  server.Finish("one", "ONE");
  expect(1, "ONE");
}

TEST(DeferredTest, AnErrorReplacesWhatWasWritten) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("written one\nlater two\necho a\n");
  const auto fail = [](PendingReply& reply) {
    reply.FinishWithError({ErrorCode::kUnknownOutcome, "unknown outcome"});
    reply.FinishWithError({ErrorCode::kInternal, "never seen"});
    reply.Finish();
  };
  server.WithPending("one", fail);
  server.WithPending("two", [&fail](PendingReply& reply) {
    reply.writer().Bulk("half");
    fail(reply);
  });
  EXPECT_EQ(client.ReadLine(), "-unknown outcome");
  EXPECT_EQ(client.ReadLine(), "-unknown outcome");
  EXPECT_EQ(client.ReadLine(), "a");
}

TEST(DeferredTest, CopiesShareOneReply) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("later one\n");
  server.WithPending("one", [](PendingReply& reply) {
    PendingReply copy = reply;
    EXPECT_FALSE(copy.finished());
    copy.writer().Bulk("once");
    copy.Finish();
    EXPECT_TRUE(reply.finished());
    reply.writer().Bulk("discarded");
  });
  client.Send("echo next\n");
  EXPECT_EQ(client.ReadLine(), "once");
  EXPECT_EQ(client.ReadLine(), "next");
}

TEST(DeferredTest, QuietRequestsSayNothing) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("@echo a\n@later one\n@written two\n@silent\necho b\n");
  EXPECT_EQ(client.ReadLine(), "b") << "a quiet request holds nothing back";
  server.Finish("one", "never seen");
  server.WithPending("two", [](PendingReply& reply) {
    reply.FinishWithError({ErrorCode::kInternal, "never seen"});
  });
  client.Send("echo c\n");
  EXPECT_EQ(client.ReadLine(), "c");
}

TEST(DeferredTest, TooManyOutstandingRepliesPauseTheConnection) {
  ConnectionLimits limits;
  limits.pending_replies_max = 4;
  ServerThread server(limits);
  Client client = server.Connect();
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += "later " + std::to_string(i) + "\n";
  client.Send(requests);
  server.Eventually([&] { return server.server->stats().pauses == 1; });
  EXPECT_EQ(server.handler.handled, 4);
  for (int i = 0; i < 10; ++i) server.Finish(std::to_string(i), std::to_string(i));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.ReadLine(), std::to_string(i));
}

TEST(DeferredTest, WhatWasReadAheadWaitsForAHeldReply) {
  // The codec of a real protocol, because it remembers how far it came in the last request.
  ServerThread server({}, MakeRespCodecFactory({}));
  Client client = server.Connect();
  client.Send(
      "*1\r\n$6\r\nbefore\r\n*2\r\n$4\r\nhold\r\n$1\r\na\r\n*2\r\n$4\r\necho\r\n$1\r\nb\r\n"
      "*2\r\n$4\r\necho\r\n$5\r\nsplit");
  server.Eventually([&] { return server.server->stats().pauses == 1; });
  EXPECT_EQ(server.handler.handled, 2);
  client.Send("\r\n");
  server.Finish("a", "done");
  EXPECT_EQ(client.ReadLine(), "-ERR unknown\r");
  EXPECT_EQ(client.Read(10), "$4\r\ndone\r\n");
  EXPECT_EQ(client.Read(7), "$1\r\nb\r\n");
  EXPECT_EQ(client.Read(11), "$5\r\nsplit\r\n");
}

// ---- The client goes ---------------------------------------------------------------------------

TEST(EndTest, AHalfClosedClientGetsItsReplies) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo a\nlater one\necho b\nput 100\nincomplete");
  client.FinishSending();
  EXPECT_EQ(client.ReadLine(), "a");
  server.Finish("one", "ONE");
  EXPECT_EQ(client.ReadAll(), "ONE\nb\n");
  server.Eventually([&] { return server.server->stats().connections == 0; });
}

TEST(EndTest, QuitAnswersInOrderThenCloses) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("later one\nquit\necho never\n");
  server.Finish("one", "ONE");
  EXPECT_EQ(client.ReadAll(), "ONE\nbye\n");
  EXPECT_EQ(server.handler.handled, 2);
}

TEST(EndTest, RepliesOutliveTheirConnection) {
  ServerThread server;
  for (const char* codec : {"reset", "closed"}) {
    Client client = server.Connect();
    client.Send("later one\nlater two\nwritten three\n@later four\n");
    server.Eventually([&] {
      std::size_t count = 0;
      server.OnLoop([&] { count = server.handler.pending.size(); });
      return count == 4;
    });
    if (std::string(codec) == "reset") {
      client.Reset();
      server.Eventually([&] { return server.server->stats().connections == 0; });
    } else {
      client.Close();
    }
    server.Finish("one", std::string(100'000, 'x'));
    server.WithPending("two", [](PendingReply& reply) {
      reply.FinishWithError({ErrorCode::kInternal, "nobody reads this"});
    });
    server.Finish("three", "");
    server.OnLoop([&] { server.handler.pending.clear(); });  // the fourth is dropped
    server.Eventually([&] { return server.server->stats().connections == 0; });
  }
}

TEST(EndTest, AResetInTheMiddleOfAReplyHarmsNobody) {
  ServerThread server;
  Client other = server.Connect();
  for (int i = 0; i < 10; ++i) {
    Client client = server.Connect();
    client.Send("blob 8000000\nlater x" + std::to_string(i) + "\n");
    EXPECT_EQ(client.Read(10), "xxxxxxxxxx");
    client.Reset();
    other.Send("echo alive\n");
    EXPECT_EQ(other.ReadLine(), "alive");
  }
  server.Eventually([&] { return server.server->stats().connections == 1; });
}

TEST(EndTest, TheServerMayGoFirst) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("later one\nblob 8000000\n");
  PendingReply* kept = nullptr;
  server.WithPending("one", [&](PendingReply& reply) { kept = new PendingReply(reply); });
  server.OnLoop([&] { server.server.reset(); });
  EXPECT_EQ(client.ReadAll(), "") << "the large reply stood behind the missing one";
  server.OnLoop([&] {
    kept->writer().Bulk("to nobody");
    kept->Finish();
    delete kept;
  });
}

// ---- Clients that do not read ------------------------------------------------------------------

TEST(BackPressureTest, APipelineOfLargeRepliesIsExecutedAsItIsRead) {
  ConnectionLimits limits;
  limits.output_bytes_pause = 100'000;
  ServerThread server(limits);
  constexpr int kRequests = 2000;
  Client client(server.port, 4096);
  std::string pipeline;
  for (int i = 0; i < kRequests; ++i) pipeline += "blob 20000\n";
  std::thread sender([&] { client.Send(pipeline); });
  server.Eventually([&] { return server.server->stats().pauses > 0; });
  // What the kernel's buffers take (at most a few MB on loopback) and the limit: far from all 40
  // MB.
  EXPECT_LT(server.handler.handled, kRequests / 2);
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(client.Read(20'001).size(), 20'001U) << i;
  sender.join();
  EXPECT_EQ(server.handler.handled, kRequests);
}

// CLIENT LIST has them although nothing came in or went out since: the reply was made meanwhile.
TEST(BackPressureTest, RepliesThatNobodyReadsAreNotedWhenTheyAreMade) {
  ServerThread server;
  Client client(server.port, 4096);
  client.Send("later one\n");
  server.Finish("one", std::string(50'000'000, 'x'));
  std::size_t noted = 0;
  server.Eventually([&] {
    server.sessions.ForEach([&](const Session& session) { noted = session.output_bytes; });
    return noted > 10'000'000;
  });
}

TEST(BackPressureTest, AClientThatDoesNotReadIsClosed) {
  ConnectionLimits limits;
  limits.slow_client_timeout = std::chrono::milliseconds(300);
  ServerThread server(limits);
  Client client(server.port, 4096);
  client.Send("blob 50000000\n");
  server.Eventually([&] { return server.server->stats().closed_slow == 1; });
  server.Eventually([&] { return server.server->stats().connections == 0; });
}

TEST(BackPressureTest, OutputOverTheLimitClosesTheConnection) {
  ConnectionLimits limits;
  limits.output_bytes_max = 1'000'000;
  ServerThread server(limits);
  Client client = server.Connect();
  client.Send("echo a\nblob 1000001\n");
  client.ReadAll();
  EXPECT_EQ(server.server->stats().closed_slow, 1U);
}

TEST(BackPressureTest, AConnectionThatLingersIsCut) {
  ConnectionLimits limits;
  limits.linger_timeout = std::chrono::milliseconds(100);
  ServerThread server(limits);
  Client client = server.Connect();
  client.Send("quit\n");
  EXPECT_EQ(client.ReadAll(), "bye\n");
  // The client keeps its side open.
  server.Eventually([&] { return server.server->stats().connections == 0; });
}

TEST(TurnTest, ALongPipelineLeavesOthersTheirTurn) {
  ServerThread server;
  Client greedy = server.Connect();
  Client other = server.Connect();
  other.Send("echo here\n");
  EXPECT_EQ(other.ReadLine(), "here");
  constexpr int kRequests = 500;
  std::string pipeline;
  for (int i = 0; i < kRequests; ++i) pipeline += "work 2\n";
  greedy.Send(pipeline);
  server.Eventually([&] { return server.handler.handled > 1; });
  other.Send("work 0\n");
  EXPECT_LT(std::stoi(other.ReadLine()), kRequests / 2);
  int last = 0;
  for (int i = 0; i < kRequests; ++i) {
    const int number = std::stoi(greedy.ReadLine());
    EXPECT_GT(number, last);
    last = number;
  }
  EXPECT_EQ(last, kRequests + 2);
}

TEST(TurnTest, LongPipelinesTakeTurns) {
  ServerThread server;
  constexpr int kRequests = 100;
  std::string pipeline;
  for (int i = 0; i < kRequests; ++i) pipeline += "work 2\n";
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(server.Connect());
  for (Client& client : clients) client.Send(pipeline);
  // Each is half done before any other is done.
  for (Client& client : clients) {
    for (int i = 0; i < kRequests / 2; ++i) client.ReadLine();
  }
  for (Client& client : clients) {
    for (int i = kRequests / 2; i < kRequests - 1; ++i) client.ReadLine();
    EXPECT_GT(std::stoi(client.ReadLine()), 2 * kRequests);
  }
}

TEST(TurnTest, WhoHalfClosesBehindAPipelineGetsAllReplies) {
  ServerThread server;
  Client client = server.Connect();
  std::string pipeline;
  for (int i = 0; i < 50; ++i) pipeline += "work 2\n";
  client.Send(pipeline + "echo last\n");
  client.FinishSending();
  const std::string all = client.ReadAll();
  EXPECT_EQ(all.substr(all.size() - 5), "last\n");
  EXPECT_EQ(server.handler.handled, 51);
}

TEST(TurnTest, AConnectionThatAwaitsItsTurnMayGo) {
  ServerThread server;
  std::string pipeline;
  for (int i = 0; i < 200; ++i) pipeline += "work 2\n";
  {
    Client client = server.Connect();
    client.Send(pipeline);
    server.Eventually([&] { return server.handler.handled > 1; });
    client.Reset();
  }
  Client left = server.Connect();  // to the end of the server
  left.Send(pipeline);
  server.Eventually([&] { return server.handler.handled > 50; });
}

TEST(BackPressureTest, AFloodFromOneClientLeavesOthersTheirTurn) {
  ServerThread server;
  Client flood = server.Connect();
  Client other = server.Connect();
  std::string pipeline;
  for (int i = 0; i < 200'000; ++i) pipeline += "@echo x\n";
  std::thread sender([&] { flood.Send(pipeline); });
  for (int i = 0; i < 100; ++i) {
    other.Send("echo turn\n");
    ASSERT_EQ(other.ReadLine(), "turn");
  }
  sender.join();
  server.Eventually([&] { return server.handler.handled == 200'100; });
}

}  // namespace
}  // namespace gyre::test
