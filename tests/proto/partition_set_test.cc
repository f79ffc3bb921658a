#include "proto/partition_set.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace gyre {
namespace {

using Model = std::set<PartitionId>;

// A cluster's partitions, also fewer than a word has bits, and not a multiple of it.
std::uint32_t AnyCount() { return *rc::gen::inRange(1U, 200U); }

Model AnyModel(std::uint32_t count) {
  return *rc::gen::container<Model>(rc::gen::inRange(0U, count));
}

PartitionSet Of(std::uint32_t count, const Model& partitions) {
  PartitionSet set(count);
  for (const PartitionId partition : partitions) set.Set(partition);
  return set;
}

Model ModelOf(const PartitionSet& set) {
  std::vector<PartitionId> visited;
  set.ForEach([&](PartitionId partition) { visited.push_back(partition); });
  RC_ASSERT(std::is_sorted(visited.begin(), visited.end()));
  return {visited.begin(), visited.end()};
}

TEST(PartitionSet, OfNoPartitionsHasNone) {
  const PartitionSet none;
  EXPECT_EQ(none.partition_count(), 0U);
  EXPECT_FALSE(none.Has(0));
  EXPECT_FALSE(none.Any());
  EXPECT_EQ(none.ToBytes(), "");
  EXPECT_NE(none, PartitionSet(64)) << "nothing was said, or that it is none of 64";
}

TEST(PartitionSet, HasAllOfThoseThatThereAre) {
  for (const std::uint32_t count : {1U, 63U, 64U, 65U, 128U}) {
    const PartitionSet all(count, true);
    EXPECT_EQ(all.Count(), count);
    EXPECT_TRUE(all.Has(count - 1));
    EXPECT_FALSE(all.Has(count));
    EXPECT_FALSE(all.Has(16'384));
    PartitionSet one_by_one(count);
    for (PartitionId partition = 0; partition < count; ++partition) one_by_one.Set(partition);
    EXPECT_EQ(all, one_by_one);
  }
}

TEST(PartitionSet, ForgetsWhatIsNoPartitionAnyMore) {
  PartitionSet set(100, true);
  set.Resize(10);
  set.Resize(100);
  EXPECT_EQ(set.Count(), 10U);
}

TEST(PartitionSet, SaysItselfInBytesWithoutTrailingZeroes) {
  PartitionSet set(128);
  set.Set(0);
  set.Set(9);
  EXPECT_EQ(set.ToBytes(), "\x01\x02");
  set.Set(127);
  EXPECT_EQ(set.ToBytes().size(), 16U);
  EXPECT_EQ(PartitionSet(128).ToBytes(), "");
}

TEST(PartitionSet, RefusesMoreBytesThanPartitions) {
  EXPECT_TRUE(PartitionSet::FromBytes(std::string(8, '\0'), 64));
  EXPECT_FALSE(PartitionSet::FromBytes(std::string(9, '\0'), 64));
  EXPECT_FALSE(PartitionSet::FromBytes(std::string(2, '\0'), 8));
}

TEST(PartitionSet, IgnoresBitsOfNoPartition) {
  const auto set = PartitionSet::FromBytes("\xff", 4);
  ASSERT_TRUE(set);
  EXPECT_EQ(*set, PartitionSet(4, true));
}

RC_GTEST_PROP(PartitionSetProperty, IsASet, ()) {
  const std::uint32_t count = AnyCount();
  const Model model = AnyModel(count);
  const PartitionSet set = Of(count, model);
  RC_ASSERT(ModelOf(set) == model);
  RC_ASSERT(set.Count() == model.size());
  RC_ASSERT(set.Any() == !model.empty());
  for (PartitionId partition = 0; partition < count + 70; ++partition) {
    RC_ASSERT(set.Has(partition) == (model.count(partition) != 0));
  }
  PartitionSet cleared = set;
  for (const PartitionId partition : model) cleared.Assign(partition, false);
  RC_ASSERT(cleared == PartitionSet(count));
}

RC_GTEST_PROP(PartitionSetProperty, AddsRemovesKeepsAndTogglesAnother, ()) {
  const std::uint32_t count = AnyCount();
  const Model a = AnyModel(count);
  const Model b = AnyModel(count);
  Model both, without, common, one;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::inserter(without, without.end()));
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(common, common.end()));
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(),
                                std::inserter(one, one.end()));
  PartitionSet set = Of(count, a);
  set.Add(Of(count, b));
  RC_ASSERT(set == Of(count, both));
  set = Of(count, a);
  set.Remove(Of(count, b));
  RC_ASSERT(set == Of(count, without));
  set = Of(count, a);
  set.Keep(Of(count, b));
  RC_ASSERT(set == Of(count, common));
  set = Of(count, a);
  set.Toggle(Of(count, b));
  RC_ASSERT(set == Of(count, one));
}

RC_GTEST_PROP(PartitionSetProperty, SurvivesTheRoad, ()) {
  const std::uint32_t count = AnyCount();
  const PartitionSet set = Of(count, AnyModel(count));
  RC_ASSERT(PartitionSet::FromBytes(set.ToBytes(), count) == set);
}

}  // namespace
}  // namespace gyre
