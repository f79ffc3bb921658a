// What connections hold is charged, and who holds most is closed when there is no more.
#include "base/client_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "net/server_fixture.h"

namespace gyre::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Bounded {
  explicit Bounded(std::size_t limit) : memory(limit), server(Limits(memory)) {}

  static ConnectionLimits Limits(ClientMemory& memory) {
    ConnectionLimits limits;
    limits.memory = &memory;
    return limits;
  }

  ClientMemory memory;
  ServerThread server;
};

// The begin of a request of `bytes`, which is never ended.
std::string Unfinished(std::size_t bytes) {
  return "put " + std::to_string(2 * bytes) + "\n" + std::string(bytes, 'x');
}

TEST(ConnectionMemoryTest, InputIsChargedAndGivenBack) {
  Bounded bounded(8 * kMiB);
  {
    Client client = bounded.server.Connect();
    client.Send(Unfinished(2 * kMiB));
    bounded.server.Eventually([&] { return bounded.memory.used() >= 2 * kMiB; });
    client.Send(std::string(2 * kMiB, 'x') + "\necho done\n");
    EXPECT_EQ(client.ReadLine(), std::to_string(4 * kMiB));
    EXPECT_EQ(client.ReadLine(), "done");
    bounded.server.Eventually([&] { return bounded.memory.used() < kMiB; });
  }
  EXPECT_EQ(bounded.server.server->stats().closed_memory, 0U);
}

TEST(ConnectionMemoryTest, TheLargestIsClosedAndTheOthersGoOn) {
  Bounded bounded(8 * kMiB);
  Client largest = bounded.server.Connect();
  largest.Send(Unfinished(4 * kMiB));
  bounded.server.Eventually([&] { return bounded.memory.used() >= 4 * kMiB; });

  std::thread second_sends;
  Client second = bounded.server.Connect();
  second_sends = std::thread([&] { second.Send(Unfinished(3 * kMiB)); });
  EXPECT_NE(largest.ReadLine().find("memory for clients"), std::string::npos);
  EXPECT_EQ(largest.ReadLine(), "<closed>");
  second_sends.join();
  second.Send(std::string(3 * kMiB, 'x') + "\n");
  EXPECT_EQ(second.ReadLine(), std::to_string(6 * kMiB));
  EXPECT_EQ(bounded.server.server->stats().closed_memory, 1U);
  EXPECT_LE(bounded.memory.used(), bounded.memory.limit());
}

TEST(ConnectionMemoryTest, ManySmallOnesAreBoundedToo) {
  constexpr std::size_t kEach = 60'000;
  Bounded bounded(4 * kMiB);
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(bounded.server.Connect());
    clients.back().Send(Unfinished(kEach));
  }
  bounded.server.Eventually([&] {
    const ServerStats stats = bounded.server.server->stats();
    return stats.bytes_in >= 200 * kEach || stats.closed_memory > 100;
  });
  EXPECT_GT(bounded.server.server->stats().closed_memory, 0U);
  EXPECT_LE(bounded.memory.used(), bounded.memory.limit() + 2 * ClientMemory::kSmallBytes);
  Client client = bounded.server.Connect();
  client.Send("echo served\n");
  EXPECT_EQ(client.ReadLine(), "served");
}

TEST(ConnectionMemoryTest, AReplyThatCanNeverFitIsRefusedAtOnce) {
  Bounded bounded(4 * kMiB);
  Client client = bounded.server.Connect();
  client.Send("echo before\nblob 5000000\necho after\n");
  EXPECT_EQ(client.ReadLine(), "before");
  EXPECT_EQ(client.ReadLine().substr(0, 16), "-reply too large");
  EXPECT_EQ(client.ReadLine(), "after");
  EXPECT_GT(bounded.memory.refused(), 0U);
}

TEST(ConnectionMemoryTest, AReplyThatMayFitWaitsForOthersToGo) {
  Bounded bounded(8 * kMiB);
  Client slow(bounded.server.port, /*receive_buffer_bytes=*/4096);
  slow.Send("blob 6000000\n");
  bounded.server.Eventually([&] { return bounded.memory.used() >= 5'000'000; });
  Client client = bounded.server.Connect();
  client.Send("echo first\nblob 3000000\necho last\n");
  EXPECT_EQ(client.ReadLine(), "first");
  // The slow one is closed for it.
  EXPECT_EQ(client.ReadLine(), std::string(3'000'000, 'x'));
  EXPECT_EQ(client.ReadLine(), "last");
  EXPECT_EQ(bounded.server.server->stats().closed_memory, 1U);
}

TEST(ConnectionMemoryTest, ARequestThatWantsMoreThanOthersHoldIsRefusedAndNobodyIsClosed) {
  Bounded bounded(8 * kMiB);
  Client holder = bounded.server.Connect();
  holder.Send(Unfinished(2 * kMiB));
  bounded.server.Eventually([&] { return bounded.memory.used() >= 2 * kMiB; });
  Client client = bounded.server.Connect();
  client.Send("echo first\nblob 6000000\necho last\n");
  EXPECT_EQ(client.ReadLine(), "first");
  EXPECT_EQ(client.ReadLine().substr(0, 16), "-reply too large");
  EXPECT_EQ(client.ReadLine(), "last");
  holder.Send(std::string(2 * kMiB, 'x') + "\n");
  EXPECT_EQ(holder.ReadLine(), std::to_string(4 * kMiB));
  EXPECT_EQ(bounded.server.server->stats().closed_memory, 0U);
}

TEST(ConnectionMemoryTest, APieceWaitsForRoom) {
  constexpr int kPieces = 3;
  const std::string piece(2 * kMiB, 'p');
  Bounded bounded(6 * kMiB);
  Client holder = bounded.server.Connect();
  holder.Send(Unfinished(7 * kMiB / 2));
  bounded.server.Eventually([&] { return bounded.memory.used() >= 7 * kMiB / 2; });
  Client client = bounded.server.Connect();
  client.Send("hold large\necho behind\n");
  std::atomic<int> asked{0};
  int written = 0;
  bounded.server.WithPending("large", [&](PendingReply& reply) {
    ASSERT_TRUE(reply.Stream([reply, &asked, &written, &piece]() mutable {
      if (asked++ == 0) {
        reply.writer().Text("begun");
        return true;
      }
      reply.writer().Bulk(piece);
      if (++written == kPieces) reply.Finish();
      return true;
    }));
  });
  EXPECT_EQ(client.ReadLine(), "begun");
  // Who holds more is closed for it.
  EXPECT_NE(holder.ReadLine().find("memory for clients"), std::string::npos);
  for (int i = 0; i < kPieces; ++i) ASSERT_EQ(client.ReadLine(), piece);
  EXPECT_EQ(client.ReadLine(), "behind");
  EXPECT_EQ(bounded.server.server->stats().closed_memory, 1U);
}

TEST(ConnectionMemoryTest, AReplyInPiecesIsNeverHereAsAWhole) {
  constexpr int kPieces = 200;
  const std::string piece(100'000, 'p');
  Bounded bounded(4 * kMiB);
  Client client(bounded.server.port, /*receive_buffer_bytes=*/65536);
  client.Send("hold large\necho behind\n");
  int written = 0;
  bounded.server.WithPending("large", [&](PendingReply& reply) {
    reply.writer().Bulk("discarded");
    ASSERT_TRUE(reply.Stream([reply, &written, &piece]() mutable {
      reply.writer().Bulk(piece);
      if (++written == kPieces) reply.Finish();
      return true;
    }));
  });
  for (int i = 0; i < kPieces; ++i) {
    ASSERT_EQ(client.ReadLine(), piece);
    ASSERT_LE(bounded.memory.used(), 3 * kMiB);
  }
  EXPECT_EQ(client.ReadLine(), "behind");
}

TEST(ConnectionMemoryTest, ASourceMayWait) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("hold it\n");
  std::optional<PendingReply> waiting;
  bool there = false;
  server.WithPending("it", [&](PendingReply& reply) {
    waiting = reply;
    ASSERT_TRUE(reply.Stream([reply, &there]() mutable {
      if (!there) {
        there = true;
        return false;
      }
      reply.writer().Bulk("came");
      reply.Finish();
      return true;
    }));
  });
  server.Eventually([&] {
    bool asked = false;
    server.OnLoop([&] { asked = there; });
    return asked;
  });
  server.OnLoop([&] {
    waiting->Continue();
    waiting.reset();
  });
  EXPECT_EQ(client.ReadLine(), "came");
}

TEST(ConnectionMemoryTest, AnErrorAfterTheFirstPieceEndsTheConnection) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("hold it\necho behind\n");
  std::atomic<int> calls{0};
  server.WithPending("it", [&](PendingReply& reply) {
    ASSERT_TRUE(reply.Stream([reply, &calls]() mutable {
      if (++calls == 1) {
        reply.writer().Bulk("begun");
      } else {
        reply.FinishWithError({ErrorCode::kUnavailable, "gone"});
      }
      return true;
    }));
  });
  // What was written may have left or not; nothing follows it.
  const std::string all = client.ReadAll();
  EXPECT_TRUE(all.empty() || all == "begun\n" || all == "<reset>") << all;
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace gyre::test
