#include "command/routing.h"

#include <gtest/gtest.h>

#include "command/command_table.h"
#include "proto/limits.h"

namespace gyre {
namespace {

TEST(ChooseRoadTest, Table) {
  constexpr MemberIndex kSelf = 0;
  constexpr MemberIndex kOther = 1;
  struct Case {
    const char* what;
    RouteFacts facts;
    Route expected;
  };
  const Case cases[] = {
      {"another owns it", {.owner = kOther, .self = kSelf}, Route::kForward},
      {"a replica's view names another",
       {.role = Role::kReplica, .owner = kOther, .self = kSelf},
       Route::kForward},
      {"nobody owns it", {.owner = kNoMember, .self = kSelf}, Route::kWait},
      {"the view is ahead of the role",
       {.role = Role::kWarming, .owner = kSelf, .self = kSelf},
       Route::kWait},
      {"its last writes settle",
       {.role = Role::kHandingOver, .owner = kOther, .self = kSelf},
       Route::kWait},
      {"a cluster client", {.owner = kOther, .self = kSelf, .redirects = true}, Route::kMoved},
      {"a cluster client during a handover",
       {.role = Role::kHandingOver, .owner = kOther, .self = kSelf, .redirects = true},
       Route::kWait},
      {"too many hops",
       {.owner = kOther, .self = kSelf, .hops = kForwardHopsMax},
       Route::kNotOwner},
      {"one hop left",
       {.owner = kOther, .self = kSelf, .hops = kForwardHopsMax - 1},
       Route::kForward},
      {"no owner, no hop left", {.owner = kNoMember, .hops = kForwardHopsMax}, Route::kWait},
      {"the client routes itself",
       {.owner = kOther, .self = kSelf, .no_forward = true},
       Route::kNotOwner},
      {"the client routes itself, during a failover",
       {.owner = kNoMember, .no_forward = true},
       Route::kNotOwner},
  };
  for (const Case& c : cases) EXPECT_EQ(ChooseRoute(c.facts), c.expected) << c.what;
}

TEST(MayExecuteTest, ReplicasAnswerReadsOfThoseWhoAsk) {
  const Command& get = *CommandTable::Get().Find("get");
  const Command& set = *CommandTable::Get().Find("set");
  const Origin asks{.replica_reads = true};
  EXPECT_TRUE(MayExecute(Role::kOwner, set, {}));
  EXPECT_TRUE(MayExecute(Role::kReplica, get, asks));
  EXPECT_FALSE(MayExecute(Role::kReplica, set, asks));
  EXPECT_FALSE(MayExecute(Role::kReplica, get, {}));
  EXPECT_FALSE(MayExecute(Role::kWarming, get, asks));
  EXPECT_FALSE(MayExecute(Role::kHandingOver, get, asks));
}

}  // namespace
}  // namespace gyre
