// The ring's settings between nodes: how they spread, who is believed, what nodes of another release
// make of them.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/level.h"
#include "cluster/membership_fixture.h"
#include "membership/state_codec.h"
#include "proto/limits.h"
#include "settings/settings_codec.h"
#include "support/test_signer.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kWallStart = 1'700'000'000'000;

class MembershipSettings : public MembershipTest {
 protected:
  // Whose clock is ahead of the others' by so much.
  MembershipOptions Options(milliseconds ahead = {}) {
    MembershipOptions options;
    options.wall_clock = [this, ahead] {
      return std::chrono::duration_cast<std::chrono::microseconds>(
                 cluster.now().time_since_epoch()) +
             milliseconds(kWallStart) + ahead;
    };
    return options;
  }
  UnixMillis Wall() { return std::chrono::floor<milliseconds>(Options().wall_clock()).count(); }

  Status Change(std::uint64_t number, const std::vector<SettingChange>& changes) {
    Status outcome;
    cluster.Apply(number, [&](Membership& each) {
      return each.ChangeSettings(cluster.now(), changes, outcome);
    });
    return outcome;
  }
  void Set(std::uint64_t number, const std::string& name, const std::string& value) {
    const Status outcome = Change(number, {{name, value}});
    EXPECT_TRUE(outcome) << outcome.error().message;
  }
  void Unset(std::uint64_t number, const std::string& name) {
    const Status outcome = Change(number, {{name, std::nullopt}});
    EXPECT_TRUE(outcome) << outcome.error().message;
  }
  std::string Value(std::uint64_t viewer, const std::string& name) {
    const Setting* const found = cluster.at(viewer).settings().Find(name);
    return found == nullptr ? "(nothing)" : found->value.value_or("(unset)");
  }
  bool AllSay(const std::string& name, const std::string& value) {
    const auto numbers = cluster.numbers();
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](std::uint64_t each) { return Value(each, name) == value; });
  }
  std::optional<Duration> UntilAllSay(const std::string& name, const std::string& value,
                                      Duration most = seconds(5)) {
    return cluster.RunUntil([&] { return AllSay(name, value); }, most);
  }
  bool OneDigest() {
    const std::uint64_t digest = cluster.at(cluster.numbers().front()).settings().digest();
    const auto numbers = cluster.numbers();
    return std::all_of(numbers.begin(), numbers.end(), [&](std::uint64_t each) {
      return cluster.at(each).settings().digest() == digest;
    });
  }
  // As its readiness wants it.
  bool HasMet(std::uint64_t number) {
    return cluster.at(number).joined() && cluster.at(number).settings_known();
  }
  std::vector<Setting> Kept(std::uint64_t number) {
    std::vector<Setting> kept;
    for (const auto& [name, setting] : cluster.at(number).settings().registers()) {
      kept.push_back(setting);
    }
    return kept;
  }
  // Started again with what it kept.
  void Restart(std::uint64_t number, std::uint64_t incarnation, std::vector<Setting> kept,
               const std::vector<std::uint64_t>& seeds = {0, 1}) {
    MembershipOptions options = Options();
    options.remembered_settings = std::move(kept);
    cluster.Start(number, TestMember(number, incarnation), options, seeds);
  }
  void Join(std::uint64_t number) {
    cluster.Apply(number, [this](Membership& each) { return each.JoinRing(cluster.now()); });
  }
};

// ---- How they spread ----------------------------------------------------------------------------

TEST_F(MembershipSettings, AreAtAllNodesSoon) {
  Form(5, Options());
  Set(3, "config/log-level", "debug");
  EXPECT_EQ(Value(3, "config/log-level"), "debug") << "at once where it was said";
  const auto took = UntilAllSay("config/log-level", "debug");
  ASSERT_TRUE(took);
  EXPECT_LT(*took, milliseconds(500));
  Unset(1, "config/log-level");
  EXPECT_TRUE(UntilAllSay("config/log-level", "(unset)"));
  EXPECT_TRUE(OneDigest());
  EXPECT_EQ(cluster.at(3).settings_stats().changes, 1U);
  EXPECT_EQ(cluster.at(3).settings_stats().heard, 1U);
  cluster.Run(seconds(5));
  EXPECT_EQ(cluster.at(3).settings_stats().nodes_differing, 0U);
  EXPECT_TRUE(cluster.Converged());
}

TEST_F(MembershipSettings, SeveralAreSetTogetherOrNotAtAll) {
  Form(2, Options());
  const Status refused = Change(0, {{"a", "1"}, {"b", std::nullopt}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "'b' is not set for the ring");
  EXPECT_EQ(Value(0, "a"), "(nothing)");
  EXPECT_TRUE(Change(0, {{"a", "1"}, {"b", "2"}, {"a", "3"}}));
  EXPECT_TRUE(UntilAllSay("a", "3"));
  EXPECT_TRUE(UntilAllSay("b", "2"));
  EXPECT_EQ(cluster.at(0).settings_stats().refused_here, 1U);
}

TEST_F(MembershipSettings, LostDatagramsAreRepaired) {
  Form(5, Options());
  cluster.set_loss(1);
  Set(0, "a", "1");
  cluster.Run(milliseconds(1500));  // all that was to be said of it is said
  cluster.set_loss(0.3);
  EXPECT_TRUE(UntilAllSay("a", "1", seconds(10)));
}

TEST_F(MembershipSettings, LargeOnesComeByExchanges) {
  Form(3, Options());
  std::map<std::string, std::string> wanted;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "large/" + std::to_string(i);
    wanted[name] = std::string(kSettingValueBytesMax, static_cast<char>('a' + i));
    Set(static_cast<std::uint64_t>(i % 3), name, wanted[name]);
  }
  ASSERT_TRUE(cluster.RunUntil([this] { return OneDigest(); }, seconds(60)));
  for (const auto& [name, value] : wanted) EXPECT_TRUE(AllSay(name, value)) << name;
}

TEST_F(MembershipSettings, BothSidesOfACutMayChangeThem) {
  Form(5, Options());
  Set(0, "both", "before");
  Set(0, "goes", "before");
  ASSERT_TRUE(UntilAllSay("goes", "before"));
  cluster.Split({0, 1}, {2, 3, 4});
  cluster.Run(seconds(10));
  Set(0, "of-one", "1");
  Set(3, "of-other", "2");
  Set(0, "both", "older");
  Unset(1, "goes");
  cluster.Run(seconds(1));
  Set(4, "both", "newer");
  cluster.Run(seconds(1));
  EXPECT_EQ(Value(1, "both"), "older");
  EXPECT_EQ(Value(2, "both"), "newer");
  cluster.Heal();
  EXPECT_TRUE(UntilAllSay("both", "newer", seconds(15)));
  EXPECT_TRUE(UntilAllSay("of-one", "1", seconds(2)));
  EXPECT_TRUE(UntilAllSay("of-other", "2", seconds(2)));
  EXPECT_TRUE(UntilAllSay("goes", "(unset)", seconds(2)));
  EXPECT_TRUE(OneDigest());
}

// Changes made in view of each other follow each other, whatever the clocks.
TEST_F(MembershipSettings, ClocksThatDifferUndoNoChange) {
  Form(3, Options());
  cluster.Start(3, TestMember(3), Options(std::chrono::hours(1)));
  cluster.Apply(3, [this](Membership& each) { return each.JoinRing(cluster.now()); });
  ASSERT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(4); }, seconds(10)));
  Set(3, "a", "1");
  ASSERT_TRUE(UntilAllSay("a", "1"));
  Set(0, "a", "2");
  EXPECT_TRUE(UntilAllSay("a", "2"));
  Unset(1, "a");
  EXPECT_TRUE(UntilAllSay("a", "(unset)"));
}

TEST_F(MembershipSettings, ChangesOfOneNameAtTwoNodesEndAlike) {
  Form(4, Options());
  for (int round = 0; round < 20; ++round) {
    Set(static_cast<std::uint64_t>(round % 4), "a", "first " + std::to_string(round));
    Set(static_cast<std::uint64_t>((round + 1) % 4), "a", "second " + std::to_string(round));
    cluster.Run(milliseconds(70));
  }
  ASSERT_TRUE(cluster.RunUntil([this] { return OneDigest(); }, seconds(5)));
  EXPECT_TRUE(AllSay("a", Value(0, "a")));
}

// ---- Who comes, and comes back ------------------------------------------------------------------

TEST_F(MembershipSettings, ANewcomerHasThemWhenItHasJoined) {
  Form(3, Options());
  for (int i = 0; i < 50; ++i) {
    Set(static_cast<std::uint64_t>(i % 3), "n" + std::to_string(i), std::to_string(i));
  }
  ASSERT_TRUE(cluster.RunUntil([this] { return OneDigest(); }, seconds(5)));
  cluster.Start(3, TestMember(3), Options());
  EXPECT_FALSE(HasMet(3));
  ASSERT_TRUE(cluster.RunUntil([this] { return HasMet(3); }, seconds(5)));
  EXPECT_TRUE(OneDigest());
  EXPECT_EQ(Value(3, "n49"), "49");
}

TEST_F(MembershipSettings, ANodeThatIsAloneWaitsForNobody) {
  cluster.Start(0, TestMember(0), Options(), {});
  EXPECT_TRUE(HasMet(0));
  cluster.Apply(0, [this](Membership& each) { return each.JoinRing(cluster.now()); });
  Set(0, "a", "1");
  // Who comes to it takes nothing from it.
  cluster.Start(1, TestMember(1), Options(), {0});
  ASSERT_TRUE(UntilAllSay("a", "1"));
  EXPECT_TRUE(cluster.RunUntil([this] { return HasMet(0); }, milliseconds(500)));
}

TEST_F(MembershipSettings, WhoWasAwayOverwritesNothingWithWhatItKept) {
  Form(4, Options());
  Set(0, "changed", "old");
  Set(0, "goes", "old");
  Set(0, "stays", "old");
  ASSERT_TRUE(UntilAllSay("stays", "old"));
  const std::vector<Setting> kept = Kept(3);
  cluster.Kill(3);
  cluster.Run(seconds(5));
  Set(1, "changed", "new");
  Unset(2, "goes");
  Set(2, "comes", "new");
  ASSERT_TRUE(UntilAllSay("comes", "new"));
  Restart(3, 2, kept);
  EXPECT_EQ(Value(3, "changed"), "old") << "until it meets another";
  EXPECT_FALSE(HasMet(3));
  ASSERT_TRUE(cluster.RunUntil([this] { return HasMet(3); }, seconds(5)));
  Join(3);
  EXPECT_TRUE(AllSay("changed", "new"));
  EXPECT_TRUE(AllSay("goes", "(unset)"));
  EXPECT_TRUE(AllSay("comes", "new"));
  EXPECT_TRUE(AllSay("stays", "old"));
}

TEST_F(MembershipSettings, ARingThatWasStoppedHasThemAgain) {
  Form(3, Options());
  Set(0, "a", "1");
  Set(1, "b", "2");
  ASSERT_TRUE(UntilAllSay("b", "2"));
  const std::vector<Setting> kept = Kept(0);
  for (const std::uint64_t number : cluster.numbers()) cluster.Kill(number);
  // Node 0 lost its data.
  Restart(1, 2, kept, {0, 1, 2});
  Restart(2, 2, kept, {0, 1, 2});
  Restart(0, 2, {}, {0, 1, 2});
  cluster.Run(seconds(1));
  for (const std::uint64_t number : cluster.numbers()) Join(number);
  EXPECT_TRUE(UntilAllSay("a", "1", seconds(15)));
  EXPECT_TRUE(UntilAllSay("b", "2"));
}

TEST_F(MembershipSettings, WhatWasUnsetIsForgottenByAllInTheEnd) {
  milliseconds later{};
  MembershipOptions options = Options();
  options.wall_clock = [clock = Options().wall_clock, &later] { return clock() + later; };
  Form(3, options);
  Set(0, "a", "1");
  Unset(0, "a");
  ASSERT_TRUE(UntilAllSay("a", "(unset)"));
  later = milliseconds(kUnsetKeptMs + 1000);
  EXPECT_TRUE(UntilAllSay("a", "(nothing)"));
  cluster.Run(seconds(5));
  EXPECT_TRUE(AllSay("a", "(nothing)"));
}

// ---- Who is believed ----------------------------------------------------------------------------

class MembershipSettingsTrust : public MembershipSettings {
 protected:
  Setting Signed(const std::string& name, const std::string& value, std::uint64_t ms,
                 std::uint64_t by, std::optional<std::uint64_t> signer = std::nullopt) {
    Setting setting{name, {ms, 0, TestId(by)}, value, {}};
    setting.proof =
        TestSigner::Proof(TestId(signer.value_or(by)), Said::kSetting, WordsOf(setting));
    return setting;
  }
  // Node 1, or somebody in its name, says so to node 0.
  void Say(const Setting& setting, const std::function<void(wire::Setting&)>& spoil = nullptr) {
    wire::GossipMessage message;
    message.set_cluster(ClusterHash("gyre"));
    message.set_protocol_version(1);
    message.set_level(kLevel);
    message.set_from(std::string(TestId(1).raw()));
    message.set_to(std::string(TestId(0).raw()));
    message.set_epoch(cluster.at(1).epoch());
    message.set_to_epoch(cluster.at(0).epoch());
    message.set_state_digest(cluster.at(0).state().digest);
    ToWire(setting, *message.add_broadcasts()->mutable_setting());
    if (spoil) spoil(*message.mutable_broadcasts(0)->mutable_setting());
    std::string bytes = message.SerializeAsString();
    AppendProof(TestSigner(TestId(1)), Said::kDatagram, bytes);
    cluster.Apply(0, [&](Membership& machine) {
      return machine.OnDatagram(cluster.now(), {"10.0.0.1", 7700}, bytes);
    });
  }
  SettingsStats Stats() { return cluster.at(0).settings_stats(); }
};

TEST_F(MembershipSettingsTrust, ASettingIsOfTheNodeThatWasTold) {
  Form(3, Options());
  const auto now = static_cast<std::uint64_t>(Wall());
  Say(Signed("a", "forged", now, 2, 1));
  EXPECT_EQ(Stats().refused_unproven, 1U);
  Setting changed = Signed("a", "1", now, 2);
  changed.value = "2";
  Say(changed);
  changed = Signed("a", "1", now, 2);
  ++changed.stamp.ms;
  Say(changed);
  EXPECT_EQ(Stats().refused_unproven, 3U);
  EXPECT_EQ(Value(0, "a"), "(nothing)");
  Say(Signed("a", "passed on", now, 2));
  EXPECT_EQ(Value(0, "a"), "passed on");
  EXPECT_TRUE(UntilAllSay("a", "passed on"));
}

TEST_F(MembershipSettingsTrust, ItsMakerHasOrHadAPlaceOnTheRing) {
  Form(4, Options());
  Say(Signed("a", "1", static_cast<std::uint64_t>(Wall()), 66));
  EXPECT_EQ(Stats().refused_stranger, 1U);
  EXPECT_EQ(Value(0, "a"), "(nothing)");
  Set(3, "b", "1");
  ASSERT_TRUE(UntilAllSay("b", "1"));
  cluster.Apply(1, [this](Membership& each) { return each.Drain(cluster.now(), TestId(3)); });
  ASSERT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(3); }, seconds(3)));
  const Status refused = Change(3, {{"b", "2"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotAllowed);
  cluster.Kill(3);
  // Who comes later believes what it said while it was there.
  cluster.Start(4, TestMember(4), Options());
  EXPECT_TRUE(UntilAllSay("b", "1"));
}

TEST_F(MembershipSettingsTrust, OnesFarAheadAreRefused) {
  Form(3, Options());
  const auto now = static_cast<std::uint64_t>(Wall());
  Say(Signed("a", "1", now + kAheadMaxMs + 1000, 1));
  EXPECT_EQ(Stats().refused_ahead, 1U);
  EXPECT_EQ(Value(0, "a"), "(nothing)");
  Say(Signed("a", "1", now + kAheadMaxMs - 1000, 1));
  EXPECT_EQ(Value(0, "a"), "1");
  Set(2, "b", "1");
  EXPECT_TRUE(UntilAllSay("b", "1"));
}

TEST_F(MembershipSettingsTrust, ThoseOutOfBoundsAreCountedAndSkipped) {
  Form(2, Options());
  const Setting good = Signed("a", "1", static_cast<std::uint64_t>(Wall()), 1);
  Say(good, [](wire::Setting& each) { each.set_name(std::string(1000, 'n')); });
  Say(good, [](wire::Setting& each) { each.set_unset(true); });
  Say(good, [](wire::Setting& each) { each.clear_by(); });
  EXPECT_EQ(Stats().refused_malformed, 3U);
  EXPECT_EQ(cluster.at(0).settings().count(), 0U);
}

TEST_F(MembershipSettingsTrust, AFloodIsCutShort) {
  Form(2, Options());
  const auto now = static_cast<std::uint64_t>(Wall());
  for (std::uint64_t i = 0; i < 3 * kSettingsMax; ++i) Say(Signed("a", "x", now + i, 1));
  EXPECT_GT(Stats().refused_rate, kSettingsMax);
  EXPECT_LE(Stats().heard, kSettingsMax + 10);
  // At the node that is told, too.
  std::size_t taken = 0;
  while (Change(1, {{"b", std::to_string(taken)}})) ++taken;
  EXPECT_EQ(taken, kSettingChangesMax);
  EXPECT_FALSE(Change(1, std::vector<SettingChange>(kSettingChangesMax + 1, {"b", "x"})));
  cluster.Run(seconds(1));
  EXPECT_TRUE(Change(1, {{"b", "last"}}));
  EXPECT_TRUE(UntilAllSay("b", "last", seconds(15)));
}

TEST_F(MembershipSettingsTrust, WhatItKeptIsCheckedAsWell) {
  MembershipOptions options = Options();
  options.remembered_settings = {Signed("good", "1", 1, 7), Signed("bad", "1", 1, 7, 8)};
  cluster.Start(0, TestMember(0), options, {});
  EXPECT_EQ(Value(0, "good"), "1");
  EXPECT_EQ(Value(0, "bad"), "(nothing)");
}

// A stranger hears a node's name, and no setting.
TEST_F(MembershipSettingsTrust, StrangersAreToldNone) {
  Form(2, Options());
  Set(0, "secret", "xyzzy");
  cluster.Run(seconds(1));
  wire::PushPull message;
  message.set_cluster(ClusterHash("gyre"));
  message.set_level(kLevel);
  message.set_from(std::string(TestId(66).raw()));
  message.set_partition_count(VirtualCluster::kPartitions);
  message.set_replicas(VirtualCluster::kReplicas);
  MemberRecord record{TestMember(66), 1, {}};
  record.epoch = record.info.incarnation;
  record.proof = TestSigner::Proof(TestId(66), Said::kMember, WordsOf(record, MemberState::kAlive));
  ToWire(record, *message.add_members());
  std::string bytes = message.SerializeAsString();
  AppendProof(TestSigner(TestId(66)), Said::kPushPull, bytes);
  Result<std::string> reply;
  cluster.Apply(0, [&](Membership& each) { return each.OnPushPull(cluster.now(), bytes, reply); });
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->find("xyzzy"), std::string::npos);
  EXPECT_EQ(reply->find("secret"), std::string::npos);
}

// ---- Another release ----------------------------------------------------------------------------

// The messages as a node knows them that has never heard of settings.
class OlderMessages {
 public:
  OlderMessages() {
    google::protobuf::FileDescriptorProto file;
    wire::PushPull::descriptor()->file()->CopyTo(&file);
    for (auto& message : *file.mutable_message_type()) {
      auto* const fields = message.mutable_field();
      for (int i = fields->size() - 1; i >= 0; --i) {
        const std::string& name = fields->Get(i).name();
        const bool newer = (message.name() == "Member" && name == "settings") ||
                           (message.name() == "Broadcast" && name == "setting") ||
                           (message.name() == "GossipMessage" && name == "settings_digest");
        if (newer) fields->DeleteSubrange(i, 1);
      }
    }
    file_ = pool_.BuildFile(file);
  }
  // What comes out where such a node copies a message.
  std::string Copy(const std::string& type, const std::string& bytes) {
    const std::unique_ptr<google::protobuf::Message> message(
        factory_.GetPrototype(file_->FindMessageTypeByName(type))->New());
    EXPECT_TRUE(message->ParseFromString(bytes));
    return message->SerializeAsString();
  }

 private:
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
  const google::protobuf::FileDescriptor* file_ = nullptr;
};

// It takes a push/pull apart and puts it together before it looks at its proof.
TEST_F(MembershipSettings, AnOlderReleaseStillReadsWhatIsSigned) {
  OlderMessages older;
  Form(2, Options());
  Set(0, "a", std::string(2000, 'v'));  // by push/pull alone
  std::size_t with_settings = 0;
  cluster.on_bytes = [&](std::string& bytes) {
    wire::PushPull message;
    if (!message.ParseFromString(bytes) || message.members_size() == 0) return;
    with_settings += message.members(0).settings().settings_size() > 0 ? 1 : 0;
    EXPECT_EQ(older.Copy("PushPull", bytes), bytes);
  };
  ASSERT_TRUE(UntilAllSay("a", std::string(2000, 'v')));
  EXPECT_GT(with_settings, 0U);
}

// Such a node says no digest of settings, and does not pass any on; nobody asks it again and again.
TEST_F(MembershipSettings, AnOlderReleaseIsLeftInPeace) {
  Form(3, Options());
  Set(0, "a", "1");
  ASSERT_TRUE(UntilAllSay("a", "1"));
  cluster.Run(seconds(2));
  // Node 2 from now on.
  cluster.on_bytes = [](std::string& bytes) {
    wire::GossipMessage message;
    if (!message.ParseFromString(bytes) || message.from() != TestId(2).raw()) return;
    message.clear_settings_digest();
    message.clear_proof();
    std::string again = message.SerializeAsString();
    AppendProof(TestSigner(TestId(2)), Said::kDatagram, again);
    bytes = again;
  };
  const std::uint64_t before = cluster.push_pulls();
  cluster.Run(seconds(30));
  EXPECT_LE(cluster.push_pulls() - before, 12U) << "those that come each ten seconds";
  EXPECT_EQ(cluster.at(0).settings_stats().nodes_differing, 0U);
}

}  // namespace
}  // namespace gyre
