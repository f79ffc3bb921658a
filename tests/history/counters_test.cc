#include <gtest/gtest.h>

#include "history/history_fixture.h"

namespace gyre::history {
namespace {

class CountersTest : public HistoryTest {
 protected:
  void Increment(std::uint64_t result = 0) { Ack(Begin(Kind::kIncrement), result); }
};

TEST_F(CountersTest, AnyNumberBetweenAcknowledgedAndIssuedIsRight) {
  Increment(1);
  Increment(2);
  Unknown(Begin(Kind::kIncrement));
  Refuse(Begin(Kind::kIncrement));
  See(2);
  See(3);
  SeeLast(3);
  SeeLast(3);
  EXPECT_EQ(Found(), "none");
}

TEST_F(CountersTest, LessThanAcknowledgedIsLoss) {
  Increment();
  Increment();
  SeeLast(1);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(CountersTest, AMissingCounterIsLoss) {
  Increment();
  SeeLast(std::nullopt);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(CountersTest, MoreThanWasIssuedIsOvercounted) {
  Increment();
  Refuse(Begin(Kind::kIncrement));
  SeeLast(2);
  EXPECT_EQ(Found(), "overcounted");
}

TEST_F(CountersTest, OneAnswerForTwoIsRepeated) {
  Increment(1);
  Increment(1);
  EXPECT_EQ(Found(), "repeated");
}

TEST_F(CountersTest, AnIncrementInFlightBindsNoRead) {
  const Operation increment = Begin(Kind::kIncrement);
  const Read read = BeginRead();
  Ack(increment);
  EndRead(read, std::nullopt);
  EXPECT_EQ(Found(), "none");
}

TEST_F(CountersTest, FinalReadsAgree) {
  Unknown(Begin(Kind::kIncrement));
  SeeLast(1);
  SeeLast(0);
  EXPECT_EQ(Found(), "diverged");
}

TEST_F(CountersTest, AKeyIsOneThing) {
  Increment();
  (void)Begin(Kind::kSet);
  EXPECT_EQ(Found(), "other");
}

}  // namespace
}  // namespace gyre::history
