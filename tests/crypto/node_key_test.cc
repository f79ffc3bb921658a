#include "crypto/node_key.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

TEST(NodeKeyTest, TheSeedMakesTheKeyAndTheKeyTheId) {
  const Secret32 seed = NodeKey::DrawSeed();
  EXPECT_EQ(NodeKey(seed).id(), NodeKey(seed).id());
  EXPECT_NE(NodeKey(seed).id(), NodeKey(NodeKey::DrawSeed()).id());
  EXPECT_EQ(NodeId::Parse(NodeKey(seed).id().ToString()), NodeKey(seed).id());
}

TEST(NodeKeyTest, ANodeSpeaksForItselfAlone) {
  const NodeKey one(NodeKey::DrawSeed());
  const NodeKey other(NodeKey::DrawSeed());
  const std::string proof = one.Sign("I am here");
  ASSERT_EQ(proof.size(), NodeKey::kProofBytes);
  EXPECT_TRUE(NodeKey::Verify(one.id(), "I am here", proof));
  EXPECT_FALSE(NodeKey::Verify(one.id(), "I am there", proof));
  EXPECT_FALSE(NodeKey::Verify(other.id(), "I am here", proof));
  EXPECT_FALSE(NodeKey::Verify(one.id(), "I am here", other.Sign("I am here")));
}

TEST(NodeKeyTest, NoBitOfAProofIsSpare) {
  const NodeKey key(NodeKey::DrawSeed());
  const std::string proof = key.Sign("words");
  for (std::size_t bit = 0; bit < 8 * proof.size(); ++bit) {
    std::string spoiled = proof;
    spoiled[bit / 8] = static_cast<char>(spoiled[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(NodeKey::Verify(key.id(), "words", spoiled)) << bit;
  }
  for (const std::string& other : {std::string(), proof.substr(1), proof + '\0'}) {
    EXPECT_FALSE(NodeKey::Verify(key.id(), "words", other));
  }
}

}  // namespace
}  // namespace gyre
