#include "net/udp_socket.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace gyre {
namespace {

class UdpSocketTest : public ::testing::Test {
 protected:
  std::unique_ptr<UdpSocket> Open() {
    auto socket = std::make_unique<UdpSocket>(
        *loop_, [this](const std::string& ip, std::uint16_t port, std::string_view bytes) {
          from_ip_ = ip;
          from_port_ = port;
          received_.emplace_back(bytes);
          if (received_.size() == expected_) loop_->Stop();
        });
    const Status bound = socket->Bind("127.0.0.1", 0);
    EXPECT_TRUE(bound) << bound.error().message;
    return socket;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::Create().value());
  std::vector<std::string> received_;
  std::size_t expected_ = 1;
  std::string from_ip_;
  std::uint16_t from_port_ = 0;
};

TEST_F(UdpSocketTest, CarriesDatagrams) {
  const auto one = Open();
  const auto two = Open();
  expected_ = 3;
  one->Send("127.0.0.1", two->bound_port(), "hello");
  one->Send("127.0.0.1", two->bound_port(), "");
  one->Send("127.0.0.1", two->bound_port(), std::string(60'000, 'x'));
  loop_->Run();
  EXPECT_EQ(received_, (std::vector<std::string>{"hello", "", std::string(60'000, 'x')}));
  EXPECT_EQ(from_ip_, "127.0.0.1");
  EXPECT_EQ(from_port_, one->bound_port());
  EXPECT_EQ(one->stats().sent, 3U);
  EXPECT_EQ(two->stats().received, 3U);
}

TEST_F(UdpSocketTest, ResolvesNames) {
  const auto one = Open();
  const auto two = Open();
  one->Send("localhost", two->bound_port(), "by name");
  // Where localhost is ::1 first, the IPv4 socket cannot send there: counted, not fatal.
  one->Send("127.0.0.1", two->bound_port(), "by number");
  expected_ = 1;
  loop_->Run();
  EXPECT_FALSE(received_.empty());
}

TEST_F(UdpSocketTest, CountsWhatCannotBeSent) {
  const auto one = Open();
  one->Send("127.0.0.1", one->bound_port(), std::string(70'000, 'x'));
  EXPECT_EQ(one->stats().send_errors, 1U);
}

TEST_F(UdpSocketTest, TellsThatThePortIsInUse) {
  const auto one = Open();
  UdpSocket other(*loop_, nullptr);
  const Status status = other.Bind("127.0.0.1", one->bound_port());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "UDP port " + std::to_string(one->bound_port()) +
                                        " is in use: stop what listens there or choose another");
}

}  // namespace
}  // namespace gyre
