#include <gtest/gtest.h>

#include "history/history_fixture.h"

namespace gyre::history {
namespace {

class RegistersTest : public HistoryTest {};

TEST_F(RegistersTest, WhatWasAcknowledgedIsReadAgain) {
  See(std::nullopt);
  Set();
  See(1);
  Delete();
  See(std::nullopt);
  Set();
  SeeLast(3);
  SeeLast(3);
  EXPECT_EQ(Found(), "none");
  EXPECT_EQ(history_.acknowledged(), 3U);
  EXPECT_EQ(history_.reads(), 5U);
}

TEST_F(RegistersTest, AnOlderAcknowledgedValueIsLoss) {
  Set();
  Set();
  See(1);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(RegistersTest, AMissIsLoss) {
  Set();
  See(std::nullopt);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(RegistersTest, ADeletedKeyThatIsBackIsResurrected) {
  Set();
  Delete();
  See(1);
  EXPECT_EQ(Found(), "resurrected");
}

TEST_F(RegistersTest, WhatNobodyStoredIsInvented) {
  Set();
  See(7);
  EXPECT_EQ(Found(), "invented");
  Delete();
  See(2);  // the deletion's number
  EXPECT_EQ(Found(), "invented");
  Refuse(Begin(Kind::kSet));
  See(3);
  EXPECT_EQ(Found(), "invented");
}

TEST_F(RegistersTest, AWriteOfUnknownOutcomeMayLastOrNot) {
  Set();
  Unknown(Begin(Kind::kSet));
  See(1);
  See(2);
  See(1);
  Unknown(Begin(Kind::kDelete));
  See(std::nullopt);
  See(2);
  EXPECT_EQ(Found(), "none");
}

TEST_F(RegistersTest, ARefusedDeletionExplainsNoMiss) {
  Set();
  Refuse(Begin(Kind::kDelete));
  See(std::nullopt);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(RegistersTest, AWriteInFlightBindsNoRead) {
  Set();
  const Operation write = Begin(Kind::kSet);
  const Read read = BeginRead();
  Ack(write);
  EndRead(read, 1);  // it began before the acknowledgement
  EXPECT_EQ(Found(), "none");
  See(1);
  EXPECT_EQ(Found(), "lost");
}

TEST_F(RegistersTest, AnUnknownWriteThatOvertakesANewerOneIsToldApart) {
  const Operation slow = Begin(Kind::kSet);
  Unknown(slow);
  Set();
  See(1);
  EXPECT_EQ(Found(), "late");
  history_.ExecutedLate(slow, ++now_);
  See(1);
  EXPECT_EQ(Found(), "none");
}

// Each side of a cut network shows what it has; once they have met, what was written last is there.
TEST_F(RegistersTest, ReadsOfADividedRingAreHeldToNothingButThatItWasWritten) {
  for (const Cut cut : {Cut::kSuccession, Cut::kDivided}) {
    Set();
    history_.BeginCut(++now_, cut);
    const bool divided = cut == Cut::kDivided;
    Set();
    See(history_.BeginRead(2, "k", ++now_).floor - 1);
    EXPECT_EQ(Found(), divided ? "none" : "lost");
    Delete();
    See(2);
    EXPECT_EQ(Found(), divided ? "none" : "resurrected");
    See(77);
    EXPECT_EQ(Found(), "invented");
    const Read late = BeginRead();
    history_.EndCut(++now_);
    EndRead(late, 2);
    EXPECT_EQ(Found(), divided ? "none" : "resurrected")
        << "it was asked while the ring was divided";
    See(2);
    EXPECT_EQ(Found(), "resurrected");
    SeeLast(2);
    EXPECT_EQ(Found(), "resurrected");
  }
}

TEST_F(RegistersTest, SoIsAnUnknownDeletion) {
  const Operation slow = Begin(Kind::kDelete);
  Unknown(slow);
  Set();
  See(std::nullopt);
  EXPECT_EQ(Found(), "late");
  history_.ExecutedLate(slow, ++now_);
  See(std::nullopt);
  EXPECT_EQ(Found(), "none");
}

TEST_F(RegistersTest, FinalReadsAgree) {
  Set();
  Unknown(Begin(Kind::kSet));
  SeeLast(1);
  SeeLast(2);
  EXPECT_EQ(Found(), "diverged");
}

TEST_F(RegistersTest, WhereMissesAreAllowedNothingRemovedComesBack) {
  history_.AllowMisses();
  Set();
  See(std::nullopt);
  Set();
  SeeLast(std::nullopt);
  SeeLast(2);
  EXPECT_EQ(Found(), "none");
  See(1);
  EXPECT_EQ(Found(), "lost");
  Delete();
  See(2);
  EXPECT_EQ(Found(), "resurrected");
}

TEST_F(RegistersTest, KeysAreJudgedByThemselves) {
  Set();
  Ack(Begin(Kind::kSet, 0, "other"));
  See(1);
  EXPECT_EQ(Found(), "none");
  EXPECT_EQ(history_.keys(), (std::vector<std::string>{"k", "other"}));
}

TEST_F(RegistersTest, AllAreCountedAndTheFirstKept) {
  Set();
  for (int i = 0; i < 30; ++i) See(std::nullopt);
  EXPECT_EQ(history_.violations().count(), 30U);
  EXPECT_EQ(history_.violations().count(Fault::kLost), 30U);
  EXPECT_EQ(history_.violations().kept().size(), Violations::kKept);
  EXPECT_NE(history_.Report().find("and 10 more"), std::string::npos);
}

TEST_F(RegistersTest, TheNoteSaysWhen) {
  Set();
  SeeLast(std::nullopt);
  EXPECT_NE(
      history_.Report().find("lost: at 4 us: k is missing, write 1 was acknowledged (at the end)"),
      std::string::npos)
      << history_.Report();
}

}  // namespace
}  // namespace gyre::history
