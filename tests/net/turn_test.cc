// Turns of the loop: what several connections sent is executed together, and each is answered as if it
// were alone.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/connection.h"
#include "net/server_fixture.h"

namespace gyre::test {
namespace {

class LoopTurnTest : public ::testing::Test {
 protected:
  // Connections that have been accepted, and have nothing to read.
  std::vector<Client> Connect(int count) {
    std::vector<Client> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(server.Connect());
      clients.back().Send("echo hello\n");
      EXPECT_EQ(clients.back().ReadLine(), "hello");
    }
    server.OnLoop([&] { server.handler.lookahead.clear(); });
    server.handler.batches = 0;
    return clients;
  }

  ServerThread server;
};

TEST_F(LoopTurnTest, RequestsOfAllConnectionsAreExecutedTogether) {
  std::vector<Client> clients = Connect(5);
  server.InOneTurn([&] {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send("echo " + std::to_string(i) + "\n");
    }
  });
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].ReadLine(), std::to_string(i));
  }
  server.OnLoop([&] { EXPECT_EQ(server.handler.lookahead.front(), 5U); });
  EXPECT_LT(server.handler.batches, 5);  // more than one where the machine stood still
}

TEST_F(LoopTurnTest, MoreThanOneTurnTakes) {
  std::vector<Client> clients = Connect(150);
  server.InOneTurn([&] {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string number = std::to_string(i);
      clients[i].Send("echo a" + number + "\necho b" + number + "\n\nput 4\nha");
    }
  });
  for (Client& client : clients) client.Send("lf\n");
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].ReadLine(), "a" + std::to_string(i));
    EXPECT_EQ(clients[i].ReadLine(), "b" + std::to_string(i));
    EXPECT_EQ(clients[i].ReadLine(), "4");
  }
  server.OnLoop([&] {
    for (const std::size_t requests : server.handler.lookahead) EXPECT_LE(requests, 32U);
  });
}

// Each of them with one before and one behind it.
TEST_F(LoopTurnTest, WhatHappensToOneTouchesNoOther) {
  std::vector<Client> clients = Connect(13);
  server.InOneTurn([&] {
    const std::string strange[] = {"!malformed\necho never\n",
                                   "?too large\necho on\n",
                                   "hold it\necho held\n",
                                   "quit\necho never\n",
                                   "forget\n",
                                   "put 70000\n" + std::string(70'000, 'v')};
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send(i % 2 == 0 ? "echo a\necho b\n" : "echo x\n" + strange[i / 2]);
    }
  });
  for (std::size_t i = 0; i < clients.size(); i += 2) {
    EXPECT_EQ(clients[i].ReadLine(), "a") << i;
    EXPECT_EQ(clients[i].ReadLine(), "b") << i;
  }
  EXPECT_EQ(clients[1].ReadAll(), "x\n-malformed\n");
  EXPECT_EQ(clients[3].Read(16), "x\n-skipped\non\n");
  EXPECT_EQ(clients[5].ReadLine(), "x");
  server.Finish("it", "done");
  EXPECT_EQ(clients[5].Read(10), "done\nheld\n");
  EXPECT_EQ(clients[7].ReadAll(), "x\nbye\n");
  EXPECT_EQ(clients[9].ReadLine(), "x");
  EXPECT_EQ(clients[9].ReadLine(), "-the request was dropped without a reply: see the log");
  clients[11].Send("\n");
  EXPECT_EQ(clients[11].ReadLine(), "x");
  EXPECT_EQ(clients[11].ReadLine(), "70000");
}

TEST_F(LoopTurnTest, OneMayFinishWhatAnotherWaitsFor) {
  std::vector<Client> clients = Connect(3);
  server.InOneTurn([&] {
    clients[0].Send("later it\necho behind\n");
    clients[1].Send("echo between\n");
    clients[2].Send("finish it\n");
  });
  EXPECT_EQ(clients[0].ReadLine(), "it");
  EXPECT_EQ(clients[0].ReadLine(), "behind");
  EXPECT_EQ(clients[1].ReadLine(), "between");
  EXPECT_EQ(clients[2].ReadLine(), "finished");
}

TEST_F(LoopTurnTest, SomeMayHaveGone) {
  std::vector<Client> clients = Connect(9);
  server.InOneTurn([&] {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send("echo " + std::to_string(i) + "\nlater " + std::to_string(i) + "\n");
      if (i % 3 == 0) clients[i].Reset();
      if (i % 3 == 1) clients[i].FinishSending();
    }
  });
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (i % 3 == 0) continue;
    server.Finish(std::to_string(i), "late");
    EXPECT_EQ(clients[i].ReadLine(), std::to_string(i));
    EXPECT_EQ(clients[i].ReadLine(), "late");
    if (i % 3 == 1) {
      EXPECT_EQ(clients[i].ReadAll(), "");
    }
  }
  server.Eventually([&] { return server.server->stats().connections == 3; });
}

TEST_F(LoopTurnTest, TheServerMayGoInTheMiddleOfIt) {
  std::vector<Client> clients = Connect(8);
  server.InOneTurn([&] {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send("echo a\n");
      if (i == clients.size() / 2) server.loop->Post([this] { server.server.reset(); });
    }
  });
  server.OnLoop([&] { EXPECT_EQ(server.server, nullptr); });
  for (Client& client : clients) {
    const std::string answer = client.ReadLine();
    EXPECT_TRUE(answer == "a" || answer == "<closed>" || answer == "<reset>") << answer;
  }
}

TEST_F(LoopTurnTest, AClientThatDoesNotReadHoldsNobodyUp) {
  std::vector<Client> clients = Connect(4);
  for (int round = 0; round < 5; ++round) {
    server.InOneTurn([&] {
      clients[0].Send("blob 3000000\necho slow\n");
      for (std::size_t i = 1; i < clients.size(); ++i) clients[i].Send("echo quick\n");
    });
    for (std::size_t i = 1; i < clients.size(); ++i) EXPECT_EQ(clients[i].ReadLine(), "quick");
  }
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(clients[0].Read(3'000'001).size(), 3'000'001U);
    EXPECT_EQ(clients[0].ReadLine(), "slow");
  }
}

// What takes long is answered before others have their turn, not with them.
TEST_F(LoopTurnTest, LongRequestsEndIt) {
  std::vector<Client> clients = Connect(12);
  const int before = server.handler.handled;
  server.InOneTurn([&] {
    for (Client& client : clients) client.Send("work 40\nwork 40\n");
  });
  clients[0].ReadLine();
  EXPECT_LT(server.handler.handled - before, 12) << "the first has its answer";
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (int left = i == 0 ? 1 : 2; left > 0; --left) EXPECT_NE(clients[i].ReadLine(), "");
  }
  EXPECT_EQ(server.handler.handled - before, 24);
}

// Three milliseconds each: of so many bytes the time is read behind each of them.
TEST_F(LoopTurnTest, SoDoLargeOnes) {
  std::vector<Client> clients = Connect(3);
  const std::string padding(ConnectionContext::kBytesAClockReading, 'x');
  server.InOneTurn([&] {
    for (Client& client : clients) client.Send("work 3 " + padding + "\n");
  });
  for (Client& client : clients) EXPECT_NE(client.ReadLine(), "");
  server.OnLoop([&] { EXPECT_EQ(server.handler.batches, 3); });
}

// Whose reads fill the buffer is executed at once, not with others; the time that all of them take is bounded
// nevertheless. One more goes on behind those that have waited for their turn.
TEST_F(LoopTurnTest, LongReadsOfManyShareAnIteration) {
  std::vector<Client> clients = Connect(8);
  const std::string request = "work 3 " + std::string(ConnectionContext::kReadBytes, 'x') + "\n";
  server.handler.handled_in_iteration_max = 0;
  server.InOneTurn([&] {
    for (Client& client : clients) client.Send(request + request + request);
  });
  for (Client& client : clients) {
    for (int i = 0; i < 3; ++i) EXPECT_NE(client.ReadLine(), "");
  }
  EXPECT_LE(server.handler.handled_in_iteration_max, 2);
}

// Few bytes of several at a time: the requests of each are cut somewhere.
TEST_F(LoopTurnTest, RequestsOfManyAreTakenByteByByte) {
  std::vector<Client> clients = Connect(6);
  const std::string script = "echo one\nput 5\nab\ncd\n@echo hush\n\necho two\n";
  for (std::size_t at = 0; at < script.size() + clients.size(); ++at) {
    server.InOneTurn([&] {
      for (std::size_t i = 0; i < clients.size(); ++i) {
        if (at >= i && at - i < script.size()) clients[i].Send({&script[at - i], 1});
      }
    });
  }
  for (Client& client : clients) EXPECT_EQ(client.Read(10), "one\n5\ntwo\n");
}

}  // namespace
}  // namespace gyre::test
