#include "ops/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The other side: an abstract socket that collects what it is told.
class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() {
    name_ = "gyre-test-" + std::to_string(getpid());
    variables_["NOTIFY_SOCKET"] = '@' + name_;
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data(), name_.size());
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  }
  ~ServiceManagerTest() override { close(socket_); }

  Result<std::unique_ptr<ServiceManager>> Create() {
    return ServiceManager::Create({.variable = [this](const char* name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? nullptr : found->second.c_str();
    }});
  }
  std::unique_ptr<ServiceManager> Valid() {
    auto manager = Create();
    EXPECT_TRUE(manager) << manager.error().message;
    return std::move(*manager);
  }
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    char buffer[512];
    while (true) {
      const ssize_t bytes = recv(socket_, buffer, sizeof buffer, 0);
      if (bytes < 0) return told;
      told.emplace_back(buffer, static_cast<std::size_t>(bytes));
    }
  }

  std::string name_;
  std::map<std::string, std::string> variables_;
  int socket_ = -1;
};

using Lines = std::vector<std::string>;

TEST_F(ServiceManagerTest, SaysReadyOnceAndWhyNotBefore) {
  const auto manager = Valid();
  manager->Waits("not yet in the cluster");
  manager->Waits("not yet in the cluster");
  manager->Waits("fills itself\nREADY=1");
  EXPECT_EQ(Told(),
            (Lines{"STATUS=Not ready: not yet in the cluster", "STATUS=Not ready: fills itself"}))
      << "a line is a line";
  manager->Ready();
  manager->Ready();
  manager->Waits("drained");
  EXPECT_EQ(Told(), (Lines{"READY=1\nSTATUS=Ready"}));
}

TEST_F(ServiceManagerTest, AReloadBeforeItIsReadyDoesNotMakeItSo) {
  const auto manager = Valid();
  manager->BeginReload(TimePoint(seconds(3)));
  manager->EndReload();
  EXPECT_EQ(Told(), Lines{});
  manager->Ready();
  (void)Told();
  manager->BeginReload(TimePoint(seconds(3)));
  manager->EndReload();
  EXPECT_EQ(Told(), (Lines{"RELOADING=1\nMONOTONIC_USEC=3000000", "READY=1"}));
}

TEST_F(ServiceManagerTest, TheWatchdogHearsOfLifeAFewTimesInItsInterval) {
  variables_["WATCHDOG_USEC"] = "8000000";
  const auto manager = Valid();
  EXPECT_TRUE(manager->watched());
  for (int tick = 0; tick < 80; ++tick)
    manager->Alive(TimePoint(seconds(10) + milliseconds(100) * tick));
  EXPECT_EQ(Told(), Lines(4, "WATCHDOG=1"));
}

TEST_F(ServiceManagerTest, TheWatchdogOfAnotherProcessIsNone) {
  variables_["WATCHDOG_USEC"] = "1000000";
  variables_["WATCHDOG_PID"] = "1";
  const auto manager = Valid();
  manager->Alive(TimePoint(seconds(100)));
  EXPECT_EQ(Told(), Lines{});
  variables_["WATCHDOG_PID"] = std::to_string(getpid());
  EXPECT_TRUE(Valid()->watched());
}

TEST_F(ServiceManagerTest, AStopSaysHowLongItMayTake) {
  const auto manager = Valid();
  manager->BeginStop(seconds(35));
  manager->ExtendStop(milliseconds(1500));
  EXPECT_EQ(Told(), (Lines{"STOPPING=1\nSTATUS=Stopping: hands over what it owns\n"
                           "EXTEND_TIMEOUT_USEC=35000000",
                           "EXTEND_TIMEOUT_USEC=1500000"}));
}

TEST_F(ServiceManagerTest, WhatCouldNotBeSentIsSaidAgain) {
  const auto manager = Valid();
  close(socket_);
  manager->Ready();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name_.data(), name_.size());
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
  ASSERT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  manager->Ready();
  EXPECT_EQ(Told(), (Lines{"READY=1\nSTATUS=Ready"}));
}

TEST_F(ServiceManagerTest, WithoutAServiceManagerNothingIsSaid) {
  for (const char* none : {"", static_cast<const char*>(nullptr)}) {
    variables_.erase("NOTIFY_SOCKET");
    if (none != nullptr) variables_["NOTIFY_SOCKET"] = none;
    variables_["WATCHDOG_USEC"] = "1000000";
    const auto manager = Valid();
    manager->Ready();
    manager->Alive(TimePoint(seconds(100)));
    EXPECT_EQ(Told(), Lines{});
  }
}

TEST_F(ServiceManagerTest, ExplainsWhatIsWrongWithTheEnvironment) {
  for (const std::string& bad : {std::string("run/notify"), '/' + std::string(200, 'x')}) {
    variables_["NOTIFY_SOCKET"] = bad;
    const auto manager = Create();
    ASSERT_FALSE(manager) << bad;
    EXPECT_NE(manager.error().message.find("NOTIFY_SOCKET"), std::string::npos);
  }
  variables_["NOTIFY_SOCKET"] = '@' + name_;
  for (const char* bad : {"", "0", "-1", "1s", "99999999999999999999"}) {
    variables_["WATCHDOG_USEC"] = bad;
    const auto manager = Create();
    ASSERT_FALSE(manager) << bad;
    EXPECT_NE(manager.error().message.find("WATCHDOG_USEC"), std::string::npos);
  }
}

}  // namespace
}  // namespace gyre
