// Who is believed: forged messages of every kind, members that speak for others, newcomers that are
// not where they say.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/level.h"
#include "cluster/membership_fixture.h"
#include "membership/state_codec.h"
#include "support/test_signer.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kStranger = 66;

class MembershipTrust : public MembershipTest {
 protected:
  using Fill = std::function<void(wire::GossipMessage&)>;

  // A datagram of `from` to `to`, signed by `signer`.
  std::string Datagram(std::uint64_t from, std::uint64_t to, const Fill& fill,
                       std::optional<std::uint64_t> signer = std::nullopt) {
    wire::GossipMessage message;
    message.set_cluster(ClusterHash("gyre"));
    message.set_protocol_version(1);
    message.set_level(kLevel);
    message.set_from(std::string(TestId(from).raw()));
    message.set_to(std::string(TestId(to).raw()));
    message.set_epoch(cluster.running(from) ? cluster.at(from).epoch() : 1);
    message.set_to_epoch(cluster.at(to).epoch());
    message.set_state_digest(cluster.at(to).state().digest);
    fill(message);
    std::string bytes = message.SerializeAsString();
    AppendProof(TestSigner(TestId(signer.value_or(from))), Said::kDatagram, bytes);
    return bytes;
  }
  MembershipActions Deliver(std::uint64_t to, const std::string& bytes) {
    MembershipActions actions;
    cluster.Apply(to, [&](Membership& machine) {
      actions = machine.OnDatagram(cluster.now(), {"10.0.0.66", 7700}, bytes);
      return actions;
    });
    return actions;
  }
  void Say(std::uint64_t from, std::uint64_t to, const Fill& fill) {
    Deliver(to, Datagram(from, to, fill));
  }

  static Fill Ping(std::uint64_t target) {
    return [target](wire::GossipMessage& message) {
      message.mutable_ping()->set_target(std::string(TestId(target).raw()));
    };
  }
  Fill SaysDead(std::uint64_t who, std::uint64_t by) {
    return [this, who, by](wire::GossipMessage& message) {
      const std::uint64_t incarnation = cluster.at(0).state().members.at(TestId(who)).incarnation;
      ToWire(SuspicionRecord{TestId(who), incarnation, TestId(by)},
             *message.add_broadcasts()->mutable_dead());
    };
  }
  static MemberRecord Signed(MemberInfo info, std::uint64_t signer) {
    MemberRecord record{std::move(info), 1, {}};
    record.epoch = record.info.incarnation;
    record.proof =
        TestSigner::Proof(TestId(signer), Said::kMember, WordsOf(record, MemberState::kAlive));
    return record;
  }
  std::uint64_t IncarnationAt(std::uint64_t viewer, std::uint64_t number) {
    return cluster.at(viewer).state().members.at(TestId(number)).incarnation;
  }
  void ExpectUnharmed(std::uint64_t count) {
    EXPECT_TRUE(cluster.Converged());
    EXPECT_EQ(cluster.Deaths(), 0U);
    EXPECT_TRUE(AllHaveRingSize(count));
    for (const std::uint64_t number : cluster.numbers()) {
      EXPECT_EQ(cluster.declared_dead(number), 0) << number;
      EXPECT_EQ(cluster.at(number).state().members.size(), count) << number;
    }
  }
};

bool Reacts(const MembershipActions& actions) {
  for (const MembershipAction& action : actions) {
    if (std::holds_alternative<SendDatagram>(action) ||
        std::holds_alternative<StartPushPull>(action) ||
        std::holds_alternative<StateChanged>(action)) {
      return true;
    }
  }
  return false;
}

// ---- Datagrams --------------------------------------------------------------------------------

TEST_F(MembershipTrust, StrangersAreNotAnswered) {
  Form(3);
  const std::uint64_t before = cluster.at(0).stats().datagrams_strange;
  const std::string bytes = Datagram(kStranger, 0, [](wire::GossipMessage& message) {
    Ping(0)(message);
    message.set_state_digest(1);
    ToWire(Signed(TestMember(kStranger), kStranger), *message.add_broadcasts()->mutable_member());
  });
  EXPECT_FALSE(Reacts(Deliver(0, bytes)));
  EXPECT_EQ(cluster.at(0).stats().datagrams_strange, before + 1);
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, NobodySpeaksInAMembersName) {
  Form(3);
  EXPECT_TRUE(Reacts(Deliver(0, Datagram(1, 0, Ping(0)))));
  EXPECT_FALSE(Reacts(Deliver(0, Datagram(1, 0, Ping(0), kStranger))));
  EXPECT_FALSE(Reacts(Deliver(0, Datagram(1, 0, Ping(0), 2))));
  EXPECT_EQ(cluster.at(0).stats().datagrams_forged, 2U);
}

TEST_F(MembershipTrust, CapturedDatagramsAreForTheirReceiverInItsLifeAlone) {
  Form(3);
  const std::string captured = Datagram(1, 2, Ping(0));
  EXPECT_FALSE(Reacts(Deliver(0, captured)));
  const std::string to_an_earlier_life = Datagram(1, 0, [this](wire::GossipMessage& message) {
    Ping(0)(message);
    message.set_to_epoch(cluster.at(0).epoch() - 1);
  });
  EXPECT_FALSE(Reacts(Deliver(0, to_an_earlier_life)));
  const std::string of_an_earlier_life = Datagram(1, 0, [this](wire::GossipMessage& message) {
    Ping(0)(message);
    message.set_epoch(cluster.at(1).epoch() - 1);
  });
  EXPECT_FALSE(Reacts(Deliver(0, of_an_earlier_life)));
  EXPECT_EQ(cluster.at(0).stats().datagrams_forged, 3U);
}

// ---- Members that speak for others ------------------------------------------------------------

TEST_F(MembershipTrust, ANodesRecordIsItsOwnWord) {
  Form(3);
  MemberInfo moved = TestMember(2, IncarnationAt(0, 2) + 1);
  moved.host = "10.0.0.66";
  Say(1, 0, [&](wire::GossipMessage& message) {
    ToWire(Signed(moved, 1), *message.add_broadcasts()->mutable_member());
    MemberRecord bare{moved, moved.incarnation, {}};
    ToWire(bare, *message.add_broadcasts()->mutable_member());
  });
  EXPECT_EQ(cluster.at(0).stats().records_refused, 2U);
  cluster.Run(seconds(5));
  EXPECT_EQ(cluster.at(0).state().members.at(TestId(2)).host, "10.0.0.2");
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, WhatANodeHoldsIsItsOwnWord) {
  Form(3);
  const PartitionSet all(VirtualCluster::kPartitions, true);
  for (const std::uint64_t about : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{kStranger}}) {
    Say(1, 0, [&](wire::GossipMessage& message) {
      Holdings claim;
      claim.incarnation = about == kStranger ? 1 : cluster.at(about).epoch();
      claim.revision = 1'000;
      claim.complete = claim.owned = all;
      claim.proof = TestSigner::Proof(TestId(1), Said::kHoldings, WordsOf(TestId(about), claim));
      ToWire(TestId(about), claim, *message.add_broadcasts()->mutable_holdings());
    });
    EXPECT_EQ(SeesHoldings(0, about == kStranger ? 2 : about, all), about == 1) << about;
  }
}

TEST_F(MembershipTrust, ALiveNodeLeavesTheRingByItsOwnWordOnly) {
  Form(4);
  Say(1, 0, [](wire::GossipMessage& message) {
    RingEntry entry{TestId(2)};
    entry.revision = 10;
    entry.removed = true;
    ToWire(entry, *message.add_broadcasts()->mutable_ring_entry());
    entry.evicted = true;
    ToWire(entry, *message.add_broadcasts()->mutable_ring_entry());
    entry.proof = TestSigner::Proof(TestId(1), Said::kRingEntry, WordsOf(entry));
    ToWire(entry, *message.add_broadcasts()->mutable_ring_entry());
    entry.removed = entry.evicted = false;
    entry.weight = 1000;
    ToWire(entry, *message.add_broadcasts()->mutable_ring_entry());
  });
  cluster.Run(seconds(5));
  EXPECT_EQ(cluster.at(0).state().ring.at(TestId(2)).weight, 1U);
  ExpectUnharmed(4);
}

TEST_F(MembershipTrust, ADrainSpreadsByTheWordOfTheNodeThatIsDrained) {
  Form(4);
  cluster.Apply(1, [this](Membership& each) { return each.Drain(cluster.now(), TestId(2)); });
  EXPECT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(3); }, seconds(3)));
  for (const std::uint64_t viewer : cluster.numbers()) {
    EXPECT_FALSE(cluster.at(viewer).state().ring.at(TestId(2)).proof.empty()) << viewer;
  }
  EXPECT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(3)));
}

TEST_F(MembershipTrust, AnUndrainSpreadsByTheWordOfTheNodeThatIsUndrained) {
  Form(4);
  cluster.Apply(1, [this](Membership& each) { return each.Drain(cluster.now(), TestId(2)); });
  ASSERT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(3); }, seconds(3)));
  cluster.Apply(3, [this](Membership& each) { return each.Undrain(cluster.now(), TestId(2)); });
  EXPECT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(4); }, seconds(5)));
  for (const std::uint64_t viewer : cluster.numbers()) {
    EXPECT_FALSE(cluster.at(viewer).state().ring.at(TestId(2)).proof.empty()) << viewer;
  }
  EXPECT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(3)));
}

TEST_F(MembershipTrust, TheRemovalOfADeadNodeReachesAll) {
  Form(4);
  cluster.Kill(2);
  ASSERT_TRUE(
      cluster.RunUntil([this] { return cluster.AllSee(2, MemberState::kDead); }, seconds(20)));
  cluster.Apply(1, [this](Membership& each) { return each.LeaveRing(cluster.now(), TestId(2)); });
  EXPECT_TRUE(cluster.RunUntil([this] { return AllHaveRingSize(3); }, seconds(3)));
}

TEST_F(MembershipTrust, ARebalanceSettingIsOfTheNodeThatWasTold) {
  Form(3);
  RebalanceSetting setting{5, TestId(2), true, std::nullopt, {}};
  setting.proof = TestSigner::Proof(TestId(1), Said::kRebalance, WordsOf(setting));
  Say(1, 0, [&](wire::GossipMessage& message) {
    ToWire(setting, *message.add_broadcasts()->mutable_rebalance());
  });
  EXPECT_FALSE(cluster.at(0).state().rebalance.paused);
  cluster.Apply(2, [this](Membership& each) {
    RebalanceChange change;
    change.paused = true;
    return each.SetRebalance(cluster.now(), change);
  });
  EXPECT_TRUE(
      cluster.RunUntil([this] { return cluster.at(0).state().rebalance.paused; }, seconds(3)));
}

// ---- Deaths -----------------------------------------------------------------------------------

TEST_F(MembershipTrust, OneLiarKillsNobody) {
  Form(4);
  for (int round = 0; round < 50; ++round) {
    for (const std::uint64_t listener : {std::uint64_t{0}, std::uint64_t{3}}) {
      for (const std::uint64_t by : {std::uint64_t{1}, std::uint64_t{0}, std::uint64_t{3}}) {
        Say(1, listener, SaysDead(2, by));
      }
    }
    cluster.Run(milliseconds(200));
  }
  cluster.Run(seconds(5));
  ExpectUnharmed(4);
}

TEST_F(MembershipTrust, NobodyIsMadeToLeapBeyondItsOwnIncarnation) {
  Form(3);
  const std::uint64_t before = IncarnationAt(0, 2);
  for (const std::uint64_t listener : {std::uint64_t{0}, std::uint64_t{2}}) {
    Say(1, listener, [](wire::GossipMessage& message) {
      const SuspicionRecord far{TestId(2), kCounterMax, TestId(1)};
      ToWire(far, *message.add_broadcasts()->mutable_suspect());
      ToWire(far, *message.add_broadcasts()->mutable_dead());
      ToWire(Signed(TestMember(2, kCounterMax), 1), *message.add_broadcasts()->mutable_member());
    });
  }
  cluster.Run(seconds(3));
  EXPECT_LE(IncarnationAt(0, 2), before + 2);
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, NobodyIsMadeToBeginAnotherLife) {
  Form(3);
  const std::uint64_t epoch = cluster.at(0).epoch();
  Say(1, 0, [this](wire::GossipMessage& message) {
    MemberRecord stopped = Signed(TestMember(0, IncarnationAt(1, 0)), 1);
    stopped.info.state = MemberState::kStopped;
    ToWire(stopped, *message.add_broadcasts()->mutable_member());
    ToWire(Signed(TestMember(0, IncarnationAt(1, 0) + 1), 1),
           *message.add_broadcasts()->mutable_member());
  });
  EXPECT_EQ(cluster.at(0).epoch(), epoch);
  EXPECT_EQ(cluster.at(0).stats().records_refused, 2U);
}

TEST_F(MembershipTrust, TwoWitnessesAreBelieved) {
  Form(4);
  Say(1, 0, SaysDead(2, 1));
  EXPECT_EQ(cluster.StateAt(0, 2), MemberState::kSuspect);
  Say(1, 0, SaysDead(2, 3));
  EXPECT_EQ(cluster.StateAt(0, 2), MemberState::kSuspect);
  Say(3, 0, SaysDead(2, 3));
  EXPECT_EQ(cluster.StateAt(0, 2), MemberState::kDead);
}

TEST_F(MembershipTrust, OneWitnessAndABrokenLinkOfOnesOwnAreBelieved) {
  for (const bool link_first : {false, true}) {
    cluster = VirtualCluster(7);
    Form(4);
    if (link_first) cluster.LinkDown(0, 2);
    Say(1, 0, SaysDead(2, 1));
    if (!link_first) cluster.LinkDown(0, 2);
    EXPECT_EQ(cluster.StateAt(0, 2), MemberState::kDead);
  }
}

// ---- Newcomers --------------------------------------------------------------------------------

TEST_F(MembershipTrust, ANewcomerIsNotLetInWhereItCannotBeCalled) {
  Form(3);
  MemberInfo lost = TestMember(5);
  lost.host = "127.0.0.1";
  cluster.Start(5, lost);
  cluster.Route(lost.host, std::nullopt);
  cluster.Run(seconds(10));
  EXPECT_TRUE(HasLog(5, "start it with --advertise")) << "the joiner's operator is told";
  EXPECT_TRUE(HasLog(0, "address=127.0.0.1:7700")) << "and the ring's";
  EXPECT_FALSE(cluster.at(5).joined());
  cluster.Kill(5);
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, ANewcomerIsNotLetInAtAnothersAddress) {
  Form(3);
  MemberInfo lost = TestMember(5);
  lost.host = TestMember(1).host;
  cluster.Start(5, lost);
  cluster.Route(lost.host, 1);
  cluster.Run(seconds(10));
  EXPECT_TRUE(HasLog(5, "another node answers there"));
  cluster.Kill(5);
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, AMemberDoesNotMakeUpOthers) {
  Form(4);
  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t made_up = 20; made_up < 30; ++made_up) {
      Say(1, 0, [&](wire::GossipMessage& message) {
        ToWire(Signed(TestMember(made_up), made_up), *message.add_broadcasts()->mutable_member());
      });
    }
    cluster.Run(milliseconds(500));
  }
  EXPECT_GT(cluster.at(0).stats().newcomers_refused, 0U);
  ExpectUnharmed(4);
}

TEST_F(MembershipTrust, StrangersLearnNothingFromAPushPull) {
  Form(3);
  wire::PushPull ask;
  ask.set_cluster(ClusterHash("gyre"));
  ask.set_level(kLevel);
  ask.set_from(std::string(TestId(kStranger).raw()));
  ask.set_partition_count(VirtualCluster::kPartitions);
  ask.set_replicas(VirtualCluster::kReplicas);
  ToWire(Signed(TestMember(kStranger), kStranger), *ask.add_members());
  const auto asked = [&](std::uint64_t signer) {
    std::string bytes = ask.SerializeAsString();
    AppendProof(TestSigner(TestId(signer)), Said::kPushPull, bytes);
    Result<std::string> reply;
    cluster.Apply(
        0, [&](Membership& machine) { return machine.OnPushPull(cluster.now(), bytes, reply); });
    return reply;
  };
  EXPECT_FALSE(asked(1)) << "signed by another";
  const Result<std::string> reply = asked(kStranger);
  ASSERT_TRUE(reply);
  wire::PushPull answer;
  ASSERT_TRUE(answer.ParseFromString(*reply));
  EXPECT_TRUE(answer.introduces());
  EXPECT_EQ(answer.members_size(), 1);
  EXPECT_EQ(answer.ring_size() + answer.holdings_size() + answer.section_digests_size(), 0);
  cluster.Run(seconds(2));
  ExpectUnharmed(3);
}

TEST_F(MembershipTrust, AJoinIsQuickThoughTheNewcomerIsCalledBack) {
  Form(4);
  cluster.Start(5);
  EXPECT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(1)));
}

}  // namespace
}  // namespace gyre
