#include "cluster_net/seed_addresses.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gyre {
namespace {

TEST(SeedAddressesTest, AreThoseThatMayLeadToOthers) {
  struct Row {
    std::vector<std::string> found;
    std::string own;
    std::vector<std::string> expected;
  };
  const std::vector<Row> rows = {
      {{"10.0.0.1"}, "10.0.0.1", {"10.0.0.1"}},
      {{"10.0.0.3", "10.0.0.1", "10.0.0.2"}, "10.0.0.1", {"10.0.0.1", "10.0.0.2", "10.0.0.3"}},
      {{"10.0.0.2", "10.0.0.2"}, "10.0.0.1", {"10.0.0.2"}},
      // localhost, and a node that has but one family.
      {{"::1", "127.0.0.1"}, "127.0.0.1", {"127.0.0.1"}},
      {{"::1", "127.0.0.1"}, "::1", {"::1"}},
      {{"fd00::2"}, "10.0.0.1", {"fd00::2"}},
      // What its own family is, is not known.
      {{"fd00::2", "10.0.0.2"}, "n1.example", {"10.0.0.2", "fd00::2"}},
  };
  for (const Row& row : rows) {
    std::vector<SocketAddress> found;
    for (const std::string& ip : row.found) found.push_back(*SocketAddress::FromNumeric(ip, 7700));
    std::vector<Address> expected;
    for (const std::string& ip : row.expected) expected.push_back({ip, 7700});
    EXPECT_EQ(SeedAddresses(found, {row.own, 7700}), expected) << row.own;
  }
}

}  // namespace
}  // namespace gyre
