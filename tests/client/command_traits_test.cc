#include "client/command_traits.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace gyre::client {
namespace {

struct Case {
  std::vector<std::string_view> args;
  std::size_t key_index;
  Effect effect;
};

class CommandTraitsTest : public ::testing::TestWithParam<Case> {};

TEST_P(CommandTraitsTest, Traits) {
  const CommandTraits traits = TraitsOf(GetParam().args);
  EXPECT_EQ(traits.key_index, GetParam().key_index);
  EXPECT_EQ(traits.effect, GetParam().effect);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CommandTraitsTest,
    ::testing::Values(
        Case{{"GET", "k"}, 1, Effect::kRead}, Case{{"get", "k"}, 1, Effect::kRead},
        Case{{"GET"}, 0, Effect::kRead}, Case{{"SET", "k", "v"}, 1, Effect::kIdempotentWrite},
        Case{{"SET", "k", "v", "EX", "10"}, 1, Effect::kIdempotentWrite},
        Case{{"SET", "k", "NX"}, 1, Effect::kIdempotentWrite},  // NX is the value
        Case{{"SET", "k", "v", "nx"}, 1, Effect::kWrite},
        Case{{"SET", "k", "v", "XX"}, 1, Effect::kWrite},
        Case{{"SET", "k", "v", "GET"}, 1, Effect::kWrite},
        Case{{"mc.cas", "k", "0", "0", "7", "v"}, 1, Effect::kWrite},
        Case{{"INCR", "k"}, 1, Effect::kWrite}, Case{{"APPEND", "k", "v"}, 1, Effect::kWrite},
        Case{{"GETDEL", "k"}, 1, Effect::kWrite}, Case{{"DEL", "k"}, 1, Effect::kIdempotentWrite},
        Case{{"SETRANGE", "k", "0", "NX"}, 1, Effect::kIdempotentWrite},  // data, not an option
        Case{{"EXPIRE", "k", "10"}, 1, Effect::kIdempotentWrite},
        Case{{"EXPIRE", "k", "10", "NX"}, 1, Effect::kWrite},
        Case{{"pexpire", "k", "10", "xx"}, 1, Effect::kWrite},
        Case{{"EXPIREAT", "k", "10", "GT"}, 1, Effect::kWrite},
        Case{{"PEXPIREAT", "k", "10", "LT"}, 1, Effect::kWrite},
        Case{{"PERSIST", "k"}, 1, Effect::kIdempotentWrite},
        Case{{"GETEX", "k", "EX", "10"}, 1, Effect::kIdempotentWrite},
        Case{{"SUBSTR", "k", "0", "1"}, 1, Effect::kRead}, Case{{"MC.GET", "k"}, 1, Effect::kRead},
        Case{{"mc.gat", "10", "k"}, 2, Effect::kIdempotentWrite},
        Case{{"mc.gat", "10"}, 0, Effect::kIdempotentWrite},
        Case{{"mc.touch", "k", "10"}, 1, Effect::kIdempotentWrite},
        Case{{"OBJECT", "ENCODING", "k"}, 2, Effect::kRead},
        Case{{"object", "freq", "k"}, 2, Effect::kRead}, Case{{"OBJECT", "HELP"}, 0, Effect::kRead},
        Case{{"OBJECT", "SOMETHINGNEW", "k"}, 0, Effect::kWrite},
        Case{{"CONFIG", "GET", "*"}, 0, Effect::kRead},
        Case{{"CONFIG", "SET", "log-level", "info"}, 0, Effect::kIdempotentWrite},
        Case{{"REBALANCE"}, 0, Effect::kRead},
        Case{{"REBALANCE", "PAUSE"}, 0, Effect::kIdempotentWrite},
        Case{{"DRAIN", "n1"}, 0, Effect::kIdempotentWrite},
        Case{{"UNDRAIN", "n1"}, 0, Effect::kWrite}, Case{{"RING"}, 0, Effect::kRead},
        Case{{"PING"}, 0, Effect::kRead},
        Case{{"gyre.count", "7"}, 0, Effect::kRead},  // the number of a partition
        Case{{}, 0, Effect::kWrite}, Case{{""}, 0, Effect::kWrite},
        Case{{"DBSIZE"}, 0, Effect::kRead}, Case{{"KEYS", "*"}, 0, Effect::kRead},
        Case{{"LOCATE", "k"}, 0, Effect::kRead}, Case{{"FLUSHALL"}, 0, Effect::kIdempotentWrite},
        Case{{"SOMETHINGNEW", "k"}, 0, Effect::kWrite}));

}  // namespace
}  // namespace gyre::client
