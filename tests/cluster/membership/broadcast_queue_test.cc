#include "membership/broadcast_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "cluster/membership_fixture.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kTag = 9 << 3 | 2;

class BroadcastQueueTest : public ::testing::Test {
 protected:
  void Add(std::uint64_t number, const std::string& bytes,
           BroadcastQueue::Kind kind = BroadcastQueue::Kind::kMember) {
    queue.Add({kind, TestId(number)}, bytes);
  }
  // The one-letter broadcasts of the next datagram.
  std::vector<std::string> Next(std::size_t bytes_max = 1000, int transmits_max = 3) {
    std::string out;
    queue.Fill(kTag, bytes_max, transmits_max, out);
    EXPECT_LE(out.size(), bytes_max);
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < out.size();) {
      EXPECT_EQ(out[at], kTag);
      const auto size = static_cast<std::size_t>(out[at + 1]);
      parts.push_back(out.substr(at + 2, size));
      at += 2 + size;
    }
    return parts;
  }

  BroadcastQueue queue;
};

TEST_F(BroadcastQueueTest, TellsTheNewestFirstAndEachSoOften) {
  Add(1, "a");
  Add(2, "b");
  EXPECT_THAT(Next(), ElementsAre("b", "a"));
  EXPECT_THAT(Next(), ElementsAre("b", "a"));
  EXPECT_THAT(Next(), ElementsAre("b", "a"));
  EXPECT_TRUE(queue.empty());
  EXPECT_THAT(Next(), IsEmpty());
}

TEST_F(BroadcastQueueTest, TellsWhatWasToldLeastFirst) {
  Add(1, "a");
  Next();
  Add(2, "b");
  Add(3, "c");
  EXPECT_THAT(Next(3), ElementsAre("c"));
  EXPECT_THAT(Next(3), ElementsAre("b"));
  EXPECT_THAT(Next(), ElementsAre("c", "b", "a"));
}

TEST_F(BroadcastQueueTest, ReplacesOlderNewsOfTheSameSubject) {
  Add(1, "a");
  Next();
  Add(1, "A");
  Add(1, "h", BroadcastQueue::Kind::kHoldings);
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_THAT(Next(), ElementsAre("h", "A"));
}

TEST_F(BroadcastQueueTest, SkipsWhatDoesNotFitAndFillsUpWithWhatDoes) {
  Add(1, "a");
  Add(2, std::string(50, 'x'));
  EXPECT_THAT(Next(10), ElementsAre("a"));
  EXPECT_THAT(Next(52), ElementsAre(std::string(50, 'x')));
}

TEST_F(BroadcastQueueTest, IsBoundedAndGivesUpWhatWasToldMost) {
  Add(0, "a");
  Next();
  for (std::uint64_t i = 1; i <= kBroadcastsMax; ++i) {
    NodeId id;
    id.bytes[0] = static_cast<std::uint8_t>(i);
    id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    queue.Add({BroadcastQueue::Kind::kRing, id}, "b");
  }
  EXPECT_EQ(queue.size(), kBroadcastsMax);
  for (const std::string& each : Next(100'000, 1)) EXPECT_EQ(each, "b");
}

RC_GTEST_PROP(AppendFieldProperty, IsWhatProtobufReads, (const std::string& bytes)) {
  wire::PushPull expected;
  expected.set_from(bytes);
  std::string out;
  AppendField(2 << 3 | 2, bytes, out);
  RC_ASSERT(out.size() == FieldBytes(bytes.size()));
  wire::PushPull read;
  RC_ASSERT(read.ParseFromString(out));
  RC_ASSERT(read.from() == bytes);
}

TEST(AppendField, CountsLongLengths) {
  for (const std::size_t size : {0, 127, 128, 16383, 16384, 70000}) {
    std::string out;
    AppendField(kTag, std::string(size, 'x'), out);
    EXPECT_EQ(out.size(), FieldBytes(size));
  }
}

}  // namespace
}  // namespace gyre
