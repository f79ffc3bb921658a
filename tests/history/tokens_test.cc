#include <gtest/gtest.h>

#include "history/history_fixture.h"

namespace gyre::history {
namespace {

class TokensTest : public HistoryTest {};

TEST_F(TokensTest, AChainOfWinners) {
  Ack(Swap(0, 0));
  See(1, 100);
  Ack(Swap(1, 100));
  Refuse(Swap(1, 100));  // too late
  See(2, 200);
  Ack(Swap(2, 200));
  SeeLast(4, 400);
  SeeLast(4, 400);
  EXPECT_EQ(Found(), "none");
}

TEST_F(TokensTest, TwoWinnersOfOneToken) {
  Ack(Swap(0, 0));
  Ack(Swap(1, 100));
  Ack(Swap(1, 100));
  EXPECT_EQ(Found(), "two winners");
}

TEST_F(TokensTest, AnUnknownSwapMayHaveWon) {
  Ack(Swap(0, 0));
  Unknown(Swap(1, 100));
  See(2, 200);
  Ack(Swap(2, 200));
  SeeLast(3, 300);
  EXPECT_EQ(Found(), "none");
}

TEST_F(TokensTest, ALostWinnerForksTheChain) {
  Ack(Swap(0, 0));
  Ack(Swap(1, 100));
  Unknown(Swap(1, 100));
  SeeLast(3, 300);  // of the unknown one, which is as deep
  EXPECT_EQ(Found(), "forked");
}

TEST_F(TokensTest, AnOlderValueIsLoss) {
  Ack(Swap(0, 0));
  Ack(Swap(1, 100));
  See(1, 100);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(TokensTest, AMissingValueIsLoss) {
  Ack(Swap(0, 0));
  See(std::nullopt);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(TokensTest, ALoserIsNeverRead) {
  Ack(Swap(0, 0));
  Refuse(Swap(1, 100));
  See(2, 200);
  EXPECT_EQ(Found(), "invented");
  See(9, 900);
  EXPECT_EQ(Found(), "invented");
}

TEST_F(TokensTest, AWinnerDoesNotDescendFromALoser) {
  Ack(Swap(0, 0));
  Refuse(Swap(1, 100));
  Ack(Swap(2, 200));
  SeeLast(3, 300);
  EXPECT_EQ(Found(), "invented");
}

TEST_F(TokensTest, ATokenNamesOneValue) {
  Ack(Swap(0, 0));
  See(1, 100);
  See(1, 101);
  EXPECT_EQ(Found(), "token reused");
  Ack(Swap(1, 101));
  See(2, 100);
  EXPECT_EQ(Found(), "token reused");
}

TEST_F(TokensTest, FinalReadsAgree) {
  Ack(Swap(0, 0));
  Unknown(Swap(1, 100));
  SeeLast(1, 100);
  SeeLast(2, 200);
  EXPECT_EQ(Found(), "diverged");
}

}  // namespace
}  // namespace gyre::history
