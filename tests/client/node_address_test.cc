#include "client/node_address.h"

#include <gtest/gtest.h>

namespace gyre::client {
namespace {

struct Case {
  const char* text;
  const char* host;  // null: refused
  std::uint16_t port;
};

class AddressTest : public ::testing::TestWithParam<Case> {};

TEST_P(AddressTest, Parse) {
  const Case& c = GetParam();
  const Result<NodeAddress> address = NodeAddress::Parse(c.text);
  if (c.host == nullptr) {
    ASSERT_FALSE(address) << address->ToString();
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().message.find("HOST:PORT"), std::string::npos);
    return;
  }
  ASSERT_TRUE(address) << address.error().message;
  EXPECT_EQ(address->host, c.host);
  EXPECT_EQ(address->port, c.port);
  const Result<NodeAddress> again = NodeAddress::Parse(address->ToString());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *address);
}

INSTANTIATE_TEST_SUITE_P(
    Table, AddressTest,
    ::testing::Values(Case{"127.0.0.1:7700", "127.0.0.1", 7700}, Case{"node-1", "node-1", 7700},
                      Case{"node-1:1", "node-1", 1}, Case{"[::1]:7701", "::1", 7701},
                      Case{"[::1]", "::1", 7700}, Case{"a:65535", "a", 65535}, Case{"", nullptr, 0},
                      Case{":7700", nullptr, 0}, Case{"a:", nullptr, 0}, Case{"a:0", nullptr, 0},
                      Case{"a:65536", nullptr, 0}, Case{"a:-1", nullptr, 0},
                      Case{"a:7x", nullptr, 0}, Case{"::1", nullptr, 0}, Case{"[::1", nullptr, 0},
                      Case{"[::1]7700", nullptr, 0}, Case{"[]:1", nullptr, 0}));

TEST(AddressTest, AHostOverItsBoundIsRefused) {
  EXPECT_TRUE(NodeAddress::Parse(std::string(kHostBytesMax, 'h')));
  EXPECT_FALSE(NodeAddress::Parse(std::string(kHostBytesMax + 1, 'h')));
}

}  // namespace
}  // namespace gyre::client
