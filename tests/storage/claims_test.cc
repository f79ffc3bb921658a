#include "storage/claims.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

constexpr ClaimMode kShared = ClaimMode::kShared;
constexpr ClaimMode kExclusive = ClaimMode::kExclusive;

Claim KeyClaim(PartitionId partition, std::uint64_t hash) { return {partition, false, hash}; }

TEST(ClaimsTest, SharedOnesAdmitReadersExclusiveOnesNobody) {
  Claims claims;
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kShared, 1));
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kShared, 2));
  EXPECT_TRUE(claims.Admits(KeyClaim(1, 7), kShared, kNoHolder));
  EXPECT_FALSE(claims.Admits(KeyClaim(1, 7), kExclusive, kNoHolder));
  EXPECT_FALSE(claims.Take(KeyClaim(1, 7), kExclusive, 3));
  claims.GiveBack(KeyClaim(1, 7), kShared, 1);
  EXPECT_FALSE(claims.Take(KeyClaim(1, 7), kExclusive, 3));
  claims.GiveBack(KeyClaim(1, 7), kShared, 2);
  EXPECT_FALSE(claims.Any(1));

  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kExclusive, 3));
  EXPECT_FALSE(claims.Admits(KeyClaim(1, 7), kShared, kNoHolder));
  EXPECT_TRUE(claims.Admits(KeyClaim(1, 7), kExclusive, 3)) << "its own do not hold it off";
  EXPECT_TRUE(claims.Admits(KeyClaim(1, 8), kExclusive, kNoHolder)) << "another key";
  EXPECT_TRUE(claims.Admits(KeyClaim(2, 7), kExclusive, kNoHolder)) << "another partition";
}

TEST(ClaimsTest, AWholePartitionConcernsItsKeysAndTheyConcernIt) {
  Claims claims;
  const Claim whole = Claim::OfPartition(1);
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kShared, 1));
  EXPECT_TRUE(claims.Admits(whole, kShared, 2));
  EXPECT_FALSE(claims.Admits(whole, kExclusive, 2));
  claims.GiveBack(KeyClaim(1, 7), kShared, 1);
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kExclusive, 1));
  EXPECT_FALSE(claims.Admits(whole, kShared, 2));
  claims.GiveBack(KeyClaim(1, 7), kExclusive, 1);
  EXPECT_TRUE(claims.Take(whole, kExclusive, 2));
  EXPECT_TRUE(claims.Holds(KeyClaim(1, 9), 2));
  EXPECT_FALSE(claims.Holds(KeyClaim(1, 9), 1));
  EXPECT_FALSE(claims.Admits(KeyClaim(1, 9), kShared, 1));
  EXPECT_TRUE(claims.Admits(KeyClaim(1, 9), kExclusive, 2));
}

TEST(ClaimsTest, WhoClaimsTwiceAsExclusiveHasItOnce) {
  Claims claims;
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kExclusive, 1));
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kExclusive, 1));
  claims.GiveBack(KeyClaim(1, 7), kExclusive, 1);
  EXPECT_FALSE(claims.Any(1));
  EXPECT_TRUE(claims.Take(KeyClaim(1, 7), kExclusive, 2));
  claims.GiveBack(KeyClaim(1, 7), kExclusive, 1);
  EXPECT_TRUE(claims.Holds(KeyClaim(1, 7), 2)) << "another's is not given back";
}

TEST(ClaimsTest, KeysAreBounded) {
  Claims claims;
  for (std::uint64_t i = 0; i < Claims::kKeysMax; ++i) {
    ASSERT_TRUE(claims.Take(KeyClaim(static_cast<PartitionId>(i % 16), i), kExclusive, 1));
  }
  EXPECT_FALSE(claims.Take(KeyClaim(1, Claims::kKeysMax), kExclusive, 1));
  EXPECT_TRUE(claims.Take(Claim::OfPartition(99), kExclusive, 1));
  claims.GiveBack(KeyClaim(0, 0), kExclusive, 1);
  EXPECT_TRUE(claims.Take(KeyClaim(1, Claims::kKeysMax), kExclusive, 1));
}

// Whatever is taken and given back: nobody has what is incompatible with another's, and when all is
// given back nothing is left.
TEST(ClaimsTest, NoTwoIncompatibleClaimsStandSideBySide) {
  rc::check([] {
    struct Taken {
      Claim claim;
      ClaimMode mode;
      ClaimHolder by;
    };
    Claims claims;
    std::vector<Taken> taken;
    const int steps = *rc::gen::inRange(0, 200);
    for (int i = 0; i < steps; ++i) {
      if (!taken.empty() && *rc::gen::inRange(0, 3) == 0) {
        const auto at = taken.begin() + *rc::gen::inRange<int>(0, static_cast<int>(taken.size()));
        claims.GiveBack(at->claim, at->mode, at->by);
        taken.erase(at);
        continue;
      }
      const auto partition = *rc::gen::inRange<PartitionId>(0, 2);
      const bool whole = *rc::gen::inRange(0, 4) == 0;
      const Taken wanted{whole ? Claim::OfPartition(partition)
                               : KeyClaim(partition, *rc::gen::inRange<std::uint64_t>(0, 3)),
                         *rc::gen::element(kShared, kExclusive),
                         *rc::gen::inRange<ClaimHolder>(1, 4)};
      bool repeated = false;
      bool compatible = true;
      for (const Taken& other : taken) {
        if (other.claim.partition != wanted.claim.partition) continue;
        const bool same = other.claim == wanted.claim;
        repeated = repeated || (same && other.by == wanted.by);
        if (other.by == wanted.by) continue;
        const bool meet = same || other.claim.whole || wanted.claim.whole;
        compatible =
            compatible && !(meet && (other.mode == kExclusive || wanted.mode == kExclusive));
      }
      if (repeated) continue;
      const bool got = claims.Take(wanted.claim, wanted.mode, wanted.by);
      RC_ASSERT(!got || compatible);
      if (got) taken.push_back(wanted);
    }
    for (const Taken& each : taken) claims.GiveBack(each.claim, each.mode, each.by);
    RC_ASSERT(!claims.Any(0) && !claims.Any(1) && claims.key_count() == 0U);
  });
}

class ShardClaimsTest : public StorageTest {};

TEST_F(ShardClaimsTest, TheInfoOfAPartitionSaysThatSomethingOfItIsClaimed) {
  const Key key = KeyOf("k");
  MutexLock lock(shard().mutex());
  EXPECT_TRUE(shard().TakeClaim(Claim::OfKey(key), kExclusive, 1));
  EXPECT_TRUE(shard().info(key.partition).claimed);
  EXPECT_FALSE(shard().TakeClaim(Claim::OfKey(key), kExclusive, 2));
  shard().Drop(key.partition);
  EXPECT_TRUE(shard().info(key.partition).claimed) << "a claim outlives the copy";
  shard().GiveBackClaim(Claim::OfKey(key), kExclusive, 1);
  EXPECT_FALSE(shard().info(key.partition).claimed);
}

}  // namespace
}  // namespace gyre
