// The registers of the ring's settings: merging, stamps, bounds, digests, what is forgotten.
#include "settings/settings.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proto/limits.h"
#include "settings/change_rate.h"
#include "settings/settings_codec.h"

namespace gyre {
namespace {

constexpr UnixMillis kNow = 1'700'000'000'000;

NodeId Node(std::uint8_t number) {
  NodeId id;
  id.bytes[0] = number;
  return id;
}

Setting Set(const std::string& name, std::optional<std::string> value, std::uint64_t ms,
            std::uint8_t by = 1, std::uint32_t count = 0) {
  return {name, {ms, count, Node(by)}, std::move(value), {}};
}

SettingsMap MapOf(const std::vector<Setting>& settings, std::size_t count_max = kSettingsMax,
                  std::size_t bytes_max = kSettingsBytesMax) {
  SettingsMap map(count_max, bytes_max);
  for (const Setting& setting : settings) map.Merge(setting, kNow);
  return map;
}

void MergeAll(SettingsMap& into, const SettingsMap& from) {
  for (const auto& [name, setting] : from.registers()) into.Merge(setting, kNow);
}

std::string Value(const SettingsMap& map, const std::string& name) {
  const Setting* const found = map.Find(name);
  if (found == nullptr) return "(nothing)";
  return found->value.value_or("(unset)");
}

// What the sums say is what is there.
void ExpectCounted(const SettingsMap& map) {
  SettingsMap again(kSettingsMax * 16, kSettingsBytesMax * 16);
  for (const auto& [name, setting] : map.registers()) again.Merge(setting, kNow);
  EXPECT_EQ(map.digest(), again.digest());
  EXPECT_EQ(map.section_digests(), again.section_digests());
  EXPECT_EQ(map.bytes(), again.bytes());
  EXPECT_EQ(map.live_bytes(), again.live_bytes());
  EXPECT_EQ(map.live_count(), again.live_count());
}

// ---- Merging ------------------------------------------------------------------------------------

TEST(SettingsTest, TheNewerStays) {
  SettingsMap map;
  EXPECT_EQ(map.Merge(Set("a", "1", 10), kNow), SettingsMap::Merged::kTaken);
  EXPECT_EQ(map.Merge(Set("a", "0", 9), kNow), SettingsMap::Merged::kKnown);
  EXPECT_EQ(map.Merge(Set("a", "1", 10), kNow), SettingsMap::Merged::kKnown);
  EXPECT_EQ(Value(map, "a"), "1");
  EXPECT_EQ(map.Merge(Set("a", "2", 10, 1, 1), kNow), SettingsMap::Merged::kTaken);
  EXPECT_EQ(map.Merge(Set("a", "3", 10, 2, 1), kNow), SettingsMap::Merged::kTaken);
  EXPECT_EQ(map.Merge(Set("a", "4", 11, 1, 0), kNow), SettingsMap::Merged::kTaken);
  EXPECT_EQ(Value(map, "a"), "4");
  EXPECT_EQ(map.count(), 1U);
  ExpectCounted(map);
}

rc::Gen<Setting> AnySetting() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 6), rc::gen::inRange(0, 4), rc::gen::inRange(0, 3),
                     rc::gen::inRange(0, 3), rc::gen::inRange(0, 4)),
      [](const std::tuple<int, int, int, int, int>& drawn) {
        const auto [name, ms, count, by, value] = drawn;
        std::optional<std::string> text;
        if (value > 0) text = std::string(static_cast<std::size_t>(value), 'v');
        return Set("n" + std::to_string(name), text, static_cast<std::uint64_t>(kNow + ms),
                   static_cast<std::uint8_t>(by), static_cast<std::uint32_t>(count));
      });
}

bool Same(const SettingsMap& one, const SettingsMap& other) {
  return one.registers() == other.registers() && one.digest() == other.digest();
}

TEST(SettingsTest, MergingIsCommutativeAssociativeAndIdempotent) {
  rc::check([] {
    const auto settings = rc::gen::container<std::vector<Setting>>(AnySetting());
    const std::vector<Setting> a = *settings;
    const std::vector<Setting> b = *settings;
    const std::vector<Setting> c = *settings;
    SettingsMap ab = MapOf(a);
    MergeAll(ab, MapOf(b));
    SettingsMap ba = MapOf(b);
    MergeAll(ba, MapOf(a));
    RC_ASSERT(Same(ab, ba));
    SettingsMap ab_c = ab;
    MergeAll(ab_c, MapOf(c));
    SettingsMap bc = MapOf(b);
    MergeAll(bc, MapOf(c));
    SettingsMap a_bc = MapOf(a);
    MergeAll(a_bc, bc);
    RC_ASSERT(Same(ab_c, a_bc));
    const std::uint64_t before = ab_c.digest();
    MergeAll(ab_c, bc);
    RC_ASSERT(ab_c.digest() == before);
  });
}

TEST(SettingsTest, DigestsDifferWhereMapsDo) {
  rc::check([] {
    const auto settings = rc::gen::container<std::vector<Setting>>(AnySetting());
    const SettingsMap one = MapOf(*settings);
    const SettingsMap other = MapOf(*settings);
    const bool same = one.registers() == other.registers();
    RC_ASSERT((one.digest() == other.digest()) == same);
    RC_ASSERT((one.section_digests() == other.section_digests()) == same);
    RC_ASSERT(one.digest() != 0U);
  });
}

// Whatever was said, in whatever order it goes round, nodes agree in the end: beyond the bounds, too.
TEST(SettingsTest, MapsThatAreTooFullAgreeAsWell) {
  rc::check([] {
    constexpr std::size_t kNodes = 4;
    constexpr std::size_t kCount = 4;
    const std::size_t bytes = kCount * kSettingOverheadBytes + *rc::gen::inRange(0, 200);
    std::vector<SettingsMap> nodes;
    for (std::size_t i = 0; i < kNodes; ++i) {
      nodes.push_back(
          MapOf(*rc::gen::container<std::vector<Setting>>(AnySetting()), kCount, bytes));
    }
    const auto differ = [&] {
      return std::any_of(nodes.begin(), nodes.end(), [&](const SettingsMap& node) {
        return node.digest() != nodes.front().digest();
      });
    };
    for (int round = 0; round < 100 && differ(); ++round) {
      for (std::size_t i = 0; i < kNodes; ++i) {
        MergeAll(nodes[i], nodes[(i + 1) % kNodes]);
        MergeAll(nodes[(i + 1) % kNodes], nodes[i]);
      }
    }
    RC_ASSERT(!differ());
    RC_ASSERT(nodes.front().count() <= kCount);
    RC_ASSERT(nodes.front().bytes() <= bytes);
  });
}

TEST(SettingsTest, RoomIsMadeOfWhatWasUnsetThenOfTheOldest) {
  SettingsMap map(3, kSettingsBytesMax);
  for (const Setting& setting : {Set("old", "1", 10), Set("gone", std::nullopt, kNow),
                                 Set("newer", "2", 20), Set("newest", "3", 40)}) {
    map.Merge(setting, kNow);
  }
  EXPECT_EQ(Value(map, "gone"), "(nothing)");
  EXPECT_EQ(map.let_go(), 1U);
  EXPECT_EQ(map.Merge(Set("another", "4", 50), kNow), SettingsMap::Merged::kTaken);
  EXPECT_EQ(Value(map, "old"), "(nothing)");
  EXPECT_EQ(map.Merge(Set("oldest", "5", 5), kNow), SettingsMap::Merged::kNoRoom);
  EXPECT_EQ(map.count(), 3U);
  ExpectCounted(map);
}

// ---- What is unset ------------------------------------------------------------------------------

TEST(SettingsTest, WhatIsUnsetStaysSoAndIsForgottenLater) {
  SettingsMap map;
  const std::uint64_t ms = kNow;
  map.Merge(Set("a", "1", ms), kNow);
  map.Merge(Set("a", std::nullopt, ms + 1), kNow);
  EXPECT_EQ(map.Merge(Set("a", "1", ms), kNow), SettingsMap::Merged::kKnown);
  EXPECT_EQ(Value(map, "a"), "(unset)");
  EXPECT_EQ(map.live_count(), 0U);
  EXPECT_EQ(map.Forget(kNow + kUnsetKeptMs), 0U);
  EXPECT_EQ(map.Forget(kNow + kUnsetKeptMs + 2), 1U);
  EXPECT_EQ(map.count(), 0U);
  EXPECT_EQ(map.digest(), SettingsMap().digest());
  // Nobody who remembers it for longer brings it back; but it still takes what it unset.
  EXPECT_EQ(map.Merge(Set("a", std::nullopt, ms + 1), kNow + kUnsetKeptMs + 2),
            SettingsMap::Merged::kKnown);
  map.Merge(Set("a", "1", ms), kNow);
  EXPECT_EQ(map.Merge(Set("a", std::nullopt, ms + 1), kNow + kUnsetKeptMs + 2),
            SettingsMap::Merged::kTaken);
  EXPECT_EQ(map.count(), 0U);
  ExpectCounted(map);
}

// ---- Stamps -------------------------------------------------------------------------------------

TEST(SettingsTest, AChangeIsNewerThanWhatItReplaces) {
  SettingsMap map;
  const auto change = [&](const std::string& value, UnixMillis now, std::uint8_t by) {
    const Result<Setting> next = map.Stamp({"a", value}, Node(by), now);
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_EQ(map.Merge(*next, now), SettingsMap::Merged::kTaken) << value;
  };
  change("1", kNow, 9);
  change("2", kNow, 1);           // within a millisecond
  change("3", kNow - 60'000, 2);  // by a clock that is behind
  EXPECT_EQ(map.Find("a")->stamp.ms, static_cast<std::uint64_t>(kNow));
  change("4", kNow + 5, 1);
  EXPECT_EQ(map.Find("a")->stamp, (SettingStamp{kNow + 5, 0, Node(1)}));
  map.Merge(Set("a", "5", kNow + 10, 3, ~std::uint32_t{0}), kNow);
  change("6", kNow, 1);
  EXPECT_EQ(map.Find("a")->stamp, (SettingStamp{kNow + 11, 0, Node(1)}));
  EXPECT_EQ(Value(map, "a"), "6");
  // Without a clock the count goes on.
  const Result<Setting> next = map.Stamp({"a", std::nullopt}, Node(1), std::nullopt);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->stamp, (SettingStamp{kNow + 11, 1, Node(1)}));
}

TEST(SettingsTest, NothingIsStampedSoFarAheadThatOthersRefuseIt) {
  SettingsMap map;
  map.Merge(Set("a", "1", kNow + kAheadMaxMs + 1), kNow);
  const Result<Setting> next = map.Stamp({"a", "2"}, Node(1), kNow);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::kNotAllowed);
  EXPECT_TRUE(map.Stamp({"a", "2"}, Node(1), kNow + 1));
}

// ---- Bounds -------------------------------------------------------------------------------------

TEST(SettingsTest, NamesAndValuesAreBounded) {
  const SettingsMap map;
  const auto code = [&](const SettingChange& change) {
    const Result<Setting> next = map.Stamp(change, Node(1), kNow);
    return next ? "ok" : std::string(ErrorCodeName(next.error().code));
  };
  EXPECT_EQ(code({std::string(kSettingNameBytesMax, 'n'), "v"}), "ok");
  EXPECT_EQ(code({std::string(kSettingNameBytesMax + 1, 'n'), "v"}), "invalid_argument");
  for (const char* bad : {"", "a b", "a\n", "\x7f"}) {
    EXPECT_EQ(code({bad, "v"}), "invalid_argument") << bad;
  }
  EXPECT_EQ(code({"a", std::string(kSettingValueBytesMax, '\0')}), "ok");
  EXPECT_EQ(code({"a", std::string(kSettingValueBytesMax + 1, 'v')}), "too_large");
  EXPECT_EQ(code({"a", std::nullopt}), "invalid_argument");
}

// Fills the map by changes until one is refused.
std::size_t Fill(SettingsMap& map, const std::string& prefix, const std::string& value) {
  for (std::size_t i = 0;; ++i) {
    const Result<Setting> next = map.Stamp({prefix + std::to_string(i), value}, Node(1), kNow);
    if (!next) {
      EXPECT_EQ(next.error().code, ErrorCode::kTooLarge);
      return i;
    }
    EXPECT_EQ(map.Merge(*next, kNow), SettingsMap::Merged::kTaken);
  }
}

TEST(SettingsTest, TwoSidesOfACutFindRoomInEachOther) {
  for (const std::string& value : {std::string("v"), std::string(kSettingValueBytesMax, 'v')}) {
    SettingsMap one;
    SettingsMap other;
    const std::size_t of_one = Fill(one, "one-", value);
    const std::size_t of_other = Fill(other, "other-", value);
    EXPECT_GT(of_one, 20U);
    MergeAll(one, other);
    EXPECT_EQ(one.count(), of_one + of_other);
    EXPECT_EQ(one.let_go(), 0U);
    // What is there may change still, and go.
    EXPECT_TRUE(one.Stamp({"one-0", std::nullopt}, Node(1), kNow));
    EXPECT_FALSE(one.Stamp({"third", "v"}, Node(1), kNow));
  }
}

TEST(SettingsTest, ChangesComeAtABoundedRate) {
  using std::chrono::milliseconds;
  ChangeRate rate(3, 2);
  TimePoint now{std::chrono::hours(1)};
  EXPECT_TRUE(rate.Take(now, 2));
  EXPECT_FALSE(rate.Take(now, 2));
  EXPECT_TRUE(rate.Take(now));
  EXPECT_FALSE(rate.Take(now));
  EXPECT_TRUE(rate.Take(now + milliseconds(500)));
  EXPECT_FALSE(rate.Take(now + milliseconds(900)));
  EXPECT_TRUE(rate.Take(now + std::chrono::hours(1), 3));
  EXPECT_FALSE(rate.Take(now + std::chrono::hours(1)));
}

// ---- Messages -----------------------------------------------------------------------------------

TEST(SettingsCodecTest, ComesBackAsItWas) {
  for (Setting setting :
       {Set("config/log-level", "debug", 7, 3, 2), Set("x", std::string("\0\xff", 2), 1),
        Set("empty", "", 1), Set("gone", std::nullopt, 9)}) {
    setting.proof = std::string(96, 'p');
    wire::Setting message;
    ToWire(setting, message);
    const auto read = FromWire(message);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, setting);
    EXPECT_EQ(WordsOf(*read), WordsOf(setting));
  }
}

TEST(SettingsCodecTest, RefusesWhatIsOutOfBounds) {
  const auto spoiled = [](const std::function<void(wire::Setting&)>& spoil) {
    wire::Setting message;
    ToWire(Set("a", "v", 1), message);
    spoil(message);
    return !FromWire(message).has_value();
  };
  EXPECT_FALSE(spoiled([](wire::Setting&) {}));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.clear_name(); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_name("a\tb"); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_name(std::string(129, 'n')); }));
  EXPECT_TRUE(spoiled(
      [](wire::Setting& each) { each.set_value(std::string(kSettingValueBytesMax + 1, 'v')); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_by("short"); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_unset(true); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_ms(~std::uint64_t{0}); }));
  EXPECT_TRUE(spoiled([](wire::Setting& each) { each.set_proof(std::string(200, 'p')); }));
}

TEST(SettingsCodecTest, OnlyWhatDiffersTravels) {
  SettingsMap one = MapOf({Set("a", "1", 1), Set("b", "1", 1), Set("c", "1", 1)});
  SettingsMap other = one;
  other.Merge(Set("b", "2", 2), kNow);
  wire::SettingsPart asked;
  WritePart(one, 0, 0, asked);
  EXPECT_EQ(asked.settings_size(), 0);
  const SettingsSections differing = Differing(other, asked);
  EXPECT_EQ(differing, SettingsSections{1} << SettingsMap::SectionOf("b"));
  wire::SettingsPart answer;
  WritePart(other, differing, 5, answer);
  EXPECT_FALSE(answer.more());
  for (const wire::Setting& each : answer.settings()) one.Merge(*FromWire(each), kNow);
  EXPECT_TRUE(Same(one, other));
  EXPECT_EQ(Differing(one, answer), 0U);
  EXPECT_EQ(Differing(SettingsMap(), {}), 0U);
  EXPECT_NE(Differing(one, {}), 0U) << "no digests: it has none";
}

TEST(SettingsCodecTest, WhatFindsNoRoomInOneMessageComesWithTheNext) {
  SettingsMap full;
  Fill(full, "n", std::string(20'000, 'v'));
  SettingsMap empty;
  std::uint64_t turn = 1;
  for (; empty.digest() != full.digest(); ++turn) {
    ASSERT_LT(turn, 1000U);
    wire::SettingsPart asked;
    WritePart(empty, 0, 0, asked);
    wire::SettingsPart answer;
    WritePart(full, Differing(full, asked), turn * 7919, answer);
    EXPECT_LE(answer.ByteSizeLong(), kSettingsPartBytesMax + kSettingValueBytesMax);
    for (const wire::Setting& each : answer.settings()) empty.Merge(*FromWire(each), kNow);
    EXPECT_TRUE(answer.more() || empty.digest() == full.digest()) << turn;
  }
  EXPECT_GT(turn, 5U);
}

}  // namespace
}  // namespace gyre
