#include "client/command_traits.h"

#include <gtest/gtest.h>

namespace gyre::client {
namespace {

struct Case {
  std::vector<std::string> args;
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
        Case{{"DBSIZE"}, 0, Effect::kRead}, Case{{"KEYS", "*"}, 0, Effect::kRead},
        Case{{"LOCATE", "k"}, 0, Effect::kRead}, Case{{"FLUSHALL"}, 0, Effect::kIdempotentWrite},
        Case{{"SOMETHINGNEW", "k"}, 0, Effect::kWrite}));

}  // namespace
}  // namespace gyre::client
