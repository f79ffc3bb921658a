// Connections that are sent to without a request.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "net/server_fixture.h"
#include "proto/frame.h"

namespace gyre::test {
namespace {

Client Subscriber(ServerThread& server, int receive_buffer_bytes = 0) {
  Client client(server.port, receive_buffer_bytes);
  client.Send("subscribe\n");
  EXPECT_EQ(client.ReadLine(), "subscribed");
  return client;
}

std::shared_ptr<PushWaker> WakerOf(ServerThread& server) {
  std::shared_ptr<PushWaker> waker;
  server.OnLoop([&] { waker = server.handler.waker; });
  return waker;
}

TEST(PushTest, ComesFromAnyThreadInOrder) {
  ServerThread server;
  Client client = Subscriber(server);
  const auto waker = WakerOf(server);
  constexpr int kMessages = 20'000;
  std::thread other([&] {
    for (int i = 0; i < kMessages; ++i) {
      server.handler.messages->Add(std::to_string(i));
      waker->Wake();
    }
  });
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(client.ReadLine(), std::to_string(i));
  other.join();
  EXPECT_EQ(server.server->stats().pushes, static_cast<std::uint64_t>(kMessages));
  EXPECT_EQ(server.server->stats().subscribers, 1U);
}

TEST(PushTest, StandsBetweenRepliesAndBehindTheOneThatSubscribed) {
  ServerThread server;
  Client client = server.Connect();
  server.handler.messages->Add("news");
  client.Send("later first\nsubscribe\necho last\n");
  const auto waker = WakerOf(server);
  server.Eventually([&] { return server.handler.handled == 3; });
  server.Finish("first", "one");
  EXPECT_EQ(client.ReadLine(), "one");
  EXPECT_EQ(client.ReadLine(), "subscribed");
  EXPECT_EQ(client.ReadLine(), "last");
  EXPECT_EQ(client.ReadLine(), "news");
  // A reply that waits does not hold it up any more.
  client.Send("later second\n");
  server.Eventually([&] { return server.handler.handled == 4; });
  server.handler.messages->Add("more news");
  WakerOf(server)->Wake();
  EXPECT_EQ(client.ReadLine(), "more news");
  server.Finish("second", "two");
  EXPECT_EQ(client.ReadLine(), "two");
}

TEST(PushTest, CarriesTheIdOfTheRequestThatSubscribed) {
  ServerThread server({}, Frames());
  server.handler.messages->Add("news");
  Client client = server.Connect();
  std::string frame;
  AppendFrame(FrameType::kRequest, 7, "subscribe", frame);
  client.Send(frame);
  const auto read = [&] {
    const std::string head = client.Read(FrameHeader::kBytes);
    const FrameHeader header = DecodeFrameHeader(head.data(), 1024).value();
    return std::tuple(header.type, header.request_id, client.Read(header.payload_bytes));
  };
  EXPECT_EQ(read(), std::tuple(FrameType::kReply, 7U, std::string("subscribed")));
  EXPECT_EQ(read(), std::tuple(FrameType::kPush, 7U, std::string("news")));
}

TEST(PushTest, ASlowReaderPausesTheSourceAndGoesOn) {
  constexpr std::size_t kPause = 256 << 10;
  constexpr std::size_t kMessage = 1000;
  ClientMemory memory(std::size_t{64} << 20);
  ServerThread server({.output_bytes_pause = kPause, .memory = &memory});
  server.handler.messages->endless_bytes = kMessage;
  Client client = Subscriber(server, 4096);
  server.Eventually([&] { return server.server->stats().push_pauses > 0; });
  std::uint64_t written = 0;
  server.OnLoop([&] { written = server.handler.messages->written; });
  for (int i = 0; i < 20; ++i) {
    server.OnLoop([] {});
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::uint64_t sent = server.server->stats().bytes_out;
  server.OnLoop([&] {
    // What the kernel took, and no more than the bound with one piece.
    EXPECT_LE(server.handler.messages->written * kMessage,
              sent + kPause + 2 * PushSink::kPieceBytes);
    server.sessions.ForEach([&](const Session& session) {
      EXPECT_GE(session.output_bytes, kPause);
      EXPECT_TRUE(session.subscribed);
    });
  });
  EXPECT_LE(memory.used(), 4 * kPause);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(client.ReadLine().size(), kMessage);
  server.Eventually([&] { return server.handler.messages->written > written + 1000; });
}

TEST(PushTest, WhoReadsNothingIsClosed) {
  ServerThread server(
      {.output_bytes_pause = 64 << 10, .slow_client_timeout = std::chrono::milliseconds(50)});
  server.handler.messages->endless_bytes = 1000;
  Client client = Subscriber(server, 4096);
  server.Eventually([&] { return server.server->stats().closed_slow == 1; });
  server.Eventually([&] { return server.server->stats().subscribers == 0; });
  EXPECT_EQ(server.handler.messages->sources, 0);
}

TEST(PushTest, AMessageThatNeverFitsEndsIt) {
  ClientMemory memory(std::size_t{1} << 20);
  ServerThread server({.memory = &memory});
  Client client = Subscriber(server);
  server.handler.messages->Add("small");
  server.handler.messages->Add(std::string(std::size_t{2} << 20, 'x'));
  WakerOf(server)->Wake();
  EXPECT_EQ(client.ReadLine(), "small");
  EXPECT_EQ(client.ReadLine(), "<closed>");
}

TEST(PushTest, OutlivedByItsWaker) {
  ServerThread server;
  {
    Client client = Subscriber(server);
    EXPECT_EQ(server.handler.messages->sources, 1);
    // A later one takes the place of the earlier.
    client.Send("subscribe\n");
    EXPECT_EQ(client.ReadLine(), "subscribed");
    EXPECT_EQ(server.handler.messages->sources, 1);
  }
  server.Eventually([&] { return server.handler.messages->sources == 0; });
  WakerOf(server)->Wake();
  server.OnLoop([] {});
}

TEST(PushTest, OthersHaveTheirTurns) {
  ServerThread server;
  server.handler.messages->endless_bytes = 100;
  Client reader = Subscriber(server);
  std::atomic<bool> done{false};
  std::thread reading([&] {
    while (!done) reader.Read(1 << 16);
  });
  Client client = server.Connect();
  for (int i = 0; i < 200; ++i) {
    client.Send("echo hello\n");
    ASSERT_EQ(client.ReadLine(), "hello");
  }
  done = true;
  reading.join();
}

}  // namespace
}  // namespace gyre::test
