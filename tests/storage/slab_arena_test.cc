#include "storage/slab_arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

#include "base/prng.h"

namespace gyre {
namespace {

constexpr std::size_t kPage = kPageBytesMin;

class SlabArenaTest : public ::testing::Test {
 protected:
  void Open(std::size_t pages) { arena_ = std::move(*SlabArena::Create(pages * kPage, kPage)); }
  ClassId ClassFor(std::size_t bytes) const { return arena_->classes().ForRecord(bytes); }

  std::unique_ptr<SlabArena> arena_;
};

TEST_F(SlabArenaTest, SlotsAreDisjointAndWritable) {
  Open(8);
  std::set<Ref> refs;
  const ClassId id = ClassFor(40);
  for (int i = 0; i < 1000; ++i) {
    const Ref ref = arena_->Allocate(id);
    ASSERT_NE(ref, 0u);
    EXPECT_TRUE(refs.insert(ref).second);
    EXPECT_EQ(arena_->ClassOf(ref), id);
    EXPECT_EQ(arena_->SlotBytes(ref), 40u);
    std::memset(arena_->At(ref), i, 40);
  }
  EXPECT_TRUE(arena_->CheckInvariants());
  Ref previous = 0;
  for (const Ref ref : refs) {
    if (previous != 0) {
      EXPECT_GE(ref - previous, 10u);
    }
    previous = ref;
  }
}

TEST_F(SlabArenaTest, StopsAtTheLimitAndReusesWhatIsFreed) {
  Open(4);
  const ClassId id = ClassFor(1000);
  std::vector<Ref> refs;
  while (const Ref ref = arena_->Allocate(id)) refs.push_back(ref);
  EXPECT_EQ(arena_->pages_used(), 4u);
  EXPECT_EQ(refs.size(), 4u * arena_->classes().at(id).slot_count);
  EXPECT_EQ(arena_->Allocate(ClassFor(50)), 0u) << "no page left for another class";
  arena_->Free(refs[5]);
  EXPECT_EQ(arena_->FreeSlots(id), 1u);
  EXPECT_EQ(arena_->Allocate(id), refs[5]);
  for (const Ref ref : refs) arena_->Free(ref);
  EXPECT_EQ(arena_->pages_used(), 0u);
  EXPECT_EQ(arena_->pages_resident(), 4u) << "kept for the next taker";
  EXPECT_NE(arena_->Allocate(ClassFor(50)), 0u);
  EXPECT_EQ(arena_->ReturnIdle(100), 3u);
  EXPECT_EQ(arena_->pages_resident(), 1u);
  EXPECT_TRUE(arena_->CheckInvariants());
}

TEST_F(SlabArenaTest, RunsAreContiguousAndCounted) {
  Open(16);
  const ClassId run = arena_->classes().record_run();
  const Ref a = arena_->AllocateRun(run, 3 * kPage);
  ASSERT_NE(a, 0u);
  EXPECT_EQ(arena_->pages_used(), 4u) << "its header takes a little, too";
  EXPECT_GE(arena_->SlotBytes(a), 3 * kPage);
  std::memset(arena_->At(a), 1, arena_->SlotBytes(a));
  const Ref b = arena_->AllocateRun(run, 11 * kPage);
  ASSERT_NE(b, 0u);
  EXPECT_EQ(arena_->AllocateRun(run, 1), 0u);
  EXPECT_TRUE(arena_->CheckInvariants());
  arena_->Free(a);
  arena_->Free(b);
  EXPECT_EQ(arena_->pages_resident(), 0u);
  EXPECT_TRUE(arena_->CheckInvariants());
}

TEST_F(SlabArenaTest, IdlePagesMakeWayForARun) {
  Open(4);
  std::vector<Ref> refs;
  while (const Ref ref = arena_->Allocate(ClassFor(1000))) refs.push_back(ref);
  for (const Ref ref : refs) arena_->Free(ref);
  EXPECT_NE(arena_->AllocateRun(arena_->classes().record_run(), 3 * kPage), 0u);
  EXPECT_LE(arena_->pages_resident(), 4u);
}

TEST_F(SlabArenaTest, AClosedPageGivesOutNothing) {
  Open(4);
  const ClassId id = ClassFor(1000);
  const Ref ref = arena_->Allocate(id);
  arena_->ClosePage(arena_->PageOf(ref));
  const Ref other = arena_->Allocate(id);
  EXPECT_NE(arena_->PageOf(other), arena_->PageOf(ref));
  arena_->ReopenPage(arena_->PageOf(ref));
  EXPECT_EQ(arena_->SparsestPage(id), arena_->PageOf(ref));
  EXPECT_TRUE(arena_->CheckInvariants());
}

TEST_F(SlabArenaTest, NextTakenFindsEachTakenSlot) {
  Open(4);
  const ClassId id = ClassFor(16);
  const std::uint32_t slots = arena_->classes().at(id).slot_count;
  std::vector<Ref> refs;
  for (std::uint32_t i = 0; i < slots; ++i) refs.push_back(arena_->Allocate(id));
  std::set<Ref> kept;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    if (i % 97 == 3 || i + 1 == refs.size()) {
      kept.insert(refs[i]);
    } else {
      arena_->Free(refs[i]);
    }
  }
  std::set<Ref> found;
  std::uint32_t slot = 0;
  for (Ref ref; (ref = arena_->NextTaken(arena_->PageOf(refs[0]), slot)) != 0; ++slot) {
    found.insert(ref);
  }
  EXPECT_EQ(found, kept);
}

TEST_F(SlabArenaTest, BooksBalanceUnderRandomUse) {
  Open(32);
  Prng prng(1);
  std::vector<Ref> refs;
  for (int i = 0; i < 20000; ++i) {
    if (refs.empty() || prng.Below(100) < 55) {
      const std::size_t bytes = 1 + prng.Below(std::size_t{16} << prng.Below(11));
      const ClassId id = ClassFor(bytes);
      const Ref ref =
          arena_->classes().IsRun(id) ? arena_->AllocateRun(id, bytes) : arena_->Allocate(id);
      if (ref != 0) {
        ASSERT_GE(arena_->SlotBytes(ref), bytes);
        refs.push_back(ref);
      }
    } else {
      std::swap(refs[prng.Below(refs.size())], refs.back());
      arena_->Free(refs.back());
      refs.pop_back();
    }
    if (i % 50 == 0) arena_->ReturnIdle(prng.Below(3));
    if (i % 500 == 0) {
      ASSERT_TRUE(arena_->CheckInvariants()) << i;
    }
  }
  EXPECT_EQ(arena_->SlotsUsed(), refs.size());
}

#if defined(__SANITIZE_ADDRESS__)
TEST_F(SlabArenaTest, AFreedSlotIsPoisoned) {
  Open(4);
  const Ref ref = arena_->Allocate(ClassFor(100));
  ASSERT_NE(arena_->Allocate(ClassFor(100)), 0u);
  const volatile char* at = arena_->At(ref);
  arena_->Free(ref);
  EXPECT_DEATH((void)at[0], "use-after-poison");
}
#endif

}  // namespace
}  // namespace gyre
