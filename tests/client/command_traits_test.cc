#include "client/command_traits.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace gyre::client {
namespace {

struct RoutingCase {
  std::vector<std::string_view> args;
  std::size_t key_index;
  Effect effect;
};

class CommandTraitsTest : public ::testing::TestWithParam<RoutingCase> {};

TEST_P(CommandTraitsTest, Traits) {
  const CommandTraits traits = TraitsOf(GetParam().args);
  EXPECT_EQ(traits.key_index, GetParam().key_index);
  EXPECT_EQ(traits.effect, GetParam().effect);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CommandTraitsTest,
    ::testing::Values(
        RoutingCase{{"GET", "k"}, 1, Effect::kRead}, RoutingCase{{"get", "k"}, 1, Effect::kRead},
        RoutingCase{{"GET"}, 0, Effect::kRead},
        RoutingCase{{"SET", "k", "v"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"SET", "k", "v", "EX", "10"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"SET", "k", "NX"}, 1, Effect::kIdempotentWrite},  // NX is the value
        RoutingCase{{"SET", "k", "v", "nx"}, 1, Effect::kWrite},
        RoutingCase{{"SET", "k", "v", "XX"}, 1, Effect::kWrite},
        RoutingCase{{"SET", "k", "v", "GET"}, 1, Effect::kWrite},
        RoutingCase{{"mc.cas", "k", "0", "0", "7", "v"}, 1, Effect::kWrite},
        RoutingCase{{"INCR", "k"}, 1, Effect::kWrite},
        RoutingCase{{"APPEND", "k", "v"}, 1, Effect::kWrite},
        RoutingCase{{"GETDEL", "k"}, 1, Effect::kWrite},
        RoutingCase{{"DEL", "k"}, 1, Effect::kIdempotentWrite},
        RoutingCase{
            {"SETRANGE", "k", "0", "NX"}, 1, Effect::kIdempotentWrite},  // data, not an option
        RoutingCase{{"EXPIRE", "k", "10"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"EXPIRE", "k", "10", "NX"}, 1, Effect::kWrite},
        RoutingCase{{"pexpire", "k", "10", "xx"}, 1, Effect::kWrite},
        RoutingCase{{"EXPIREAT", "k", "10", "GT"}, 1, Effect::kWrite},
        RoutingCase{{"PEXPIREAT", "k", "10", "LT"}, 1, Effect::kWrite},
        RoutingCase{{"PERSIST", "k"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"GETEX", "k", "EX", "10"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"SUBSTR", "k", "0", "1"}, 1, Effect::kRead},
        RoutingCase{{"MC.GET", "k"}, 1, Effect::kRead},
        RoutingCase{{"mc.gat", "10", "k"}, 2, Effect::kIdempotentWrite},
        RoutingCase{{"mc.gat", "10"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"mc.touch", "k", "10"}, 1, Effect::kIdempotentWrite},
        RoutingCase{{"OBJECT", "ENCODING", "k"}, 2, Effect::kRead},
        RoutingCase{{"object", "freq", "k"}, 2, Effect::kRead},
        RoutingCase{{"OBJECT", "HELP"}, 0, Effect::kRead},
        RoutingCase{{"OBJECT", "SOMETHINGNEW", "k"}, 0, Effect::kWrite},
        RoutingCase{{"CONFIG", "GET", "*"}, 0, Effect::kRead},
        RoutingCase{{"CONFIG", "SET", "log-level", "info"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"REBALANCE"}, 0, Effect::kRead},
        RoutingCase{{"REBALANCE", "PAUSE"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"RINGCONFIG", "GET"}, 0, Effect::kRead},
        RoutingCase{{"RINGCONFIG", "SET", "log-level", "info"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"RINGCONFIG", "UNSET", "log-level"}, 0, Effect::kWrite},
        RoutingCase{{"DRAIN", "n1"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"UNDRAIN", "n1"}, 0, Effect::kWrite}, RoutingCase{{"RING"}, 0, Effect::kRead},
        RoutingCase{{"PING"}, 0, Effect::kRead},
        RoutingCase{{"gyre.count", "7"}, 0, Effect::kRead},  // the number of a partition
        RoutingCase{{}, 0, Effect::kWrite}, RoutingCase{{""}, 0, Effect::kWrite},
        RoutingCase{{"DBSIZE"}, 0, Effect::kRead}, RoutingCase{{"KEYS", "*"}, 0, Effect::kRead},
        RoutingCase{{"LOCATE", "k"}, 0, Effect::kRead},
        RoutingCase{{"FLUSHALL"}, 0, Effect::kIdempotentWrite},
        RoutingCase{{"SOMETHINGNEW", "k"}, 0, Effect::kWrite}));

}  // namespace
}  // namespace gyre::client
