#include "stream/group_inbox.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gyre {
namespace {

constexpr PartitionId kHere = 3;

GroupInbox::Waiting Group(StreamPosition position, std::size_t bytes = 10) {
  return {.position = position, .base = {}, .effects = std::string(bytes, 'e'), .batch = nullptr};
}

TEST(GroupInbox, HandsOutWhatIsNoLongerEarlyInOrder) {
  GroupInbox inbox;
  ASSERT_TRUE(inbox.Add(kHere, Group({5, 4})));
  ASSERT_TRUE(inbox.Add(kHere, Group({5, 3})));
  ASSERT_TRUE(inbox.Add(kHere + 1, Group({5, 2})));
  EXPECT_FALSE(inbox.TakeReady(kHere, {5, 1}));
  EXPECT_EQ(inbox.TakeReady(kHere, {5, 2})->position, (StreamPosition{5, 3}));
  EXPECT_FALSE(inbox.TakeReady(kHere, {5, 2}));
  EXPECT_EQ(inbox.TakeReady(kHere, {5, 9})->position, (StreamPosition{5, 4})) << "a duplicate";
  EXPECT_TRUE(inbox.TakeReady(kHere + 1, {5, 1}));
  EXPECT_EQ(inbox.waiting_bytes(), 0U);
}

TEST(GroupInbox, IsBoundedButHoldsOneOfAnySize) {
  GroupInbox inbox;
  EXPECT_TRUE(inbox.Add(kHere, Group({5, 3}, 2 * GroupInbox::kWaitingBytesMax)));
  EXPECT_FALSE(inbox.Add(kHere, Group({5, 4})));
  EXPECT_EQ(inbox.TakeOf(kHere, nullptr).size(), 1U);
  EXPECT_TRUE(inbox.Add(kHere, Group({5, 4})));
}

TEST(GroupInbox, AWarmingCopyThatIsToldWhereItBeganKnowsWhatItHasSince) {
  GroupInbox inbox;
  for (const std::uint64_t number : {7, 9, 8, 11}) {
    EXPECT_EQ(inbox.Applied(kHere, {}, {5, number}, {}), (StreamPosition{}));
  }
  EXPECT_TRUE(inbox.HasApplied(kHere, {5, 8}));
  EXPECT_FALSE(inbox.HasApplied(kHere, {5, 10}));
  EXPECT_FALSE(inbox.HasApplied(kHere, {4, 8}));
  EXPECT_EQ(inbox.Reach(kHere, {5, 6}), (StreamPosition{5, 9}));
  EXPECT_EQ(inbox.Applied(kHere, {5, 9}, {5, 10}, {}), (StreamPosition{5, 11}));
  EXPECT_FALSE(inbox.HasApplied(kHere, {5, 11})) << "remembered by where it stands";
}

TEST(GroupInbox, AWarmingCopyGoesOnOverTheEndOfATerm) {
  GroupInbox inbox;
  EXPECT_EQ(inbox.Applied(kHere, {5, 2}, {8, 2}, {}), (StreamPosition{5, 2}));
  EXPECT_EQ(inbox.Applied(kHere, {5, 2}, {8, 1}, {5, 2}), (StreamPosition{8, 2}));
  EXPECT_EQ(inbox.Applied(kHere + 1, {}, {8, 1}, {}), (StreamPosition{8, 1})) << "the first of all";
}

// In whatever order they come.
RC_GTEST_PROP(GroupInboxProperty, AllThatFollowsWithoutAGapIsReached, ()) {
  const auto begin = *rc::gen::inRange<std::uint64_t>(1, 20);
  auto numbers =
      *rc::gen::container<std::vector<std::uint64_t>>(rc::gen::inRange<std::uint64_t>(2, 40));
  const auto told_after = *rc::gen::inRange<std::size_t>(0, numbers.size() + 1);
  GroupInbox inbox;
  StreamPosition last;
  for (std::size_t i = 0; i <= numbers.size(); ++i) {
    if (i == told_after) last = inbox.Reach(kHere, {5, begin});
    if (i < numbers.size()) last = inbox.Applied(kHere, last, {5, numbers[i]}, {});
  }
  std::uint64_t reached = begin;
  while (std::find(numbers.begin(), numbers.end(), reached + 1) != numbers.end()) ++reached;
  RC_ASSERT(last == (StreamPosition{5, reached}));
  for (const std::uint64_t number : numbers) {
    if (number > reached) RC_ASSERT(inbox.HasApplied(kHere, {5, number}));
  }
}

}  // namespace
}  // namespace gyre
