// What the tries of a command at other nodes mean for it.
#include "command/pending_command.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "command/command_table.h"
#include "command/recording_slot.h"
#include "proto/limits.h"
#include "support/native_bytes.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using Standing = PendingCommand::Standing;

class PendingCommandTest : public ::testing::Test {
 protected:
  PendingCommandTest() {
    owner_.id.bytes[0] = 7;
    owner_.incarnation = 3;
    view_.members = {owner_};
  }

  PendingCommandPtr Make(std::vector<std::string_view> words) {
    const Command& command = *CommandTable::Get().Find(words.front());
    return std::make_shared<PendingCommand>(
        PendingCommand::Charge(), command, OwnedRequest(Request{}, words), Origin{}, TimePoint{},
        RecordingSlot::Make([this](Reply reply) { reply_ = std::move(reply); }));
  }
  // The error that it was answered with; nothing while it goes on.
  std::optional<ErrorCode> answer() const {
    return reply_ ? std::optional(reply_->error) : std::nullopt;
  }
  // Hops that a try tells the node that it asks.
  static std::uint32_t HopsOf(PendingCommand& pending, const PendingCommand::Try& attempt) {
    std::uint32_t hops = 0;
    EXPECT_TRUE(WithNativeRequest(pending.Encode(attempt, 1000),
                                  [&](Request& request) { hops = request.hops; }));
    return hops;
  }
  static bool Lose(PendingCommand& pending, const PendingCommand::Try& attempt) {
    return pending.OnLost(attempt, {ErrorCode::kTimeout, "no answer"}, TimePoint{});
  }

  MemberInfo owner_;
  ClusterView view_;
  std::optional<Reply> reply_;
};

TEST_F(PendingCommandTest, ATryLeavesTheRequestAsItWas) {
  const PendingCommandPtr set = Make({"set", "k", "v"});
  set->request->deadline_ms = 70;
  WithNativeRequest(set->Encode(set->BeginTry(owner_), 20), [](Request& request) {
    EXPECT_EQ(request.args, (std::vector<std::string_view>{"set", "k", "v"}));
    EXPECT_EQ(request.deadline_ms, 20U);
  });
  EXPECT_EQ(set->request->deadline_ms, 70U);
  EXPECT_EQ(set->request->hops, 0U);
}

TEST_F(PendingCommandTest, AWriteThatMayBeRepeatedIsNotPassedOn) {
  const PendingCommandPtr set = Make({"set", "k", "v"});
  const PendingCommand::Try first = set->BeginTry(owner_);
  EXPECT_FALSE(first.may_pass_on);
  EXPECT_EQ(HopsOf(*set, first), kForwardHopsMax);
  // Who refused it knows better who owns the key.
  set->OnRefused(first, ErrorCode::kNotOwner);
  const PendingCommand::Try second = set->BeginTry(owner_);
  EXPECT_TRUE(second.may_pass_on);
  EXPECT_EQ(HopsOf(*set, second), 1U);
  set->OnRefused(second, ErrorCode::kNotOwner);
  EXPECT_FALSE(set->BeginTry(owner_).may_pass_on);
  set->OnRefused(first, ErrorCode::kUnavailable);
  EXPECT_FALSE(set->BeginTry(owner_).may_pass_on);

  EXPECT_TRUE(Make({"incr", "k"})->BeginTry(owner_).may_pass_on);
  EXPECT_TRUE(Make({"get", "k"})->BeginTry(owner_).may_pass_on);
}

TEST_F(PendingCommandTest, WhatWasNeverSentChangesNothing) {
  const PendingCommandPtr incr = Make({"incr", "k"});
  EXPECT_TRUE(incr->OnLost(incr->BeginTry(owner_), {ErrorCode::kUnavailable, ""}, TimePoint{}));
  EXPECT_FALSE(incr->lost());
  EXPECT_FALSE(incr->maybe_applied());
  EXPECT_EQ(answer(), std::nullopt);
}

TEST_F(PendingCommandTest, WhatMustNotBeRepeatedHasAnUnknownOutcome) {
  const PendingCommandPtr incr = Make({"incr", "k"});
  EXPECT_FALSE(Lose(*incr, incr->BeginTry(owner_)));
  EXPECT_EQ(answer(), ErrorCode::kUnknownOutcome);
}

TEST_F(PendingCommandTest, NeitherIsAWriteRepeatedThatAThirdNodeMayHave) {
  const PendingCommandPtr set = Make({"set", "k", "v"});
  set->OnRefused(set->BeginTry(owner_), ErrorCode::kNotOwner);
  EXPECT_FALSE(Lose(*set, set->BeginTry(owner_)));
  EXPECT_EQ(answer(), ErrorCode::kUnknownOutcome);
}

TEST_F(PendingCommandTest, ALostReadIsSentAgainWithMorePatience) {
  const PendingCommandPtr get = Make({"get", "k"});
  const Duration first = get->Patience();
  EXPECT_TRUE(Lose(*get, get->BeginTry(owner_)));
  EXPECT_EQ(get->Patience(), 2 * first);
  EXPECT_FALSE(get->lost());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Lose(*get, get->BeginTry(owner_)));
  EXPECT_EQ(get->Patience(), 256 * first);
  get->Fail({ErrorCode::kTimeout, "late"});
  EXPECT_EQ(answer(), ErrorCode::kTimeout) << "nothing can have been written";
  EXPECT_EQ(Make({"set", "k", "v"})->Patience(), Duration::max());
}

TEST_F(PendingCommandTest, ALostWriteWaitsForTheEndOfWhoHasIt) {
  struct Case {
    const char* what;
    MemberState state;
    std::uint64_t incarnation;
    Duration later;
    Standing expected;
  };
  const Case cases[] = {
      {"it may be gone", MemberState::kAlive, 3, milliseconds(299), Standing::kMustWait},
      {"it is not", MemberState::kAlive, 3, milliseconds(300), Standing::kFailed},
      {"others wonder", MemberState::kSuspect, 3, milliseconds(5000), Standing::kMustWait},
      {"it is gone", MemberState::kDead, 3, milliseconds(0), Standing::kMayBeTried},
      {"it was begun anew", MemberState::kAlive, 4, milliseconds(0), Standing::kMayBeTried},
  };
  for (const Case& c : cases) {
    reply_.reset();
    const PendingCommandPtr set = Make({"set", "k", "v"});
    ASSERT_TRUE(Lose(*set, set->BeginTry(owner_)));
    EXPECT_TRUE(set->lost());
    view_.members[0].state = c.state;
    view_.members[0].incarnation = c.incarnation;
    EXPECT_EQ(set->Reconsider(&view_, TimePoint{} + c.later), c.expected) << c.what;
    EXPECT_EQ(set->lost(), c.expected != Standing::kMayBeTried) << c.what;
    EXPECT_EQ(answer().has_value(), c.expected == Standing::kFailed) << c.what;
  }
}

TEST_F(PendingCommandTest, AfterALostWriteNoErrorSaysThatNothingWasWritten) {
  const PendingCommandPtr set = Make({"mset", "a", "1", "b", "2"});
  ASSERT_TRUE(Lose(*set, set->BeginTry(owner_)));
  EXPECT_TRUE(set->maybe_applied());
  std::optional<Reply> part_reply;
  const PendingCommandPtr part = set->Part(
      set->ArgsAt({1}), RecordingSlot::Make([&](Reply reply) { part_reply = std::move(reply); }));
  EXPECT_EQ(part->request->args, (std::vector<std::string_view>{"mset", "b", "2"}));
  part->Fail({ErrorCode::kTimeout, "late"});
  EXPECT_EQ(part_reply->error, ErrorCode::kUnknownOutcome);
  set->Fail({ErrorCode::kTimeout, "late"});
  EXPECT_EQ(answer(), ErrorCode::kUnknownOutcome);
}

}  // namespace
}  // namespace gyre::testing
