#include "net/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "net/admission.h"
#include "net/server_fixture.h"

namespace gyre::test {
namespace {

TEST(ServerTest, FillsTheSession) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo a\necho b\n");
  EXPECT_EQ(client.ReadLine(), "a");
  EXPECT_EQ(client.ReadLine(), "b");
  std::size_t seen = 0;
  server.sessions.ForEach([&](const Session& session) {
    ++seen;
    EXPECT_EQ(session.local_address, "127.0.0.1:" + std::to_string(server.port));
    EXPECT_EQ(session.peer_address.substr(0, 10), "127.0.0.1:");
    EXPECT_GT(session.id, 0U);
    EXPECT_GT(session.connected_ms, 1'600'000'000'000);
    EXPECT_GE(session.last_active_ms, session.connected_ms);
  });
  EXPECT_EQ(seen, 1U);
  client.Close();
  server.Eventually([&] { return server.sessions.count() == 0; });
}

TEST(ServerTest, CountsWhatPassesThrough) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("echo 1234567\n");
  client.ReadLine();
  server.Eventually([&] { return server.server->stats().bytes_out == 8; });
  const ServerStats stats = server.server->stats();
  EXPECT_EQ(stats.connections, 1U);
  EXPECT_EQ(stats.accepted, 1U);
  EXPECT_EQ(stats.bytes_in, 13U);
  EXPECT_EQ(stats.requests, 1U);
}

TEST(ServerTest, RefusesMoreConnectionsThanTheLimit) {
  ConnectionLimits limits;
  limits.connections_max = 2;
  ServerThread server(limits);
  Client one = server.Connect();
  Client two = server.Connect();
  one.Send("echo 1\n");
  two.Send("echo 2\n");
  EXPECT_EQ(one.ReadLine(), "1");
  EXPECT_EQ(two.ReadLine(), "2");
  Client three = server.Connect();
  EXPECT_EQ(three.ReadLine(), "-max number of clients reached: 2 are connected; close some");
  EXPECT_EQ(server.server->stats().rejected, 1U);
  one.Close();
  server.Eventually([&] { return server.server->stats().connections == 1; });
  Client four = server.Connect();
  four.Send("echo 4\n");
  EXPECT_EQ(four.ReadLine(), "4");
}

TEST(ServerTest, ClientsOfOneAddressHaveALimit) {
  Admission admission(10, 2);
  ServerThread server({.admission = &admission});
  Client one = server.Connect();
  Client two = server.Connect();
  one.Send("echo 1\n");
  two.Send("echo 2\n");
  EXPECT_EQ(one.ReadLine(), "1");
  EXPECT_EQ(two.ReadLine(), "2");
  EXPECT_NE(server.Connect().ReadLine().find("from this address"), std::string::npos);
  one.Close();
  server.Eventually([&] { return server.server->stats().connections == 1; });
  Client four = server.Connect();
  four.Send("echo 4\n");
  EXPECT_EQ(four.ReadLine(), "4");
}

// A port of a proxy's clients.
class ProxiedTest : public ::testing::Test {
 protected:
  ProxiedTest() {
    server_.OnLoop([this] {
      const Status listening =
          server_.server->Listen({.codec = Lines(), .handler = &server_.handler, .proxied = true});
      ASSERT_TRUE(listening);
      port_ = server_.server->bound_port();
    });
  }
  static std::string From(const std::string& ip) {
    return "PROXY TCP4 " + ip + " 192.0.2.2 1234 1\r\n";
  }
  std::vector<std::string> Addresses() {
    std::vector<std::string> addresses;
    server_.sessions.ForEach(
        [&](const Session& session) { addresses.push_back(session.peer_address); });
    return addresses;
  }

  Admission admission_{10, 1};
  ServerThread server_{{.admission = &admission_}};
  std::uint16_t port_ = 0;
};

TEST_F(ProxiedTest, ClientsCountAndAreShownByTheAddressThatTheProxyTells) {
  Client one(port_);
  one.Send(From("192.0.2.7") + "echo 1\n");
  EXPECT_EQ(one.ReadLine(), "1");
  EXPECT_EQ(Addresses(), std::vector<std::string>{"192.0.2.7:1234"});
  Client two(port_);  // the proxy's address again, which is free for it
  for (const char byte : From("192.0.2.8")) two.Send(std::string_view(&byte, 1));
  two.Send("echo 2\n");
  EXPECT_EQ(two.ReadLine(), "2");
  Client same(port_);
  same.Send(From("192.0.2.7") + "echo 3\n");
  EXPECT_THAT(same.ReadLine(), testing::HasSubstr("from this address"));
  EXPECT_EQ(same.ReadLine(), "<closed>");
  one.Close();
  same.Close();
  server_.Eventually([&] { return server_.server->stats().connections == 1; });
  Client again(port_);
  again.Send(From("192.0.2.7") + "echo 4\n");
  EXPECT_EQ(again.ReadLine(), "4");
}

TEST_F(ProxiedTest, AHealthCheckOfTheProxyNeedsNoAddress) {
  Client check(port_);
  check.Send(std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16) + "echo well\n");
  EXPECT_EQ(check.ReadLine(), "well");
}

TEST_F(ProxiedTest, WhoSendsNoHeaderIsToldAndClosed) {
  Client direct(port_);
  direct.Send("echo 1\n");
  EXPECT_THAT(direct.ReadLine(), testing::HasSubstr("--proxy-protocol"));
  EXPECT_EQ(direct.ReadLine(), "<closed>");
  EXPECT_EQ(server_.handler.handled, 0);
  EXPECT_EQ(server_.server->stats().protocol_errors, 1U);
}

TEST(ServerTest, ClosesIdleClients) {
  ServerThread server({.idle_timeout = std::chrono::milliseconds(100)});
  Client idle = server.Connect();
  Client waiting = server.Connect();
  waiting.Send("later answer\n");
  EXPECT_EQ(idle.ReadLine(), "<closed>");
  EXPECT_EQ(server.server->stats().closed_idle, 1U);
  server.Finish("answer", "came");
  EXPECT_EQ(waiting.ReadLine(), "came");
}

// A native port: who is what shows in the first request.
class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest() {
    server_.OnLoop([this] {
      const Status listening = server_.server->Listen(
          {.protocol = Protocol::kNative, .codec = Lines(), .handler = &server_.handler});
      ASSERT_TRUE(listening);
      native_port_ = server_.server->bound_port();
    });
  }

  Admission admission_{2, 0};
  ServerThread server_{{.admission = &admission_,
                        .reserved_idle_timeout = std::chrono::milliseconds(100),
                        .undecided_timeout = Duration{}}};
  std::uint16_t native_port_ = 0;
};

TEST_F(AdmissionTest, PeersFindAPlaceWhereClientsHaveTakenAll) {
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(server_.Connect());
    clients.back().Send("echo here\n");
    EXPECT_EQ(clients.back().ReadLine(), "here");
  }
  EXPECT_NE(server_.Connect().ReadLine().find("max number of clients"), std::string::npos);
  std::vector<Client> peers;
  for (int i = 0; i < 100; ++i) {
    peers.emplace_back(native_port_);
    peers.back().Send("from-peer\n");
    EXPECT_EQ(peers.back().ReadLine(), "-unknown") << "it was handled";
  }
}

TEST_F(AdmissionTest, AFewNativeClientsMoreAreLetInForShortWork) {
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 2 + Admission::kReservedMax; ++i) {
    clients.emplace_back(native_port_);
    clients.back().Send("later " + std::to_string(i) + "\n");
  }
  server_.Eventually([&] { return server_.server->stats().connections == clients.size(); });
  server_.Eventually(
      [&] { return server_.handler.handled == static_cast<int>(2 + Admission::kReservedMax); });
  Client refused(native_port_);
  refused.Send("echo here\n");
  EXPECT_NE(refused.ReadLine().find("max number of clients"), std::string::npos);
  EXPECT_EQ(refused.ReadLine(), "<closed>");
  for (std::size_t i = 0; i < clients.size(); ++i) server_.Finish(std::to_string(i), "done");
  for (Client& client : clients) EXPECT_EQ(client.ReadLine(), "done");
  // Idle now, those beyond the limit go.
  server_.Eventually([&] { return server_.server->stats().connections == 2; });
}

TEST_F(AdmissionTest, WhoSaysNothingMakesRoomForOthers) {
  std::vector<Client> silent;
  for (std::size_t i = 0; i < Admission::kUndecidedMax; ++i) silent.emplace_back(native_port_);
  server_.Eventually(
      [&] { return server_.server->stats().connections == Admission::kUndecidedMax; });
  Client client(native_port_);
  client.Send("echo here\n");
  EXPECT_EQ(client.ReadLine(), "here");
  EXPECT_EQ(silent.front().ReadLine(), "<closed>") << "the oldest";
}

TEST(ServerTest, HoldsThousandsOfConnections) {
  constexpr std::size_t kConnections = 4000;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  // Two files a connection: both ends are here.
  const std::size_t count = std::min<std::size_t>(kConnections, (files.rlim_cur - 100) / 2);
  ServerThread server;
  std::vector<Client> clients;
  clients.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(server.Connect());
    ASSERT_TRUE(clients.back().connected()) << i;
  }
  for (std::size_t i = 0; i < count; ++i) clients[i].Send("echo " + std::to_string(i) + "\n");
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(clients[i].ReadLine(), std::to_string(i));
  EXPECT_EQ(server.server->stats().connections, count);
  clients.clear();
  server.Eventually([&] { return server.server->stats().connections == 0; });
}

TEST(ServerTest, SurvivesRunningOutOfFiles) {
  ServerThread server;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // Sockets that wait in the backlog, then no file left for the server's side of them.
  Client first = server.Connect();
  first.Send("echo up\n");
  ASSERT_EQ(first.ReadLine(), "up");
  const int probe = dup(0);
  ASSERT_GE(probe, 0);
  close(probe);
  Client second = server.Connect();
  second.Send("echo up\n");
  ASSERT_EQ(second.ReadLine(), "up");
  const int highest = dup(0);
  close(highest);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(highest) + 1;  // one more: the client's own end
  setrlimit(RLIMIT_NOFILE, &tight);
  Client third = server.Connect();
  ASSERT_TRUE(third.connected());
  third.Send("echo patience\n");
  server.Eventually([&] { return server.server->stats().accept_errors > 0; });
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(third.ReadLine(), "patience");
}

TEST(ServerTest, MarksWhatCameWhileTheProcessSlept) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("waited\n");
  EXPECT_EQ(client.ReadLine(), "false");
  server.pause_detector.Beat(SteadyNow() - PauseDetector::kPaused);
  client.Send("waited\nwaited\n");
  EXPECT_EQ(client.ReadLine(), "true");
  EXPECT_EQ(client.ReadLine(), "true");
  client.Send("waited\nwaited\n");
  EXPECT_EQ(client.ReadLine(), "false");
  EXPECT_EQ(client.ReadLine(), "false");
}

// They connected, and sent their requests, before anybody accepted them.
TEST(ServerTest, MarksWhatAllConnectionsSentThatWaitedToBeAccepted) {
  ServerThread server;
  std::promise<void> pauses;
  std::promise<void> slept;
  server.loop->Post([&] {
    pauses.set_value();
    slept.get_future().wait();
  });
  pauses.get_future().wait();
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(server.Connect());
  for (Client& client : clients) client.Send("waited\n");
  server.pause_detector.Beat(SteadyNow() - PauseDetector::kPaused);
  slept.set_value();
  for (Client& client : clients) {
    EXPECT_EQ(client.ReadLine(), "true");
    client.Send("waited\n");
    EXPECT_EQ(client.ReadLine(), "false");
  }
  Client next = server.Connect();
  next.Send("waited\n");
  EXPECT_EQ(next.ReadLine(), "false");
}

TEST(ServerTest, AConnectionLongAfterASleepDidNotWait) {
  ServerThread server;
  server.pause_detector.Beat(SteadyNow() - PauseDetector::kPaused);
  server.pause_detector.Beat(SteadyNow());
  server.OnLoop([&] { server.server->NotePause(); });
  Client client = server.Connect();
  client.Send("waited\n");
  EXPECT_EQ(client.ReadLine(), "false");
}

TEST(ServerTest, WhatAnIdleConnectionSendsLongAfterASleepDidNotWait) {
  ServerThread server;
  Client idle = server.Connect();
  Client partial = server.Connect();
  for (Client* client : {&idle, &partial}) {
    client->Send("waited\n");
    EXPECT_EQ(client->ReadLine(), "false");
  }
  partial.Send("wai");
  server.Eventually([&] { return server.server->stats().bytes_in == 17; });
  server.pause_detector.Beat(SteadyNow() - PauseDetector::kPaused);
  server.pause_detector.Beat(SteadyNow());
  server.OnLoop([&] { server.server->NotePause(); });
  idle.Send("waited\n");
  EXPECT_EQ(idle.ReadLine(), "false");
  partial.Send("ted\nwaited\n");
  EXPECT_EQ(partial.ReadLine(), "true");
  EXPECT_EQ(partial.ReadLine(), "false");
}

TEST(ServerTest, WhatOneConnectionTellsOfASleepIsSeenOnAll) {
  ServerThread server;
  Client busy = server.Connect();
  Client idle = server.Connect();
  for (Client* client : {&busy, &idle}) {
    client->Send("waited\n");
    EXPECT_EQ(client->ReadLine(), "false");
  }
  server.pause_detector.Beat(SteadyNow() - PauseDetector::kPaused);
  server.pause_detector.Beat(SteadyNow());
  busy.Send("waited\n");
  EXPECT_EQ(busy.ReadLine(), "true");
  idle.Send("waited\n");
  EXPECT_EQ(idle.ReadLine(), "false");
}

TEST(ServerTest, SeveralLoopsShareAPort) {
  ServerThread one;
  ServerThread two;
  two.OnLoop([&] {
    const Status listening = two.server->Listen(
        {.port = one.port, .codec = Lines(), .handler = &two.handler, .flag_name = "--port"});
    EXPECT_TRUE(listening) << listening.error().message;
  });
  // The kernel deals connections out by a hash of their ports: in 64 tries each gets some.
  for (int i = 0; i < 64; ++i) {
    Client client = one.Connect();
    client.Send("echo hello\n");
    EXPECT_EQ(client.ReadLine(), "hello");
  }
  EXPECT_GT(one.server->stats().accepted, 0U);
  EXPECT_GT(two.server->stats().accepted, 0U);
  EXPECT_EQ(one.server->stats().accepted + two.server->stats().accepted, 64U);
}

TEST(ServerTest, TellsThatAPortIsInUse) {
  ServerThread server;
  const Status taken = CheckPortFree("127.0.0.1", server.port, "--resp-port");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message,
            "port " + std::to_string(server.port) +
                " is in use: stop what listens there or choose another --resp-port");
  server.OnLoop([&] { server.server->StopListening(); });
  const Status free = CheckPortFree("127.0.0.1", server.port, "--resp-port");
  EXPECT_TRUE(free) << free.error().message;
}

TEST(ServerTest, TellsThatAnAddressIsNotOfThisMachine) {
  const Status status = CheckPortFree("192.0.2.1", 6379, "--resp-port");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "192.0.2.1 is not an address of this machine: correct --host");
}

TEST(ServerTest, ListensOnNamesAndIpv6) {
  for (const std::string host : {"localhost", "::1"}) {
    ServerThread server;
    server.OnLoop([&] {
      const Status status =
          server.server->Listen({.host = host, .codec = Lines(), .handler = &server.handler});
      EXPECT_TRUE(status || host == "::1") << status.error().message;
    });
  }
}

// ---- Drain -------------------------------------------------------------------------------------

class DrainTest : public ::testing::Test {
 protected:
  void Drain(Duration patience) {
    server_.OnLoop([&] {
      server_.server->Drain(server_.loop->now() + patience, [this] { drained_ = true; });
    });
  }
  void ExpectDrained() {
    server_.Eventually([&] { return drained_.load(); });
    EXPECT_EQ(server_.server->stats().connections, 0U);
  }

  std::atomic<bool> drained_{false};
  ServerThread server_;
};

TEST_F(DrainTest, EndsAtOnceWithoutConnections) {
  Drain(kPatience);
  ExpectDrained();
  EXPECT_FALSE(server_.Connect().connected());
}

TEST_F(DrainTest, ClosesIdleConnections) {
  Client client = server_.Connect();
  client.Send("echo a\n");
  EXPECT_EQ(client.ReadLine(), "a");
  Drain(kPatience);
  EXPECT_EQ(client.ReadLine(), "<closed>");
  ExpectDrained();
}

TEST_F(DrainTest, FinishesWhatIsInFlight) {
  Client client = server_.Connect();
  client.Send("later one\necho behind\n");
  server_.Eventually([&] { return server_.handler.handled == 2; });
  Drain(kPatience);
  server_.Finish("one", "ONE");
  EXPECT_EQ(client.ReadAll(), "ONE\nbehind\n");
  client.Close();
  ExpectDrained();
}

TEST_F(DrainTest, CutsTheRestAtTheDeadline) {
  Client client = server_.Connect();
  client.Send("later never\n");
  server_.Eventually([&] { return server_.handler.handled == 1; });
  Drain(std::chrono::milliseconds(50));
  EXPECT_EQ(client.ReadAll(), "");
  ExpectDrained();
}

}  // namespace
}  // namespace gyre::test
