// Who is taken for dead, how soon, and who must not be.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST_F(MembershipTest, DetectsSilentDeathsInTime) {
  for (const std::uint64_t size : {3, 5, 7, 10, 50}) {
    Duration worst{};
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      VirtualCluster each(100 * size + seed);
      each.StartMany(size);
      ASSERT_TRUE(each.RunUntil([&] { return each.Converged(); }, seconds(10)));
      each.Run(seconds(10));
      each.Pause(1);
      const auto took = each.RunUntil(
          [&] {
            for (const std::uint64_t viewer : each.numbers()) {
              if (viewer != 1 && each.StateAt(viewer, 1) != MemberState::kDead) return false;
            }
            return true;
          },
          seconds(60));
      ASSERT_TRUE(took) << size;
      worst = std::max(worst, *took);
    }
    RecordProperty("silent_death_ms_" + std::to_string(size),
                   static_cast<int>(std::chrono::duration_cast<milliseconds>(worst).count()));
    EXPECT_LE(worst, size <= 7 ? seconds(4) : seconds(8)) << size;
  }
}

TEST_F(MembershipTest, DeclaresARefusingNodeDeadAtOnce) {
  Form(3);
  cluster.Kill(1);
  cluster.LinkDown(0, 1);
  const auto took =
      cluster.RunUntil([&] { return cluster.AllSee(1, MemberState::kDead); }, seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, milliseconds(300));
}

TEST_F(MembershipTest, WithTwoNodesASecondRefusedAttemptIsEnough) {
  Form(2);
  cluster.Kill(1);
  // Links of several loops that break together are one attempt.
  for (int loop = 0; loop < 4; ++loop) cluster.LinkDown(0, 1);
  EXPECT_EQ(cluster.StateAt(0, 1), MemberState::kAlive);
  cluster.Run(milliseconds(50));
  cluster.LinkDown(0, 1);
  EXPECT_EQ(cluster.StateAt(0, 1), MemberState::kDead);
}

TEST_F(MembershipTest, OneNodesBrokenLinkKillsNobody) {
  Form(3);
  for (int i = 0; i < 20; ++i) {
    cluster.LinkDown(0, 1);
    cluster.Run(milliseconds(100));
  }
  cluster.Run(minutes(1));
  EXPECT_EQ(cluster.Deaths(), 0U);
}

TEST_F(MembershipTest, ConfirmationsOfAnotherLifeCountForNothing) {
  Form(3);
  cluster.LinkDown(0, 1);
  cluster.Apply(
      0, [&](Membership& each) { return each.OnConfirmedDown(cluster.now(), TestId(1), 99); });
  EXPECT_EQ(cluster.StateAt(0, 1), MemberState::kAlive);
}

// A busy loop's news of a link that the old process broke come after the new one was heard.
TEST_F(MembershipTest, LateNewsOfALifeThatIsOverKillNobody) {
  Form(3);
  const std::uint64_t before = cluster.at(0).state().members.at(TestId(1)).epoch;
  cluster.Kill(1);
  cluster.Start(1, TestMember(1, 1000));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(5)));
  ASSERT_GT(cluster.at(0).state().members.at(TestId(1)).epoch, before);
  const std::uint64_t deaths = cluster.Deaths();
  for (std::uint64_t viewer : {0, 2}) cluster.LinkDown(viewer, 1, before);
  EXPECT_FALSE(cluster.at(0).SeemsDown(cluster.now(), TestId(1)));
  cluster.Run(seconds(2));
  EXPECT_EQ(cluster.Deaths(), deaths);
  EXPECT_EQ(cluster.StateAt(0, 1), MemberState::kAlive);
}

// They are asked for anew: a process that was declared dead while it lived keeps its old links.
TEST_F(MembershipTest, NewsOfAnOldLinkLeadToAnotherAttempt) {
  Form(3);
  const std::uint64_t epoch = cluster.at(0).state().members.at(TestId(1)).epoch;
  const auto actions = cluster.at(0).OnLinkDown(cluster.now(), TestId(1), epoch - 1);
  EXPECT_TRUE(std::any_of(actions.begin(), actions.end(), [](const MembershipAction& action) {
    return std::holds_alternative<StartPushPull>(action);
  }));
}

class MembershipLoss : public ::testing::TestWithParam<double> {};

TEST_P(MembershipLoss, DeclaresNobodyDeadForTenMinutes) {
  for (const std::uint64_t size : {3, 5, 20}) {
    VirtualCluster cluster(size);
    cluster.StartMany(size);
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(10)));
    cluster.set_loss(GetParam());
    cluster.Run(minutes(10));
    EXPECT_EQ(cluster.Deaths(), 0U) << size;
    cluster.set_loss(0);
    EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(10))) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(, MembershipLoss, ::testing::Values(0.0, 0.05, 0.2));

// A node that hears nobody, but is heard: the others must not fall for its accusations.
TEST_F(MembershipTest, ADeafNodeCannotKillTheOthers) {
  Form(5);
  for (std::uint64_t other = 0; other < 4; ++other) cluster.Cut(other, 4);
  cluster.Run(minutes(1));
  for (std::uint64_t viewer = 0; viewer < 4; ++viewer) {
    for (std::uint64_t number = 0; number < 4; ++number) {
      EXPECT_EQ(cluster.StateAt(viewer, number), MemberState::kAlive) << viewer << " " << number;
    }
    EXPECT_EQ(cluster.StateAt(viewer, 4), MemberState::kDead);
  }
  cluster.Heal();
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(20)));
}

TEST_F(MembershipTest, OneCutLinkIsBridgedByTheOthers) {
  Form(4);
  cluster.Split({0}, {1});
  cluster.Run(minutes(5));
  EXPECT_EQ(cluster.Deaths(), 0U);
}

TEST_F(MembershipTest, KnowsUpToWhenOthersHeardIt) {
  cluster.Start(0);
  EXPECT_EQ(cluster.at(0).confirmed_at(), TimePoint::max()) << "there is nobody else";
  Form(3);
  cluster.Run(seconds(10));
  const auto age = [&](std::uint64_t number) {
    return cluster.now() - cluster.at(number).confirmed_at();
  };
  EXPECT_LT(age(0), seconds(1));
  cluster.Cut(0, 1);
  cluster.Cut(0, 2);  // it hears them, they do not hear it
  cluster.Run(milliseconds(1600));
  EXPECT_GT(age(0), milliseconds(1500));
  EXPECT_LT(age(1), seconds(1));
  cluster.Heal();
  cluster.Run(milliseconds(300));
  EXPECT_LT(age(0), milliseconds(500)) << "it asks at once";
}

TEST_F(MembershipTest, StaysFreshWhereDatagramsAreLostAndOthersAreDead) {
  Form(4);
  cluster.set_loss(0.05);
  cluster.Kill(3);
  Duration oldest{};
  for (int i = 0; i < 6000; ++i) {
    cluster.Run(milliseconds(10));
    oldest = std::max(oldest, cluster.now() - cluster.at(0).confirmed_at());
  }
  EXPECT_LT(oldest, milliseconds(1500));
}

TEST_F(MembershipTest, APausedNodeLearnsOfItsDeathBeforeItIsFreshAgain) {
  Form(3);
  cluster.Pause(2);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.AllSee(2, MemberState::kDead); }, seconds(20)));
  const TimePoint resumed = cluster.now();
  cluster.Resume(2);
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.at(2).confirmed_at() >= resumed; }, seconds(2)));
  EXPECT_EQ(cluster.declared_dead(2), 1);
}

}  // namespace
}  // namespace gyre
