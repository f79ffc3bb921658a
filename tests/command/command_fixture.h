// One node that owns everything, and a vocabulary of command lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "command/test_cluster.h"

namespace gyre::testing {

struct Line {
  std::string command;
  std::string expected;  // TextOf the reply
};

class CommandTest : public ::testing::Test {
 protected:
  Reply Run(const std::string& line) { return cluster_.RunAs(0, node().client, Words(line)); }
  std::string Text(const std::string& line) { return TextOf(Run(line)); }
  Reply RunWords(const std::vector<std::string>& words) {
    return cluster_.RunAs(0, node().client, words);
  }
  std::string Memcached(const std::string& line) {
    return TextOf(cluster_.RunAs(0, node().memcached_client, Words(line)));
  }
  // Runs the lines one after the other.
  void Expect(const std::vector<Line>& lines) {
    for (const Line& line : lines) EXPECT_EQ(Text(line.command), line.expected) << line.command;
  }
  void ExpectMemcached(const std::vector<Line>& lines) {
    for (const Line& line : lines)
      EXPECT_EQ(Memcached(line.command), line.expected) << line.command;
  }
  void Pass(Duration span) { cluster_.time.Advance(span); }
  UnixMillis now() const { return cluster_.time.unix_now(); }
  TestNode& node() { return cluster_.node(0); }
  FakeReplicator& replicator() { return node().replicator; }

  TestCluster cluster_{1};
};

}  // namespace gyre::testing
