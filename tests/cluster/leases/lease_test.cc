// Votes, leases and their ends; which ring's majority.
#include "leases/lease.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "leases/lease_table.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kLeasePartitions = 70;  // more than a word of bits
constexpr PartitionId kP = 66;

NodeId Id(int number) {
  NodeId id;
  id.bytes[0] = static_cast<std::uint8_t>(number + 1);
  return id;
}

// Nodes that vote for each other; the test carries their datagrams.
class LeaseTest : public ::testing::Test {
 protected:
  struct Datagram {
    int from;
    SendLease lease;
  };

  void Begin(int nodes) {
    for (int i = 0; i < nodes; ++i) Add(i);
    for (int i = 0; i < nodes; ++i) ring_.push_back(Id(i));
    Tell();
    Run(kLeaseQuiet + milliseconds(500));
  }
  void Add(int number) {
    nodes_.resize(std::max<std::size_t>(nodes_.size(), number + 1));
    nodes_[number] = std::make_unique<Leases>(Id(number), kLeasePartitions, ++life_ << 20, now_);
    facts_.resize(nodes_.size());
    facts_[number] = LeaseFacts{ring_, 1, {}};
    facts_[number].epoch = life_;
    claims_.resize(nodes_.size(), PartitionSet(kLeasePartitions));
    taking_.resize(nodes_.size(), PartitionSet(kLeasePartitions));
  }
  // Everybody knows the ring.
  void Tell() {
    for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) TellRing(i, ring_);
  }
  void TellRing(int number, const Ring& ring) {
    if (!nodes_[number]) return;
    facts_[number].ring = ring;
    nodes_[number]->SetFacts(now_, facts_[number]);
  }
  void Claim(int number, PartitionId partition, bool taking = true) {
    claims_[number].Set(partition);
    taking ? taking_[number].Set(partition) : taking_[number].Clear(partition);
    Send(number, nodes_[number]->SetClaims(now_, claims_[number], taking_[number], stamp_));
  }
  void Release(int number, PartitionId partition) {
    claims_[number].Clear(partition);
    Send(number, nodes_[number]->SetClaims(now_, claims_[number], taking_[number], stamp_));
  }
  void Send(int from, LeaseSends sends) {
    for (SendLease& each : sends) flight_.push_back({from, std::move(each)});
  }
  void Deliver() {
    while (!flight_.empty()) {
      const Datagram datagram = std::move(flight_.front());
      flight_.pop_front();
      const int to = datagram.lease.to.bytes[0] - 1;
      if (IsCut(datagram.from, to) || to >= static_cast<int>(nodes_.size()) || !nodes_[to])
        continue;
      Send(to, nodes_[to]->OnMessage(now_, Id(datagram.from), datagram.lease.payload));
    }
  }
  void Run(Duration span) {
    const TimePoint end = now_ + span;
    Deliver();
    while (now_ < end) {
      now_ += milliseconds(10);
      for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
        if (nodes_[i] && paused_ != i) Send(i, nodes_[i]->Tick(now_, stamp_));
      }
      Deliver();
      NoteActing();
    }
  }
  void NoteActing() {
    for (PartitionId partition = 0; partition < kLeasePartitions; ++partition) {
      int acting = 0;
      for (const auto& node : nodes_) acting += node && node->Holds(partition, now_) ? 1 : 0;
      EXPECT_LE(acting, 1) << "partition " << partition;
    }
  }
  bool IsCut(int a, int b) const {
    return cut_.contains(a) != cut_.contains(b) || paused_ == a || paused_ == b;
  }
  bool Holds(int number, PartitionId partition = kP) {
    return nodes_[number]->Holds(partition, now_);
  }

  TimePoint now_{std::chrono::seconds(100)};
  UnixMillis stamp_ = 1'000'000;
  std::uint64_t life_ = 0;
  Ring ring_;
  std::vector<std::unique_ptr<Leases>> nodes_;
  std::vector<LeaseFacts> facts_;
  std::vector<PartitionSet> claims_;
  std::vector<PartitionSet> taking_;
  std::deque<Datagram> flight_;
  std::set<int> cut_;  // one side
  int paused_ = -1;
};

TEST_F(LeaseTest, ALeaseCountsFromTheTimeAtWhichItWasAsked) {
  Begin(3);
  Claim(0, kP);
  const TimePoint asked = now_;
  EXPECT_FALSE(Holds(0)) << "its own vote is no majority of three";
  now_ += milliseconds(40);  // the network
  Deliver();
  EXPECT_TRUE(Holds(0));
  EXPECT_TRUE(nodes_[0]->Holds(kP, asked + kLease - Duration(1)));
  EXPECT_FALSE(nodes_[0]->Holds(kP, asked + kLease));
}

TEST_F(LeaseTest, ItIsRenewedAndRunsOutInTheMinority) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(5));
  EXPECT_TRUE(Holds(0));
  cut_ = {0};
  Run(kLease);
  EXPECT_FALSE(Holds(0));
  EXPECT_EQ(nodes_[0]->stats(now_).lapses, 1U);
  EXPECT_EQ(nodes_[0]->stats(now_).majority, 0U);
  cut_ = {};
  Run(kLeaseRenew * 2);
  EXPECT_TRUE(Holds(0)) << "nobody took it";
}

TEST_F(LeaseTest, ATakerGetsItWhenThePromiseHasRunOutAndNotBefore) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  cut_ = {0};
  Claim(1, kP);
  Run(kLease - kLeaseRenew);  // NoteActing watches
  EXPECT_FALSE(Holds(1));
  Run(kLeaseHold + kLeaseRenew * 2);
  EXPECT_TRUE(Holds(1));
  Claim(0, kP, false);  // it had a lease since it took it
  // Back, the old owner claims what it had, and learns that it has lost it.
  cut_ = {};
  Run(std::chrono::seconds(1));
  EXPECT_FALSE(Holds(0));
  EXPECT_EQ(nodes_[0]->Lost(now_), std::vector<PartitionId>{kP});
  EXPECT_TRUE(Holds(1));
  EXPECT_TRUE(nodes_[1]->Lost(now_).empty());
}

TEST_F(LeaseTest, AnOldOwnerStaysLostAfterTheNewOneIsGone) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  Claim(0, kP, false);  // it had a lease since it took it
  paused_ = 0;
  Claim(1, kP);
  Run(std::chrono::seconds(3));
  ASSERT_TRUE(Holds(1));
  nodes_[1] = nullptr;  // dies
  Run(std::chrono::seconds(2));
  paused_ = -1;
  Run(std::chrono::seconds(3));
  EXPECT_FALSE(Holds(0));
  EXPECT_FALSE(nodes_[0]->Lost(now_).empty());
}

TEST_F(LeaseTest, WhatIsGivenBackIsFreeAtOnce) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  Release(0, kP);
  EXPECT_FALSE(Holds(0));
  Claim(1, kP);
  Deliver();
  EXPECT_TRUE(Holds(1));
  Deliver();
  EXPECT_FALSE(Holds(0));
}

TEST_F(LeaseTest, AnswersFromBeforeItWasGivenBackDoNotCount) {
  Begin(3);
  Claim(0, kP);  // the requests stay on the way
  const std::deque<Datagram> late = std::exchange(flight_, {});
  Release(0, kP);
  flight_.clear();
  Claim(0, kP);
  flight_.clear();
  flight_ = late;
  Deliver();  // votes for the first claim
  EXPECT_FALSE(Holds(0));
}

TEST_F(LeaseTest, TwoTakersAndOneOfThemGivesUp) {
  Begin(4);
  cut_ = {0, 2};  // two against two: none has a majority
  Claim(0, kP);
  Claim(1, kP);
  Run(std::chrono::seconds(3));
  EXPECT_FALSE(Holds(0));
  EXPECT_FALSE(Holds(1));
  cut_ = {};
  Run(std::chrono::seconds(2));
  EXPECT_FALSE(Holds(0) && Holds(1));
  Release(0, kP);
  Run(kLeaseRenew * 2);
  EXPECT_TRUE(Holds(1));
}

TEST_F(LeaseTest, WhoRestartsPromisesNothingUntilItsForgottenPromisesHaveRunOut) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  cut_ = {0};
  nodes_[2] = nullptr;
  Add(2);
  TellRing(2, ring_);
  Claim(1, kP);
  Run(kLease / 2);
  EXPECT_FALSE(Holds(1));
  Run(std::chrono::seconds(2));
  EXPECT_TRUE(Holds(1));
}

TEST_F(LeaseTest, ADeadEpochIsPromisedNothing) {
  Begin(3);
  for (int voter : {0, 2}) {
    facts_[voter].dead_epochs[Id(1)] = facts_[1].epoch;
    TellRing(voter, ring_);
  }
  Claim(1, kP);
  Run(std::chrono::seconds(2));
  EXPECT_FALSE(Holds(1));
  facts_[1].epoch += 1;  // it knows, and has said anew what it holds
  TellRing(1, ring_);
  Run(std::chrono::seconds(1));
  EXPECT_TRUE(Holds(1));
}

TEST_F(LeaseTest, ADeathIsConfirmedByAMajority) {
  Begin(3);
  const std::map<NodeId, std::uint64_t> death = {{Id(2), 7}};
  cut_ = {2};
  facts_[0].dead_epochs = death;
  TellRing(0, ring_);
  nodes_[0]->AskAbout(death);
  Run(std::chrono::seconds(1));
  EXPECT_TRUE(nodes_[0]->ConfirmedDeaths().empty());
  EXPECT_EQ(nodes_[0]->stats(now_).unfenced_deaths, 1U);
  facts_[1].dead_epochs = death;
  TellRing(1, ring_);
  Run(std::chrono::seconds(1));
  EXPECT_EQ(nodes_[0]->ConfirmedDeaths(), death);
}

TEST_F(LeaseTest, AnHeirLearnsHowFarTheOldOwnerMayHaveStamped) {
  Begin(3);
  stamp_ = 5'000'000;  // the clock of 0 runs ahead
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  EXPECT_EQ(nodes_[0]->stamp_limit(now_), stamp_ + kStampRoomMs);
  stamp_ = 1'000'000;
  cut_ = {0};
  Claim(1, kP);
  Run(std::chrono::seconds(3));
  ASSERT_TRUE(Holds(1));
  EXPECT_EQ(nodes_[1]->stamp_floor(), 5'000'000 + kStampRoomMs);
}

TEST_F(LeaseTest, MalformedMessagesAreIgnored) {
  Begin(3);
  EXPECT_TRUE(nodes_[0]->OnMessage(now_, Id(1), "\xff\xff nonsense").empty());
  EXPECT_TRUE(nodes_[0]->OnMessage(now_, Id(1), "").empty());
  Claim(0, kP);
  for (Datagram& each : flight_) {
    for (std::size_t cut = 0; cut < each.lease.payload.size(); ++cut) {
      nodes_[1]->OnMessage(now_, Id(0), std::string_view(each.lease.payload).substr(0, cut));
    }
  }
  Run(std::chrono::seconds(1));
  EXPECT_TRUE(Holds(0));
}

// ---- Rings ------------------------------------------------------------------------------------

TEST_F(LeaseTest, AMinorityDoesNotBecomeOneByLettingNodesJoin) {
  Begin(3);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  // 0 and 2 on one side, as they were; 1 with two new ones on the other.
  cut_ = {0, 2};
  ring_ = {Id(0), Id(1), Id(2), Id(3)};
  Add(3);
  TellRing(1, ring_);
  TellRing(3, ring_);
  Run(std::chrono::seconds(2));
  ring_.push_back(Id(4));
  Add(4);
  for (int node : {1, 3, 4}) TellRing(node, ring_);
  Claim(1, kP);
  Claim(3, kP);
  Claim(4, kP);
  Run(std::chrono::seconds(20));  // three of the five that they know; NoteActing watches
  EXPECT_TRUE(Holds(0));
  EXPECT_FALSE(Holds(1) || Holds(3) || Holds(4));
  for (int node : {1, 3, 4}) Release(node, kP);  // they see its claim
  cut_ = {};
  Tell();
  Run(std::chrono::seconds(5));
  EXPECT_TRUE(Holds(0));
  for (const auto& node : nodes_) EXPECT_EQ(node->rings().rings().size(), 1U) << "settled";
}

TEST_F(LeaseTest, LeasesLastWhileTheRingGrows) {
  Begin(1);
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  for (int number = 1; number < 5; ++number) {
    Add(number);
    TellRing(number, ring_);
    Run(kLeaseHold);  // before it votes it does not join
    ring_.push_back(Id(number));
    Tell();
    Run(milliseconds(500));
    EXPECT_TRUE(Holds(0)) << number;
  }
  EXPECT_EQ(nodes_[0]->stats(now_).lapses, 0U);
}

TEST_F(LeaseTest, AnOperatorsWordSettlesARing) {
  Begin(3);
  Claim(0, kP);
  nodes_[1] = nullptr;
  nodes_[2] = nullptr;
  Run(std::chrono::seconds(2));
  ring_ = {Id(0)};
  Tell();
  Run(std::chrono::seconds(10));
  EXPECT_FALSE(Holds(0));
  nodes_[0]->SettleRing(now_);
  Run(kLeaseHold + kLeaseRenew * 2);
  EXPECT_TRUE(Holds(0));
}

TEST_F(LeaseTest, NodesThatAllRestartedBeginAnewOnceTheyAreAMajority) {
  for (int i = 0; i < 3; ++i) ring_.push_back(Id(i));
  Add(0);
  TellRing(0, ring_);
  Run(std::chrono::seconds(10));
  EXPECT_TRUE(nodes_[0]->rings().fresh());
  Add(1);
  TellRing(1, ring_);
  Run(std::chrono::seconds(3));
  Claim(0, kP);
  Run(std::chrono::seconds(1));
  EXPECT_TRUE(Holds(0));
}

// ---- What the loops see -----------------------------------------------------------------------

TEST(LeaseTable, AGapIsSeenAlthoughTheLeaseHoldsAgain) {
  const auto at = [](int ms) { return TimePoint(milliseconds(ms)); };
  LeaseTable table(4, [] { return TimePoint{}; });
  EXPECT_FALSE(table.Holds(1, at(0)));
  table.Extend(1, at(10), at(110));
  EXPECT_TRUE(table.Holds(1, at(109)));
  EXPECT_FALSE(table.Holds(1, at(110)));
  EXPECT_FALSE(table.Holds(2, at(50)));
  table.Extend(1, at(60), at(160));  // renewed in time
  EXPECT_TRUE(table.HeldSince(1, at(20), at(150)));
  table.Extend(1, at(50), at(150));  // an answer that came late
  EXPECT_TRUE(table.Holds(1, at(159)));
  table.Extend(1, at(200), at(300));  // gained anew
  EXPECT_FALSE(table.HeldSince(1, at(150), at(250)));
  EXPECT_TRUE(table.HeldSince(1, at(210), at(250)));
  table.Revoke(1);
  EXPECT_FALSE(table.Holds(1, at(250)));
  table.Extend(1, at(240), at(340));
  EXPECT_FALSE(table.HeldSince(1, at(230), at(250))) << "given back in between";
}

}  // namespace
}  // namespace gyre
