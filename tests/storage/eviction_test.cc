#include "storage/eviction.h"

#include <gtest/gtest.h>

#include <vector>

namespace gyre {
namespace {

constexpr std::size_t kPages = 8;

// An arena of records without tables: only the evictor looks at them.
class EvictorTest : public ::testing::Test {
 protected:
  EvictorTest()
      : arena_(std::move(*SlabArena::Create(kPages * kPageBytesMin, kPageBytesMin))),
        evictor_(*arena_) {}

  ClassId ClassFor(std::size_t bytes) const { return arena_->classes().ForRecord(bytes); }
  Ref Add(std::size_t bytes, bool tombstone = false, Version version = 1) {
    evictor_.OnWrite();
    const Ref ref = arena_->Allocate(ClassFor(bytes));
    if (ref != 0) {
      Item(arena_->At(ref)).WriteHeader(PlainShape(1, 0, false, false, tombstone), version, 0, 0);
    }
    return ref;
  }
  std::vector<Ref> FillPages(std::size_t bytes, std::size_t pages) {
    std::vector<Ref> refs;
    const std::size_t slots = arena_->classes().at(ClassFor(bytes)).slot_count;
    for (std::size_t i = 0; i < pages * slots; ++i) refs.push_back(Add(bytes));
    return refs;
  }
  void Use(Ref ref, int times = 1) {
    for (int i = 0; i < times; ++i) Item(arena_->At(ref)).CountUse();
  }

  std::unique_ptr<SlabArena> arena_;
  Evictor evictor_;
};

TEST_F(EvictorTest, AnEmptyClassHasNoVictim) {
  EXPECT_EQ(evictor_.Victim(ClassFor(100), true), 0u);
  EXPECT_FALSE(evictor_.Donor(ClassFor(100), true, {}));
}

TEST_F(EvictorTest, TheHandPassesWhatIsUsed) {
  const Ref a = Add(100);
  const Ref b = Add(100);
  const Ref c = Add(100);
  Use(a);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), false), b);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), false), c);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), false), a) << "its use was spent";
}

TEST_F(EvictorTest, WhereAllAreInUseTheLeastUsedLeaves) {
  const std::vector<Ref> refs = FillPages(20, 1);
  for (const Ref ref : refs) Use(ref, 3);
  Item(arena_->At(refs[50])).set_uses(1);
  EXPECT_EQ(evictor_.Victim(ClassFor(20), false), refs[50]);
}

TEST_F(EvictorTest, PinnedRecordsStay) {
  const Ref a = Add(100);
  evictor_.Pin(0, a);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), true), 0u);
  evictor_.Pin(0, 0);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), true), a);
}

TEST_F(EvictorTest, TombstonesLeaveOnlyWhereAllowed) {
  const Ref first = Add(100, true, 7);
  const Ref record = Add(100);
  const Ref second = Add(100, true, 6);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), false), record);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), true), second);
  EXPECT_EQ(evictor_.Victim(ClassFor(100), true), first);
}

TEST_F(EvictorTest, ATombstoneIsFoundAmongRecords) {
  for (int i = 0; i < 50; ++i) Add(100);
  EXPECT_EQ(evictor_.NextTombstone(ClassFor(100)), 0u);
  const Ref tombstone = Add(100, true, 7);
  EXPECT_EQ(evictor_.NextTombstone(ClassFor(100)), tombstone);
}

TEST_F(EvictorTest, AChunkLeadsToItsOwner) {
  const Ref owner = Add(100);
  const Ref chunk = arena_->Allocate(ClassFor(500));
  Chunk(arena_->At(chunk)).WriteHeader(owner, 10);
  EXPECT_EQ(evictor_.OwnerOf(chunk), owner);
  EXPECT_EQ(evictor_.Victim(ClassFor(500), false), owner);
}

TEST_F(EvictorTest, TheIdlestBytesAreTheDonor) {
  FillPages(100, 2);
  FillPages(500, 2);
  FillPages(900, 1);
  for (int i = 0; i < 100; ++i) evictor_.OnWrite();
  // The oldest pages; of equal age, larger slots bring fewer hits.
  EXPECT_EQ(evictor_.Donor(ClassFor(900), true, {}), ClassFor(500));
  Evictor::Tried tried;
  tried.set(ClassFor(500));
  EXPECT_EQ(evictor_.Donor(ClassFor(900), true, tried), ClassFor(100));
}

TEST_F(EvictorTest, ASizeThatNobodyAsksForTwiceIsTheDonor) {
  FillPages(100, 2);
  const std::vector<Ref> popular = FillPages(500, 2);
  FillPages(900, 1);
  for (int i = 0; i < 100; ++i) evictor_.OnWrite();
  ASSERT_EQ(evictor_.Donor(ClassFor(900), true, {}), ClassFor(500)) << "while nothing is known";
  // Nothing leaves here: the hand only looks.
  for (const Ref ref : popular) Use(ref, kItemUsesMax);
  for (int i = 0; i < 20; ++i) evictor_.PageToDonate(ClassFor(500), false);
  for (int i = 0; i < 20; ++i) evictor_.PageToDonate(ClassFor(100), false);
  for (int i = 0; i < 100; ++i) evictor_.OnWrite();
  EXPECT_EQ(evictor_.Donor(ClassFor(900), true, {}), ClassFor(100));
}

TEST_F(EvictorTest, AClassWithASparePageGivesItFirst) {
  FillPages(900, 2);
  const std::vector<Ref> refs = FillPages(100, 2);
  for (std::size_t i = 0; i < refs.size(); ++i) {
    if (i % 3 != 0) arena_->Free(refs[i]);
  }
  EXPECT_EQ(evictor_.Donor(ClassFor(900), false, {}), ClassFor(100));
  const Evictor::DonatedPage donated = evictor_.PageToDonate(ClassFor(100), false);
  EXPECT_NE(donated.page, 0u);
  EXPECT_TRUE(donated.by_moving);
}

TEST_F(EvictorTest, AClassThatWasRefusedWaitsForSomeEvictions) {
  const ClassId needy = ClassFor(900);
  EXPECT_TRUE(evictor_.MayBid(needy));
  EXPECT_TRUE(evictor_.MayBid(needy)) << "the page that it got is full, too";
  evictor_.BidRefused(needy);
  int evictions = 0;
  while (!evictor_.MayBid(needy)) ASSERT_LT(++evictions, 1000);
  EXPECT_GE(evictions, 10);
  EXPECT_TRUE(evictor_.MayBid(ClassFor(100))) << "others need not wait";
}

TEST_F(EvictorTest, AUseLastsThreeRounds) {
  const std::vector<Ref> refs = FillPages(100, 1);
  for (std::size_t i = 2; i < refs.size(); ++i) arena_->Free(refs[i]);
  for (int i = 0; i < 3; ++i) Use(refs[0]);
  // The hand comes by once for each victim that it names, and begins with a round that takes.
  int rounds = 0;
  while (evictor_.Victim(ClassFor(100), false) == refs[1]) ASSERT_LT(++rounds, 100);
  EXPECT_EQ(rounds, 7);
}

TEST_F(EvictorTest, PagesInUseGetASecondChance) {
  const std::vector<Ref> refs = FillPages(100, 1);
  for (const Ref ref : refs) Use(ref);
  EXPECT_EQ(evictor_.PageToDonate(ClassFor(100), false).page, 0u);
  EXPECT_NE(evictor_.PageToDonate(ClassFor(100), false).page, 0u) << "now they are idle";
  for (const Ref ref : refs) Use(ref);
  EXPECT_NE(evictor_.PageToDonate(ClassFor(100), true).page, 0u);
}

}  // namespace
}  // namespace gyre
