#include "ops/agent_check.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace gyre {
namespace {

TEST(AgentLineTest, SaysWhetherAndHowMuchANodeTakes) {
  EXPECT_EQ(AgentLine({.busy_ratio = 0}), "ready up 100%\n");
  EXPECT_EQ(AgentLine({.busy_ratio = 0.04}), "ready up 100%\n");
  EXPECT_EQ(AgentLine({.busy_ratio = 0.32}), "ready up 70%\n");
  EXPECT_EQ(AgentLine({.busy_ratio = 0.99}), "ready up 10%\n") << "it goes on serving";
  EXPECT_EQ(AgentLine({.busy_ratio = 7}), "ready up 10%\n");
  EXPECT_EQ(AgentLine({.busy_ratio = -1}), "ready up 100%\n");
  EXPECT_EQ(AgentLine({.not_ready = "being filled: 3 left"}), "down#being filled: 3 left\n");
  EXPECT_EQ(AgentLine({.not_ready = "two\nlines"}), "down#two lines\n");
  EXPECT_EQ(AgentLine({.leaves = true, .not_ready = "stopping"}), "drain\n");
}

TEST(AgentAskersTest, KnowsWhenAllWereTold) {
  AgentAskers askers;
  const TimePoint start{};
  EXPECT_TRUE(askers.AllKnow(start)) << "nobody asks";
  askers.Told(start, "a", false);
  askers.Told(start, "b", false);
  EXPECT_FALSE(askers.AllKnow(start));
  askers.Told(start + std::chrono::seconds(1), "a", true);
  EXPECT_FALSE(askers.AllKnow(start + std::chrono::seconds(1)));
  const TimePoint told = start + std::chrono::seconds(2);
  askers.Told(told, "b", true);
  EXPECT_FALSE(askers.AllKnow(told)) << "b has not acted by it yet";
  EXPECT_TRUE(askers.AllKnow(told + AgentAskers::kUntilHeeded));
  const TimePoint again = told + std::chrono::seconds(2);
  askers.Told(again, "b", true);
  EXPECT_FALSE(askers.AllKnow(again)) << "another backend of b's, maybe: it acts by it soon";
  EXPECT_TRUE(askers.AllKnow(again + std::chrono::milliseconds(250)));
  askers.Told(start + std::chrono::seconds(3), "c", false);
  EXPECT_FALSE(askers.AllKnow(start + std::chrono::seconds(12)));
  EXPECT_TRUE(askers.AllKnow(start + std::chrono::seconds(13))) << "c has gone";
}

std::string AllOf(std::uint16_t port, const std::string& sent) {
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(file, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  (void)send(file, sent.data(), sent.size(), MSG_NOSIGNAL);
  std::string all;
  char bytes[64];
  for (ssize_t count; (count = recv(file, bytes, sizeof bytes, 0)) > 0;) {
    all.append(bytes, static_cast<std::size_t>(count));
  }
  close(file);
  return all;
}

TEST(AgentPortTest, AnswersEachConnectionWithTheLineOfTheMomentAndClosesIt) {
  const auto loop = std::move(EventLoop::Create().value());
  int asked = 0;
  auto port = AgentPort::Open(*loop, "127.0.0.1", 0,
                              [&asked] { return AgentState{.leaves = ++asked == 2}; });
  ASSERT_TRUE(port);
  std::thread thread([&] { loop->Run(); });
  EXPECT_EQ(AllOf((*port)->bound_port(), ""), "ready up 100%\n");
  EXPECT_EQ(AllOf((*port)->bound_port(), ""), "drain\n");
  EXPECT_EQ(AllOf((*port)->bound_port(), ""), "ready up 100%\n");
  loop->Post([&] { port->reset(); });
  loop->Stop();
  thread.join();
}

}  // namespace
}  // namespace gyre
