#include <gtest/gtest.h>

#include "command/command_fixture.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;

class KeyCommandTest : public CommandTest {};

TEST_F(KeyCommandTest, TypesAndEncodings) {
  Expect({{"TYPE k", "(none)"},
          {"SET k 12", "OK"},
          {"TYPE k", "(string)"},
          {"OBJECT ENCODING k", "\"int\""},
          {"SET k abc", "OK"},
          {"OBJECT encoding k", "\"embstr\""},
          {"SET k 123456789012345678901234567890123456789012345", "OK"},
          {"OBJECT ENCODING k", "\"raw\""},
          {"OBJECT ENCODING nothing", "nil"},
          {"OBJECT REFCOUNT k", "1"},
          {"OBJECT REFCOUNT nothing", "nil"},
          {"OBJECT ENCODING",
           "invalid_argument: wrong number of arguments for 'object|encoding' command"},
          {"OBJECT BOGUS k", "invalid_argument: unknown subcommand 'BOGUS'. Try OBJECT HELP."}});
}

TEST_F(KeyCommandTest, MemoryUsageIsWhatTheRecordTakes) {
  Expect(
      {{"MEMORY USAGE nothing", "nil"},
       {"SET k v", "OK"},
       {"MEMORY USAGE k SAMPLES x", "invalid_argument: value is not an integer or out of range"},
       {"MEMORY USAGE k SAMPLES -1", "invalid_argument: syntax error"},
       {"MEMORY USAGE k SAMPLE 5", "invalid_argument: syntax error"},
       {"MEMORY USAGE k SAMPLES", "invalid_argument: syntax error"},
       {"MEMORY USAGE", "invalid_argument: wrong number of arguments for 'memory|usage' command"},
       {"MEMORY DOCTOR", "invalid_argument: unknown subcommand 'DOCTOR'. Try MEMORY HELP."}});
  std::int64_t before = 0;
  for (const std::size_t bytes : {1U, 100U, 1000U, 60'000U, 1'000'000U}) {
    Run("SET k " + std::string(bytes, 'v'));
    const std::int64_t taken = std::stoll(Text("MEMORY USAGE k SAMPLES 0"));
    EXPECT_GT(taken, static_cast<std::int64_t>(bytes));
    EXPECT_LT(taken, static_cast<std::int64_t>(bytes + bytes / 4 + 64)) << bytes;
    EXPECT_GT(taken, before);
    before = taken;
  }
}

TEST_F(KeyCommandTest, ExpiriesAreSetAndRead) {
  const std::int64_t second = now() / 1000;
  Expect({{"TTL k", "-2"},
          {"PTTL k", "-2"},
          {"EXPIRETIME k", "-2"},
          {"EXPIRE k 10", "0"},
          {"PERSIST k", "0"},
          {"SET k v", "OK"},
          {"TTL k", "-1"},
          {"EXPIRETIME k", "-1"},
          {"PERSIST k", "0"},
          {"EXPIRE k 10", "1"},
          {"TTL k", "10"},
          {"PTTL k", "10000"},
          {"EXPIRETIME k", std::to_string(second + 10)},
          {"PEXPIRETIME k", std::to_string(now() + 10'000)},
          {"PEXPIRE k 1499", "1"},
          {"TTL k", "1"},
          {"PEXPIRE k 1500", "1"},
          {"TTL k", "2"},
          {"EXPIREAT k " + std::to_string(second + 100), "1"},
          {"TTL k", "100"},
          {"PEXPIREAT k " + std::to_string(now() + 5), "1"},
          {"PTTL k", "5"},
          {"PERSIST k", "1"},
          {"TTL k", "-1"},
          {"GET k", "\"v\""}});
}

TEST_F(KeyCommandTest, WhatIsOverAtOnceIsRemoved) {
  for (const char* how : {"EXPIRE k 0", "EXPIRE k -5", "PEXPIREAT k 1", "EXPIREAT k -1"}) {
    Expect({{"SET k v", "OK"}, {how, "1"}, {"EXISTS k", "0"}});
    EXPECT_TRUE(replicator().sent.back().tombstone) << how;
  }
}

// Another copy may have what was evicted here.
TEST_F(KeyCommandTest, ReplicasAreToldOfRemovalsOfWhatIsNotHere) {
  for (const char* how : {"DEL k", "UNLINK k", "GETDEL k", "EXPIRE k 0", "PEXPIREAT k 1",
                          "EXPIRE k -1 GT", "GETEX k PXAT 1", "SET k v PXAT 1"}) {
    replicator().sent.clear();
    Run(how);
    ASSERT_EQ(replicator().sent.size(), 1U) << how;
    EXPECT_EQ(replicator().sent[0].key, "k");
    EXPECT_TRUE(replicator().sent[0].tombstone) << how;
  }
  replicator().sent.clear();
  Expect({{"EXPIRE k 10", "0"}, {"PERSIST k", "0"}, {"GETEX k", "nil"}, {"GETEX k EX 10", "nil"}});
  EXPECT_TRUE(replicator().sent.empty());
}

TEST_F(KeyCommandTest, ExpireTakesConditions) {
  Expect({{"SET k v", "OK"},
          {"EXPIRE k 10 XX", "0"},
          {"EXPIRE k 10 GT", "0"},
          {"EXPIRE k 10 NX", "1"},
          {"EXPIRE k 20 NX", "0"},
          {"EXPIRE k 5 GT", "0"},
          {"EXPIRE k 10 GT", "0"},
          {"EXPIRE k 20 gt", "1"},
          {"EXPIRE k 30 LT", "0"},
          {"EXPIRE k 15 LT", "1"},
          {"EXPIRE k 16 XX GT", "1"},
          {"TTL k", "16"},
          {"PERSIST k", "1"},
          {"EXPIRE k 10 LT", "1"}});
}

TEST_F(KeyCommandTest, ExpireRefusesWhatMakesNoSense) {
  Expect({{"SET k v", "OK"},
          {"EXPIRE k x", "invalid_argument: value is not an integer or out of range"},
          {"EXPIRE k 9223372036854775807",
           "invalid_argument: invalid expire time in 'expire' command"},
          {"PEXPIRE k 9223372036854775807",
           "invalid_argument: invalid expire time in 'pexpire' command"},
          {"EXPIRE k 1 NX GT",
           "invalid_argument: NX and XX, GT or LT options at the same time are not compatible"},
          {"EXPIRE k 1 GT LT",
           "invalid_argument: GT and LT options at the same time are not compatible"},
          {"EXPIRE k 1 BOGUS", "invalid_argument: Unsupported option BOGUS"},
          {"TTL k", "-1"}});
}

TEST_F(KeyCommandTest, ExpiredKeysAreGone) {
  Expect({{"SET k v PX 100", "OK"}});
  Pass(milliseconds(99));
  Expect({{"GET k", "\"v\""}, {"PTTL k", "1"}});
  Pass(milliseconds(1));
  Expect(
      {{"GET k", "nil"}, {"EXISTS k", "0"}, {"TTL k", "-2"}, {"DEL k", "0"}, {"SETNX k w", "1"}});
}

}  // namespace
}  // namespace gyre::testing
