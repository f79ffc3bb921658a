#include "crypto/datagram_seal.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

constexpr UnixMillis kWallNow = 1'800'000'000'000;

class DatagramSealTest : public ::testing::Test {
 protected:
  // "" if it is dropped.
  std::string Open(std::string_view datagram, UnixMillis wall = kWallNow) {
    const Result<std::string_view> plain = opener_.Open(datagram, now_, wall);
    return plain ? std::string(*plain) : "";
  }

  const GossipKey key_ = ParseGossipKeys(GenerateGossipKey())->front();
  Keyring ours_{{key_}};
  Keyring theirs_{{key_}};
  DatagramSealer sealer_{ours_};
  DatagramOpener opener_{theirs_};
  TimePoint now_{std::chrono::hours(1)};
};

TEST_F(DatagramSealTest, OpensWhatWasSealed) {
  const std::string sealed = sealer_.Seal("who is there", kWallNow);
  EXPECT_EQ(sealed.size(), 12 + kDatagramSealBytes);
  EXPECT_TRUE(LooksSealed(sealed));
  EXPECT_EQ(sealed.find("who"), std::string::npos);
  EXPECT_EQ(Open(sealed), "who is there");
  EXPECT_NE(sealer_.Seal("who is there", kWallNow), sealed);
}

TEST_F(DatagramSealTest, DropsWhatWasSeen) {
  const std::string sealed = sealer_.Seal("once", kWallNow);
  EXPECT_EQ(Open(sealed), "once");
  EXPECT_EQ(Open(sealed), "");
  EXPECT_EQ(theirs_.stats().datagrams_replayed, 1U);
}

TEST_F(DatagramSealTest, DropsWhatWasTamperedWithOrCut) {
  const std::string sealed = sealer_.Seal("whole", kWallNow);
  for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    std::string tampered = sealed;
    tampered[bit / 8] = static_cast<char>(tampered[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(Open(tampered), "") << bit;
  }
  for (std::size_t bytes = 0; bytes < sealed.size(); ++bytes) {
    EXPECT_EQ(Open(sealed.substr(0, bytes)), "") << bytes;
  }
  EXPECT_EQ(Open(sealed + "x"), "");
  EXPECT_EQ(theirs_.stats().datagrams_replayed, 0U);
  EXPECT_EQ(Open(sealed), "whole") << "what does not open is not remembered";
}

TEST_F(DatagramSealTest, DropsStrangersAndSaysWhy) {
  Keyring stranger{ParseGossipKeys(GenerateGossipKey()).value()};
  EXPECT_EQ(Open(DatagramSealer(stranger).Seal("hello", kWallNow)), "");
  EXPECT_EQ(Open("plain"), "");
  const CryptoStats stats = theirs_.stats();
  EXPECT_EQ(stats.datagrams_foreign, 1U);
  EXPECT_EQ(stats.datagrams_unsealed, 1U);
  EXPECT_NE(opener_.Open("plain", now_, kWallNow).error().message.find("--gossip-key"),
            std::string::npos);
}

TEST_F(DatagramSealTest, IsUnderstoodThroughARotation) {
  const GossipKey fresh = ParseGossipKeys(GenerateGossipKey())->front();
  theirs_.Replace({key_, fresh});
  EXPECT_EQ(Open(sealer_.Seal("old", kWallNow)), "old");
  ours_.Replace({fresh, key_});
  EXPECT_EQ(Open(sealer_.Seal("new", kWallNow)), "new");
  theirs_.Replace({fresh});
  EXPECT_EQ(Open(sealer_.Seal("only", kWallNow)), "only");
  ours_.Replace({key_});
  EXPECT_EQ(Open(sealer_.Seal("removed", kWallNow)), "");
}

TEST_F(DatagramSealTest, ARestartedSenderIsHeardAtOnce) {
  for (int i = 0; i < 100; ++i) sealer_.Seal("", kWallNow);
  EXPECT_EQ(Open(sealer_.Seal("before", kWallNow)), "before");
  DatagramSealer restarted(ours_);
  EXPECT_EQ(Open(restarted.Seal("after", kWallNow - 1000)), "after")
      << "its clock went back a second";
}

TEST_F(DatagramSealTest, AClockThatJumpsCutsNobodyOff) {
  EXPECT_EQ(Open(sealer_.Seal("before", kWallNow)), "before");
  EXPECT_EQ(Open(sealer_.Seal("a year on", kWallNow + 31'536'000'000)), "a year on");
  EXPECT_EQ(Open(sealer_.Seal("ours jumped", kWallNow), 0), "ours jumped");
}

TEST_F(DatagramSealTest, WhatWasRecordedLongAgoIsDropped) {
  const UnixMillis skew =
      std::chrono::duration_cast<std::chrono::milliseconds>(ReplayGuard::kClockSkewMax).count();
  const std::string recorded = sealer_.Seal("recorded", kWallNow);
  EXPECT_EQ(Open(recorded, kWallNow + skew + 1), "");
  EXPECT_EQ(Open(recorded, kWallNow - skew - 1), "");
  EXPECT_EQ(theirs_.stats().datagrams_stale, 2U);
  EXPECT_EQ(Open(recorded, kWallNow + skew), "recorded");
}

}  // namespace
}  // namespace gyre
