// The steady state does not allocate: a counting operator new sees to it.
#include <gtest/gtest.h>

#include <new>

#include "storage/storage_fixture.h"
#include "support/allocation_counter.h"

namespace gyre {
namespace {

class AllocationTest : public StorageTest {
 protected:
  // What the callable allocates, with the lock held.
  template <typename Callable>
  std::uint64_t AllocationsOf(Callable&& callable) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    MutexLock lock(shard().mutex());
    const std::uint64_t before = test::AllocationCount();
    callable();
    return test::AllocationCount() - before;
  }
};

TEST_F(AllocationTest, TheCounterCounts) {
  EXPECT_EQ(AllocationsOf([] { ::operator delete(::operator new(1)); }), 1u);
}

TEST_F(AllocationTest, FindStoreAndExpiryAllocateNothing) {
  const std::string value(100, 'v');
  const std::string large(100000, 'v');
  ASSERT_TRUE(Set("k", value));
  ASSERT_TRUE(Set("l", large));
  const Key key = KeyOf("k");
  const Key key_of_large = KeyOf("l");
  const std::uint64_t count = AllocationsOf([&]() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(shard().Find(key, now_));
      EXPECT_TRUE(shard().Store(key, value, kNeverExpires, 0, shard().NextVersion(now_)));
      EXPECT_TRUE(shard().Store(key, value, now_ + 5000, 0, shard().NextVersion(now_)));
      EXPECT_TRUE(shard().SetExpiry(key, now_ + 9000, shard().NextVersion(now_), now_));
      EXPECT_TRUE(shard().Store(key_of_large, large, 0, 0, shard().NextVersion(now_)));
      shard().Tick(now_, 100);
    }
  });
  EXPECT_EQ(count, 0u);
}

TEST_F(AllocationTest, EvictionAllocatesNothing) {
  Open(8 * kMiB);
  const std::string value(200, 'v');
  int stored = 0;
  while (Stats().evicted == 0) ASSERT_TRUE(Set("k" + std::to_string(stored++), value));
  std::vector<std::string> keys;
  for (int i = 0; i < 20000; ++i) keys.push_back("l" + std::to_string(i));
  const std::uint64_t count = AllocationsOf([&]() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::string_view some = std::string_view(value).substr(i % 100);
      EXPECT_TRUE(shard().Store(KeyOf(keys[i]), some, 0, 0, shard().NextVersion(now_)));
    }
  });
  EXPECT_EQ(count, 0u);
}

}  // namespace
}  // namespace gyre
