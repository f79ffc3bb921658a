#include <gtest/gtest.h>

#include <string>

#include "net/event_loop.h"
#include "net/resolver.h"
#include "net/socket_address.h"

namespace gyre {
namespace {

TEST(SocketAddressTest, ReadsAndWritesNumericAddresses) {
  const struct {
    const char* ip;
    const char* text;
  } cases[] = {{"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"0.0.0.0", "0.0.0.0:80"}};
  for (const auto& c : cases) {
    const auto address = SocketAddress::FromNumeric(c.ip, 80);
    ASSERT_TRUE(address) << c.ip;
    EXPECT_EQ(address->ToString(), c.text);
    EXPECT_EQ(address->ip(), c.ip);
    EXPECT_EQ(address->port(), 80);
    EXPECT_EQ(SocketAddress::From(address->raw()).ToString(), c.text);
  }
  for (const char* name : {"localhost", "", "1.2.3", "1.2.3.4.5", "[::1]", "256.1.1.1"}) {
    EXPECT_FALSE(SocketAddress::FromNumeric(name, 80)) << name;
  }
}

TEST(SocketAddressTest, TakesAnotherPort) {
  auto address = SocketAddress::FromNumeric("::1", 80);
  address->set_port(65535);
  EXPECT_EQ(address->port(), 65535);
}

class ResolverTest : public ::testing::Test {
 protected:
  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::Create().value());
};

TEST_F(ResolverTest, AnswersNumericAddressesAtOnce) {
  Resolver resolver(*loop_);
  std::string got;
  resolver.Resolve("127.0.0.1", 7700, [&](const auto& found) { got = found->front().ToString(); });
  EXPECT_EQ(got, "127.0.0.1:7700");
}

TEST_F(ResolverTest, ResolvesNamesOnceForAll) {
  int answers = 0;
  {
    Resolver resolver(*loop_);
    const auto count = [&](std::uint16_t port) {
      return [&, port](const Result<std::vector<SocketAddress>>& found) {
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->front().port(), port);
        if (++answers == 2) loop_->Stop();
      };
    };
    resolver.Resolve("localhost", 1, count(1));
    resolver.Resolve("localhost", 2, count(2));
    EXPECT_EQ(answers, 0) << "never from within the call";
    loop_->Run();
    EXPECT_EQ(answers, 2);
    resolver.Resolve("localhost", 3, count(3));
    EXPECT_EQ(answers, 3) << "remembered";
  }
}

TEST_F(ResolverTest, ExplainsAFailure) {
  Resolver resolver(*loop_);
  const std::string name(300, 'x');
  std::string message;
  resolver.Resolve(name, 1, [&](const auto& found) {
    message = found.error().message;
    loop_->Stop();
  });
  EXPECT_EQ(message, "") << "never from within the call";
  loop_->Run();
  EXPECT_EQ(message.substr(0, 20), "cannot resolve xxxxx");
}

TEST_F(ResolverTest, MayGoBeforeTheAnswer) {
  auto resolver = std::make_unique<Resolver>(*loop_);
  resolver->Resolve("localhost", 1, [](const auto&) { FAIL() << "nobody waits"; });
  resolver.reset();
  loop_.reset();
}

}  // namespace
}  // namespace gyre
