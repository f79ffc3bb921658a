#include "history/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "history/history_fixture.h"
#include "history/judge.h"

namespace gyre::history {
namespace {

using testing::HasSubstr;

// Keys a, b and c are of one partition, x of another.
class StreamsTest : public HistoryTest {
 protected:
  explicit StreamsTest(const Promise& promise = {Level::kStream, /*durable=*/false})
      : HistoryTest(promise) {}

  Operation Start(const std::string& key, Kind kind = Kind::kSet, std::uint64_t group = 0) {
    Operation operation{kind, 1, key};
    operation.partition = key == "x" ? 2 : 1;
    operation.group = group;
    return history_.Begin(operation, ++now_);
  }
  void Put(const std::string& key) { Ack(Start(key)); }
  void Remove(const std::string& key) { Ack(Start(key, Kind::kDelete)); }
  // One command for all of them.
  std::vector<Operation> StartGroup(const std::vector<std::string>& keys) {
    ++group_;
    std::vector<Operation> operations;
    for (const std::string& key : keys) operations.push_back(Start(key, Kind::kSet, group_));
    return operations;
  }
  void PutGroup(const std::vector<std::string>& keys) {
    for (const Operation& each : StartGroup(keys)) Ack(each);
  }
  void Cut() {
    history_.BeginCut(++now_);
    history_.EndCut(++now_);
  }
  void Reads(const std::string& key, std::optional<std::uint64_t> number) {
    EndRead(BeginRead(key), number);
  }
  using Seen = std::pair<std::string, std::optional<std::uint64_t>>;
  void ReadsAtOnce(const std::vector<Seen>& seen) {
    ++snapshot_;
    ++now_;
    std::vector<Read> reads;
    for (const auto& [key, number] : seen) {
      reads.push_back(history_.BeginRead(2, key, now_, snapshot_));
    }
    ++now_;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      history_.EndRead(reads[i], {seen[i].second, 0}, now_);
    }
  }

 private:
  std::uint64_t group_ = 0;
  std::uint64_t snapshot_ = 0;
};

TEST_F(StreamsTest, ACutMayTakeTheEndOfAStream) {
  Put("a");
  Put("b");
  Put("a");
  Cut();
  Reads("a", 1);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
  EXPECT_EQ(history_.streams().survivals(), 2U);
  EXPECT_EQ(history_.streams().losses(), 1U);
}

TEST_F(StreamsTest, ALaterWriteThatOutlastsAnEarlierOneIsReordered) {
  Put("a");
  Put("a");
  Put("b");
  Cut();
  Reads("a", 1);
  Reads("b", 1);
  EXPECT_EQ(Found(), "reordered");
  EXPECT_THAT(history_.Report(), HasSubstr("write 2 of a, ordered by 4 us, is lost"));
  EXPECT_THAT(history_.Report(), HasSubstr("write 1 of b, begun later, at 5 us, is read"));
}

TEST_F(StreamsTest, WhicheverIsReadFirst) {
  Put("a");
  Put("b");
  Cut();
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
  Reads("a", std::nullopt);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, OneCutIsToldOnceForEachPartition) {
  Put("a");
  Put("b");
  Put("c");
  Cut();
  Reads("c", 1);
  Reads("a", std::nullopt);
  Reads("b", std::nullopt);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, PartitionsHaveNoOrderBetweenThem) {
  Put("a");
  Put("x");
  Cut();
  Reads("a", std::nullopt);
  Reads("x", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WritesAtTheSameTimeHaveNoOrder) {
  const Operation first = Start("a");
  const Operation second = Start("b");
  Ack(first);
  Ack(second);
  Cut();
  Reads("a", std::nullopt);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WhatIsOverwrittenOrRemovedIsNotLost) {
  Put("a");
  Put("b");
  Put("a");
  Remove("a");
  Put("c");
  Cut();
  Reads("a", std::nullopt);
  Reads("b", 1);
  Reads("c", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, ALostRemovalBreaksTheOrderToo) {
  Put("a");
  Remove("a");
  Put("b");
  Cut();
  Reads("a", 1);
  Reads("b", 1);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, TheNextTermBeginsAfterTheCut) {
  Put("a");
  Put("a");
  Cut();
  Put("b");
  Reads("a", 1);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WhatIsLostAtTheSecondCutMayHaveOutlastedTheFirst) {
  Put("a");
  Put("b");
  Cut();
  Reads("a", 1);
  Reads("b", 1);
  Cut();
  Reads("a", std::nullopt);  // the second cut reached further back
  Reads("b", std::nullopt);
  EXPECT_EQ(Found(), "none");
  Reads("b", 1);  // but now it contradicts what was seen in this epoch
  EXPECT_EQ(history_.violations().count(Fault::kReordered), 1U) << history_.Report();
  EXPECT_EQ(history_.violations().count(Fault::kReturned), 1U) << history_.Report();
}

TEST_F(StreamsTest, WhatIsLostOnceStaysLost) {
  Put("a");
  Put("b");
  Cut();
  Reads("a", std::nullopt);
  Cut();
  Reads("b", 1);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, WhatWasUnderWayAtTheCutIsInNoTerm) {
  Put("a");
  const Operation write = Start("b");
  Cut();
  Ack(write);  // perhaps by the new owner
  Reads("a", std::nullopt);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, AWriteOfUnknownOutcomeIsOrderedOnceItIsRead) {
  Put("a");
  const Operation unknown = Start("a");
  Unknown(unknown);
  Put("b");
  Cut();
  Reads("b", 1);
  Reads("a", 1);  // it may never have been
  EXPECT_EQ(Found(), "none");
  Unknown(Start("a"));
  Reads("a", 3);
  Put("c");
  Cut();
  Reads("a", 1);
  Reads("c", 1);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, AWriteThatMayBeLateProvesNoLoss) {
  Put("a");
  Unknown(Start("a"));
  Put("a");
  Put("b");
  Cut();
  Reads("b", 1);
  Reads("a", 2);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, AMissUnderADeletionOfUnknownOutcomeProvesNoLoss) {
  Unknown(Start("a", Kind::kDelete));
  Put("a");
  Put("b");
  Cut();
  Reads("b", 1);
  Reads("a", std::nullopt);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WhatIsReadDuringACutProvesNothing) {
  Put("a");
  Put("b");
  history_.BeginCut(++now_);
  Reads("a", std::nullopt);
  const Read slow = BeginRead("a");
  history_.EndCut(++now_);
  EndRead(slow, std::nullopt);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WhereNodesEvictAMissProvesNothingAndAStaleValueDoes) {
  history_.AllowMisses();
  Put("a");
  Put("c");
  Put("c");
  Put("b");
  Cut();
  Reads("b", 1);
  Reads("a", std::nullopt);
  EXPECT_EQ(Found(), "none");
  Reads("c", 1);
  EXPECT_EQ(Found(), "reordered");
}

TEST_F(StreamsTest, AnAckIsBindingUntilTheNextCut) {
  Put("a");
  Put("a");
  Reads("a", 1);
  EXPECT_EQ(Found(), "lost");
  Cut();
  Put("a");
  Reads("a", 1);
  EXPECT_EQ(Found(), "lost");
}

// ---- One epoch ----

TEST_F(StreamsTest, AnOlderValueAfterANewerOneIsARegression) {
  Put("a");
  Unknown(Start("a"));
  Reads("a", 1);
  Reads("a", 2);
  Reads("a", 1);
  EXPECT_EQ(Found(), "regressed");
  Reads("a", std::nullopt);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(StreamsTest, ButNotAcrossACut) {
  Put("a");
  Unknown(Start("a"));
  Reads("a", 2);
  Cut();
  Reads("a", 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, ReadsThatOverlapHaveNoOrder) {
  Put("a");
  Unknown(Start("a"));
  const Read slow = BeginRead("a");
  Reads("a", 2);
  EndRead(slow, 1);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, WhatWasEvictedReturnsOnlyByAWrite) {
  history_.AllowMisses();
  Put("a");
  Reads("a", std::nullopt);
  Reads("a", 1);
  EXPECT_EQ(Found(), "returned");
  Put("a");
  Reads("a", 2);
  EXPECT_EQ(Found(), "none");
  Reads("a", std::nullopt);
  Cut();  // the eviction may have been cut off
  Reads("a", 2);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, AWriteUnderWayMayBeMissingFirst) {
  const Operation write = Start("a");
  Reads("a", std::nullopt);
  Reads("a", 1);
  Ack(write);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, ADeletionOfUnknownOutcomeIsNotUndone) {
  Put("a");
  Unknown(Start("a", Kind::kDelete));
  Reads("a", 1);
  Reads("a", std::nullopt);
  EXPECT_EQ(Found(), "none");
  Reads("a", 1);
  EXPECT_EQ(Found(), "returned");
}

// ---- Groups ----

TEST_F(StreamsTest, AGroupSurvivesWholeOrNotAtAll) {
  PutGroup({"a", "b"});
  PutGroup({"a", "b"});
  Cut();
  Reads("a", 1);
  Reads("b", 1);
  EXPECT_EQ(Found(), "none");
  PutGroup({"a", "b"});
  Cut();
  Reads("a", 3);
  Reads("b", 1);
  EXPECT_EQ(Found(), "torn");
  EXPECT_THAT(history_.Report(), HasSubstr("of group 3"));
  EXPECT_THAT(history_.Report(), HasSubstr("write 3 of a is read"));
  EXPECT_THAT(history_.Report(), HasSubstr("write 3 of b is not there"));
}

TEST_F(StreamsTest, ALaterWriteOfAMemberHidesIt) {
  PutGroup({"a", "b"});
  Put("b");
  Cut();
  Reads("a", 1);
  Reads("b", 2);
  EXPECT_EQ(Found(), "none");
}

TEST_F(StreamsTest, AGroupOfUnknownOutcomeIsWholeToo) {
  PutGroup({"a", "b"});
  for (const Operation& each : StartGroup({"a", "b"})) Unknown(each);
  Reads("b", 1);
  Reads("a", 2);  // executed between the two
  EXPECT_EQ(Found(), "none");
  Reads("b", 1);
  EXPECT_EQ(Found(), "partial");
}

TEST_F(StreamsTest, OneStepSeesNoPart) {
  PutGroup({"a", "b"});
  const std::vector<Operation> group = StartGroup({"a", "b"});
  ReadsAtOnce({{"a", 1}, {"b", 1}});
  ReadsAtOnce({{"a", 2}, {"b", 2}});
  EXPECT_EQ(Found(), "none");
  StartGroup({"a", "b"});
  ReadsAtOnce({{"b", 2}, {"a", 3}});
  EXPECT_EQ(Found(), "partial");
}

TEST_F(StreamsTest, NotEvenDuringACut) {
  PutGroup({"a", "b"});
  history_.BeginCut(++now_);
  StartGroup({"a", "b"});
  ReadsAtOnce({{"a", 2}, {"b", 1}});
  EXPECT_EQ(Found(), "torn");
}

TEST_F(StreamsTest, FinalReadsAreOfOneState) {
  PutGroup({"a", "b"});
  for (const Operation& each : StartGroup({"a", "b"})) Unknown(each);
  Cut();
  const auto last = [this](const std::string& key, std::uint64_t number) {
    history_.EndRead(BeginRead(key), {number, 0}, ++now_, nullptr, true);
  };
  last("b", 1);
  EXPECT_EQ(Found(), "none");
  last("a", 2);
  EXPECT_EQ(Found(), "torn");
}

TEST_F(StreamsTest, WhereNodesEvictAMissingMemberIsNoPart) {
  history_.AllowMisses();
  PutGroup({"a", "b"});
  ReadsAtOnce({{"a", 1}, {"b", std::nullopt}});
  EXPECT_EQ(Found(), "none");
}

// ---- Levels ----

class RecordsLevelTest : public StreamsTest {
 protected:
  RecordsLevelTest() : StreamsTest({Level::kRecords, /*durable=*/false}) {}
};

TEST_F(RecordsLevelTest, WhatIsNotPromisedIsFoundAndNoViolation) {
  PutGroup({"a", "b"});
  PutGroup({"a", "b"});
  Put("c");
  Cut();
  Reads("a", 2);
  Reads("b", 1);
  Reads("c", 1);
  EXPECT_EQ(Found(), "none");
  EXPECT_EQ(history_.violations().count_beyond(), 2U);
  EXPECT_EQ(history_.violations().count(Fault::kTorn), 1U);
  EXPECT_EQ(history_.violations().count(Fault::kReordered), 1U);
  EXPECT_THAT(history_.violations().ReportBeyond(), HasSubstr("torn: of group 2"));
}

TEST_F(RecordsLevelTest, NoReaderSeesAPartOfAGroupWhereNothingBroke) {
  PutGroup({"a", "b"});
  StartGroup({"a", "b"});
  ReadsAtOnce({{"a", 2}, {"b", 1}});
  EXPECT_EQ(Found(), "partial");
}

class DurableTest : public StreamsTest {
 protected:
  DurableTest() : StreamsTest({Level::kStream, /*durable=*/true}) {}
};

TEST_F(DurableTest, WhatWasAcknowledgedOutlastsCuts) {
  Put("a");
  Put("a");
  Remove("b");
  Cut();
  Reads("a", 1);
  EXPECT_EQ(Found(), "lost");
}

// ---- Size ----

// Half a million operations on 5,000 keys of 50 partitions, with a cut after every thousand. It is
// done in seconds because each read costs a search; were it quadratic, it would not end here.
TEST(StreamsSizeTest, HundredsOfThousandsOfOperations) {
  History history({Level::kStream, /*durable=*/false});
  constexpr int kKeys = 5000;
  std::int64_t now = 0;
  std::vector<std::uint64_t> last(kKeys);
  for (int i = 0; i < 250'000; ++i) {
    const int at = i * 7 % kKeys;
    const std::string key = "k" + std::to_string(at);
    Operation operation{i % 11 == 0 ? Kind::kDelete : Kind::kSet, 1, key};
    operation.partition = at % 50;
    operation = history.Begin(operation, ++now);
    history.Acknowledge(operation, ++now);
    last[at] = operation.kind == Kind::kDelete ? 0 : operation.number;
    const int other = i * 13 % kKeys;
    const Read read = history.BeginRead(2, "k" + std::to_string(other), ++now);
    history.EndRead(read, {last[other] ? std::optional(last[other]) : std::nullopt, 0}, ++now);
    if (i % 1000 != 0) continue;
    history.BeginCut(++now);
    history.EndCut(++now);
  }
  EXPECT_EQ(history.violations().found(), 0U) << history.Report();
  EXPECT_GT(history.streams().survivals(), 100'000U);
}

// ---- Recorded ----

TEST(StreamsRecordTest, CutsGroupsAndPartitionsAreRecordedAndJudgedAlike) {
  std::vector<Event> events;
  const Promise promise{Level::kStream, false};
  History live(promise);
  live.set_sink([&events](const Event& event) {
    std::string error;
    events.push_back(FromLine(ToLine(event), error).value());
    EXPECT_EQ(events.back(), event) << error;
  });
  std::int64_t now = 0;
  const auto write = [&](const std::string& key, std::uint64_t group) {
    Operation operation{Kind::kSet, 1, key};
    operation.partition = 7;
    operation.group = group;
    live.Acknowledge(live.Begin(operation, now + 1), now + 2);
  };
  for (const std::uint64_t group : {1, 2}) {
    for (const char* key : {"a", "b"}) write(key, group);
    now += 10;
  }
  write("c", 0);
  live.BeginCut(now + 5);
  live.EndCut(now + 6);
  now += 10;
  for (const auto& [key, number] : {std::pair("a", 1), std::pair("b", 2), std::pair("c", 1)}) {
    live.EndRead(live.BeginRead(2, key, now), {number, 0}, now + 1);
  }
  History again(promise);
  Replay(events, again);
  for (const History* each : {&live, &again}) {
    EXPECT_EQ(each->violations().count(Fault::kTorn), 1U) << each->Report();
    EXPECT_EQ(each->violations().count(Fault::kReordered), 1U) << each->Report();
    EXPECT_EQ(each->violations().count(), 2U) << each->Report();
  }
  EXPECT_THAT(again.Report(), HasSubstr("write 2 of a, ordered by 12 us, is lost"));
}

}  // namespace
}  // namespace gyre::history
