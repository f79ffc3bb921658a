#include "crypto/keyring.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

constexpr char kHex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr char kBase64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

TEST(KeyringTest, ReadsAKeyInEachForm) {
  const std::string unpadded(kBase64, sizeof kBase64 - 2);
  const auto expected = ParseGossipKeys(kHex).value();
  for (const std::string& text :
       {std::string(kBase64), unpadded, std::string(kHex) + "\n",
        "# the key of March\n\n  " + std::string(kBase64) + "  # first\r\n"}) {
    const auto keys = ParseGossipKeys(text);
    ASSERT_TRUE(keys) << text << keys.error().message;
    ASSERT_EQ(keys->size(), 1U);
    EXPECT_TRUE(keys->front().link == expected.front().link);
    EXPECT_TRUE(keys->front().datagram == expected.front().datagram);
    EXPECT_EQ(keys->front().fingerprint, expected.front().fingerprint);
  }
}

TEST(KeyringTest, SubkeysDiffer) {
  const GossipKey key = ParseGossipKeys(kHex)->front();
  EXPECT_FALSE(key.link == key.datagram);
  EXPECT_EQ(key.fingerprint.size(), 8U);
}

TEST(KeyringTest, AGeneratedKeyIsReadAgainAndNew) {
  const std::string one = GenerateGossipKey();
  const std::string other = GenerateGossipKey();
  EXPECT_NE(one, other);
  EXPECT_EQ(ParseGossipKeys(one + "\n" + other)->size(), 2U);
}

TEST(KeyringTest, RefusesWithTheLineAndWithoutTheSecret) {
  const std::string key = GenerateGossipKey();
  const struct {
    std::string text;
    std::string says;
  } cases[] = {
      {"", "no key in it"},
      {"# nothing\n\n", "no key in it"},
      {"secret-word", "line 1 is no key"},
      {key + "\nshort=", "line 2 is no key"},
      {std::string(kHex).substr(2), "line 1 is no key"},
      {std::string(kHex, 63) + "x", "line 1 is no key"},
      {key + key, "line 1 is no key"},
      {key + "\n#\n" + key, "line 3 is the first key again"},
      {key + "\n" + GenerateGossipKey() + "\n" + GenerateGossipKey(), "line 3: a third key"},
  };
  for (const auto& each : cases) {
    const auto keys = ParseGossipKeys(each.text);
    ASSERT_FALSE(keys) << each.text;
    EXPECT_NE(keys.error().message.find(each.says), std::string::npos) << keys.error().message;
    EXPECT_EQ(keys.error().message.find(key), std::string::npos);
    EXPECT_EQ(keys.error().message.find("secret-word"), std::string::npos);
  }
}

TEST(KeyringTest, RotatesInThreeSteps) {
  const GossipKey a = ParseGossipKeys(GenerateGossipKey())->front();
  const GossipKey b = ParseGossipKeys(GenerateGossipKey())->front();
  Keyring keys({a});
  const std::uint64_t before = keys.revision();
  EXPECT_FALSE(keys.Accepts(b.link));
  keys.Replace({a, b});
  EXPECT_NE(keys.revision(), before);
  EXPECT_TRUE(keys.Sends(a.link) && keys.Accepts(b.link));
  EXPECT_EQ(keys.Fingerprints(), a.fingerprint + "," + b.fingerprint);
  keys.Replace({b, a});
  EXPECT_TRUE(keys.Sends(b.link) && keys.Accepts(a.link));
  keys.Replace({b});
  EXPECT_FALSE(keys.Accepts(a.link));
}

}  // namespace
}  // namespace gyre
