#include "membership/state_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <string>

#include "cluster/membership_fixture.h"
#include "proto/limits.h"
#include "proto/placement.h"

namespace gyre {
namespace {

MemberRecord FullMember() {
  MemberRecord record{TestMember(3, 77), 70};
  record.info.resp_port = 6379;
  record.info.resp_cluster_port = 7379;
  record.info.memcached_port = 11211;
  record.info.http_port = 65535;
  record.info.zone = "eu-1";
  record.info.weight = 4;
  record.info.state = MemberState::kStopped;
  return record;
}

TEST(StateCodec, CarriesEveryFieldOfAMember) {
  const MemberRecord record = FullMember();
  wire::Member message;
  ToWire(record, message);
  const auto read = FromWire(message);
  ASSERT_TRUE(read);
  wire::Member again;
  ToWire(*read, again);
  EXPECT_EQ(message.SerializeAsString(), again.SerializeAsString());
  EXPECT_EQ(read->info.zone, "eu-1");
  EXPECT_EQ(read->info.http_port, 65535);
  EXPECT_EQ(read->info.state, MemberState::kStopped);
  EXPECT_EQ(read->epoch, 70U);
}

TEST(StateCodec, CarriesTheWordOnRebalancingAndNothingThatIsNone) {
  for (const auto limit : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(0),
                           std::optional<std::uint64_t>(5'000'000)}) {
    const RebalanceSetting setting{7, TestId(2), true, limit};
    wire::RebalanceSetting message;
    ToWire(setting, message);
    ASSERT_TRUE(FromWire(message));
    EXPECT_EQ(*FromWire(message), setting);
    wire::RebalanceSetting bad = message;
    bad.set_by("x");
    EXPECT_FALSE(FromWire(bad));
    bad = message;
    bad.set_revision(0);
    EXPECT_FALSE(FromWire(bad));
    bad.set_revision(kCounterMax + 1);
    EXPECT_FALSE(FromWire(bad));
    bad = message;
    bad.set_bytes_per_second(~std::uint64_t{0});
    EXPECT_FALSE(FromWire(bad));
  }
  EXPECT_FALSE(FromWire(wire::RebalanceSetting()));
}

struct BadMember {
  const char* name;
  std::function<void(wire::Member&)> spoil;
};

class StateCodecRefuses : public ::testing::TestWithParam<BadMember> {};

TEST_P(StateCodecRefuses, AMemberOutOfBounds) {
  wire::Member message;
  ToWire(FullMember(), message);
  ASSERT_TRUE(FromWire(message));
  GetParam().spoil(message);
  EXPECT_FALSE(FromWire(message));
}

INSTANTIATE_TEST_SUITE_P(
    , StateCodecRefuses,
    ::testing::Values(
        BadMember{"ShortId", [](wire::Member& m) { m.set_id("x"); }},
        BadMember{"LongId", [](wire::Member& m) { m.set_id(std::string(17, 'x')); }},
        BadMember{"LongName",
                  [](wire::Member& m) { m.set_name(std::string(kMemberNameBytesMax + 1, 'x')); }},
        BadMember{"NameWithNewline", [](wire::Member& m) { m.set_name("n1\nfake log line"); }},
        BadMember{"NoHost", [](wire::Member& m) { m.set_host(""); }},
        BadMember{"LongHost",
                  [](wire::Member& m) { m.set_host(std::string(kHostBytesMax + 1, 'x')); }},
        BadMember{"NoPort", [](wire::Member& m) { m.set_port(0); }},
        BadMember{"LargePort", [](wire::Member& m) { m.set_port(65536); }},
        BadMember{"LargeRespPort", [](wire::Member& m) { m.set_resp_port(65536); }},
        BadMember{"LargeClusterPort", [](wire::Member& m) { m.set_resp_cluster_port(1U << 31); }},
        BadMember{"LargeMemcachedPort", [](wire::Member& m) { m.set_memcached_port(65536); }},
        BadMember{"LargeHttpPort", [](wire::Member& m) { m.set_http_port(65536); }},
        BadMember{"LongZone",
                  [](wire::Member& m) { m.set_zone(std::string(kZoneBytesMax + 1, 'x')); }},
        BadMember{"NoWeight", [](wire::Member& m) { m.set_weight(0); }},
        BadMember{"LargeWeight", [](wire::Member& m) { m.set_weight(kWeightMax + 1); }},
        BadMember{"LargeIncarnation", [](wire::Member& m) { m.set_incarnation(kCounterMax + 1); }},
        BadMember{"EpochAhead", [](wire::Member& m) { m.set_epoch(m.incarnation() + 1); }},
        BadMember{"UnknownState",
                  [](wire::Member& m) { m.set_state(static_cast<wire::MemberState>(5)); }},
        BadMember{"NegativeState",
                  [](wire::Member& m) { m.set_state(static_cast<wire::MemberState>(-1)); }},
        BadMember{"StateOfARingView", [](wire::Member& m) { m.set_state(wire::DRAINED); }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(StateCodec, RefusesHoldingsOfAnotherPartitionCount) {
  wire::Holdings message;
  ToWire(TestId(1), Holdings{5, 6, PartitionSet(64, true), PartitionSet(64)}, message);
  const auto read = FromWire(message, 64);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->holdings, (Holdings{5, 6, PartitionSet(64, true), PartitionSet(64)}));
  EXPECT_FALSE(FromWire(message, 128));
  EXPECT_FALSE(FromWire(message, 32));
  message.set_revision(kCounterMax + 1);
  EXPECT_FALSE(FromWire(message, 64));
}

TEST(StateCodec, HoldingsTellWhatCameFromASnapshot) {
  const Holdings holdings{5, 6, PartitionSet(64), PartitionSet(64), {PartitionSet(64, true), 777}};
  wire::Holdings message;
  ToWire(TestId(1), holdings, message);
  EXPECT_EQ(FromWire(message, 64)->holdings, holdings);
  message.set_restored("x");
  EXPECT_FALSE(FromWire(message, 64)) << "of another partition count";
}

TEST(StateCodec, RefusesRingEntriesAndSuspicionsOutOfBounds) {
  wire::RingEntry entry;
  for (const bool drained : {false, true}) {
    RingEntry each{.id = TestId(1), .zone = "a", .weight = 2, .revision = 9, .removed = true};
    (drained ? each.drained : each.evicted) = true;
    each.version_node = drained ? 255 : 3;
    ToWire(each, entry);
    EXPECT_EQ(FromWire(entry), each);
  }
  entry.set_removed(false);
  EXPECT_FALSE(FromWire(entry)) << "who is drained is off the ring";
  entry.set_removed(true);
  entry.set_version_node(kRingNodesMax);
  EXPECT_FALSE(FromWire(entry));
  entry.set_version_node(0);
  entry.set_weight(0);
  EXPECT_FALSE(FromWire(entry));
  entry.set_weight(1);
  entry.set_zone(std::string(1, '\x7f'));
  EXPECT_FALSE(FromWire(entry));

  wire::Suspicion suspicion;
  ToWire(SuspicionRecord{TestId(1), 3, TestId(2)}, suspicion);
  EXPECT_TRUE(FromWire(suspicion));
  suspicion.set_from("");
  EXPECT_FALSE(FromWire(suspicion));
}

TEST(StateCodec, CountsStateInTheDigestAndSuspicionNot) {
  const auto digest = [](const std::function<void(MemberRecord&)>& change, bool on_ring = true) {
    MemberRecord record = FullMember();
    record.info.state = MemberState::kAlive;
    change(record);
    StateDigest digest;
    digest.Add(record, on_ring);
    return digest.value();
  };
  const std::uint64_t alive = digest([](MemberRecord&) {});
  EXPECT_EQ(alive, digest([](MemberRecord& r) { r.info.state = MemberState::kSuspect; }));
  EXPECT_NE(alive, digest([](MemberRecord& r) { r.info.state = MemberState::kDead; }));
  EXPECT_NE(alive, digest([](MemberRecord& r) { r.info.state = MemberState::kStopped; }));
  EXPECT_NE(alive, digest([](MemberRecord& r) { ++r.info.incarnation; }));
  EXPECT_EQ(0U, digest([](MemberRecord& r) { r.info.state = MemberState::kDead; }, false));
}

// A node of 200 with 16,384 partitions: its holdings fit a datagram beside other news.
TEST(StateCodec, SaysHoldingsOfLargeClustersInFewBytes) {
  Holdings holdings{1, 1, PartitionSet(16'384), PartitionSet(16'384)};
  for (PartitionId i = 0; i < 16'384; i += 100) holdings.complete.Set(i);
  for (PartitionId i = 0; i < 16'384; i += 200) holdings.owned.Set(i);
  wire::Holdings message;
  ToWire(NodeId{}, holdings, message);
  EXPECT_LE(message.ByteSizeLong(), 220U);
  const auto record = FromWire(message, 16'384);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->holdings, holdings);
}

RC_GTEST_PROP(StateCodecProperty, HoldingsComeBackFromEveryEncoding, ()) {
  const std::uint32_t count = 1U << *rc::gen::inRange(0, 11);
  const auto sets = [&](std::uint32_t percent) {
    PartitionSet set(count);
    for (std::uint32_t i = 0; i < count; ++i) set.Assign(i, *rc::gen::inRange(0U, 100U) < percent);
    return set;
  };
  Holdings holdings{3, 4, sets(*rc::gen::inRange(0U, 101U)), sets(*rc::gen::inRange(0U, 101U))};
  // Owned is part of complete as a rule, and need not be.
  if (*rc::gen::arbitrary<bool>()) holdings.owned.Keep(holdings.complete);
  RC_ASSERT(DecodeSparse(EncodeSparse(holdings.complete), count) == holdings.complete);
  wire::Holdings message;
  ToWire(NodeId{}, holdings, message);
  const auto record = FromWire(message, count);
  RC_ASSERT(record.has_value());
  RC_ASSERT(record->holdings == holdings);
}

TEST(StateCodec, RefusesSparseSetsThatAreNone) {
  EXPECT_FALSE(DecodeSparse("\x40", 64)) << "beyond the last partition";
  EXPECT_FALSE(DecodeSparse(std::string("\x3f\x00", 2), 64)) << "one more than there are";
  EXPECT_FALSE(DecodeSparse("\x80", 64)) << "cut short";
  EXPECT_FALSE(DecodeSparse("\x80\x80\x80\x01", 64)) << "a number too long";
  EXPECT_FALSE(DecodePart("\x01\x01", PartitionSet(4, true))) << "too many bits";
}

}  // namespace
}  // namespace gyre
