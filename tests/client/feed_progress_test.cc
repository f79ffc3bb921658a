#include "client/feed_progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gyre::client {
namespace {

Value Bytes(std::string text) {
  Value value;
  value.kind = Value::Kind::kBulk;
  value.text = std::move(text);
  return value;
}
Value Number(std::uint64_t number) {
  Value value;
  value.kind = Value::Kind::kUnsigned;
  value.unsigned_integer = number;
  return value;
}
Value List(std::vector<Value> elements) {
  Value value;
  value.kind = Value::Kind::kArray;
  value.elements = std::move(elements);
  return value;
}
Value Set(const std::string& key, std::uint64_t version = 1) {
  return List({Bytes("set"), Bytes(key), Number(version)});
}

// A feed of two partitions.
class FeedProgressTest : public ::testing::Test {
 protected:
  static constexpr FeedProgress::Source kFirst = 1;
  static constexpr FeedProgress::Source kSecond = 2;

  void Begin(std::uint32_t partition, FeedProgress::Source source, const std::string& position) {
    progress_.Ask(partition, source);
    Reply(source, {partition}, {std::to_string(partition) + "@" + position});
  }
  void Reply(FeedProgress::Source source, const std::vector<std::uint32_t>& asked,
             const std::vector<std::string>& places) {
    std::vector<Value> elements;
    for (const std::string& place : places) elements.push_back(Bytes(place));
    EXPECT_EQ(progress_.OnReply(source, asked, List(elements)), std::nullopt);
  }
  void Push(FeedProgress::Source source, std::vector<Value> parts) {
    EXPECT_EQ(progress_.OnPush(source, List(std::move(parts))), std::nullopt);
  }
  std::vector<std::string> Taken() {
    std::vector<std::string> keys;
    while (progress_.has_event()) {
      const FeedEvent event = progress_.Take();
      keys.push_back(event.kind == FeedEvent::Kind::kGap ? "gap" : event.key);
    }
    return keys;
  }
  using Keys = std::vector<std::string>;

  FeedProgress progress_{FeedCursor(2), /*values=*/false};
};

TEST_F(FeedProgressTest, BeginsWhereNodesSay) {
  EXPECT_EQ(progress_.Ask(0, kFirst), "0");
  EXPECT_EQ(progress_.Ask(1, kFirst), "1");
  EXPECT_FALSE(progress_.is_idle(0));
  Reply(kFirst, {0, 1}, {"0@5-3"});
  EXPECT_TRUE(progress_.is_idle(1)) << "it has another owner";
  EXPECT_EQ(progress_.read_count(), 1U);
  EXPECT_FALSE(progress_.begun());
  Begin(1, kSecond, "6-0");
  EXPECT_TRUE(progress_.begun());
  EXPECT_EQ(progress_.cursor(), (FeedCursor{FeedPosition{5, 3}, FeedPosition{6, 0}}));
}

TEST_F(FeedProgressTest, TheCursorMovesAtTheEndOfAGroup) {
  Begin(0, kFirst, "5-3");
  Begin(1, kFirst, "5-0");
  Push(kFirst, {Bytes("group"), Bytes("0@5-4"), Set("a"), Set("b")});
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{5, 3}));
  EXPECT_FALSE(progress_.Take().ends_group);
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{5, 3}));
  EXPECT_TRUE(progress_.Take().ends_group);
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{5, 4}));
  // What nothing is told of moves it, too, but not before what waits.
  Push(kFirst, {Bytes("group"), Bytes("0@5-5"), Set("c")});
  Push(kFirst, {Bytes("at"), Bytes("0@5-9")});
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{5, 4}));
  EXPECT_EQ(Taken(), Keys{"c"});
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{5, 9}));
}

TEST_F(FeedProgressTest, AnotherOwnerGoesOnWithoutAGapOrARepetition) {
  Begin(0, kFirst, "5-3");
  Push(kFirst, {Bytes("group"), Bytes("0@5-4"), Set("a")});
  Push(kFirst, {Bytes("moved"), Bytes("0")});
  EXPECT_TRUE(progress_.is_idle(0));
  EXPECT_EQ(progress_.Ask(0, kSecond), "0@5-4");
  Reply(kSecond, {0}, {"0@5-4"});
  Push(kFirst, {Bytes("group"), Bytes("0@5-5"), Set("late")});
  Push(kSecond, {Bytes("group"), Bytes("0@5-4"), Set("a")});
  Push(kSecond, {Bytes("group"), Bytes("0@6-1"), Set("b")});
  EXPECT_EQ(Taken(), (Keys{"a", "b"}));
}

// A partition that went and came back: what the node still sends of the time before does not count.
TEST_F(FeedProgressTest, WhatComesBeforeTheReplyIsOfAnEarlierRequest) {
  Begin(0, kFirst, "5-3");
  progress_.OnLost(kSecond);
  progress_.Ask(0, kFirst);
  Push(kFirst, {Bytes("group"), Bytes("0@5-9"), Set("jump")});
  Reply(kFirst, {0}, {"0@5-3"});
  Push(kFirst, {Bytes("group"), Bytes("0@5-4"), Set("a")});
  EXPECT_EQ(Taken(), Keys{"a"});
}

// What was told of a term that the next owner did not know to its end: nobody has it.
TEST_F(FeedProgressTest, AGapIsTold) {
  Begin(0, kFirst, "5-3");
  Push(kFirst, {Bytes("gap"), Bytes("0@4-7")});
  Push(kFirst, {Bytes("group"), Bytes("0@4-8"), Set("a")});
  EXPECT_EQ(Taken(), (Keys{"gap", "a"}));
  EXPECT_EQ(progress_.cursor()[0], (FeedPosition{4, 8}));
}

TEST_F(FeedProgressTest, WhatAnOwnerLacksIsLookedForElsewhere) {
  Begin(0, kFirst, "5-3");
  Push(kFirst, {Bytes("gap"), Bytes("0@6-2")});
  Push(kFirst, {Bytes("group"), Bytes("0@6-3"), Set("later")});
  EXPECT_TRUE(progress_.is_on_detour(0));
  EXPECT_TRUE(progress_.is_idle(0));
  EXPECT_EQ(Taken(), Keys{});
  EXPECT_EQ(progress_.Ask(0, kSecond), "0@5-3..6-2");
  Reply(kSecond, {0}, {});
  EXPECT_EQ(progress_.detours_failed(0), 1U);
  constexpr FeedProgress::Source kThird = 3;
  EXPECT_EQ(progress_.Ask(0, kThird), "0@5-3..6-2");
  Reply(kThird, {0}, {"0@5-3"});
  Push(kThird, {Bytes("group"), Bytes("0@5-4"), Set("a")});
  Push(kThird, {Bytes("at"), Bytes("0@6-2")});
  Push(kThird, {Bytes("moved"), Bytes("0")});
  EXPECT_FALSE(progress_.is_on_detour(0));
  EXPECT_EQ(progress_.Ask(0, kFirst), "0@6-2");
  EXPECT_EQ(Taken(), Keys{"a"});
}

TEST_F(FeedProgressTest, WhatNobodyHasIsAGap) {
  Begin(0, kFirst, "5-3");
  Push(kFirst, {Bytes("gap"), Bytes("0@6-2")});
  progress_.Ask(0, kSecond);
  progress_.OnLost(kSecond);
  EXPECT_EQ(progress_.detours_failed(0), 1U);
  progress_.TellGap(0);
  EXPECT_EQ(Taken(), Keys{"gap"});
  EXPECT_EQ(progress_.Ask(0, kFirst), "0@6-2");
}

TEST_F(FeedProgressTest, ALostConnectionLeavesItsPartitions) {
  Begin(0, kFirst, "5-3");
  Begin(1, kSecond, "5-0");
  progress_.OnLost(kFirst);
  EXPECT_TRUE(progress_.is_idle(0));
  EXPECT_FALSE(progress_.is_idle(1));
  EXPECT_EQ(progress_.read_count(), 1U);
  EXPECT_TRUE(progress_.begun());
}

TEST_F(FeedProgressTest, RefusesWhatMakesNoSense) {
  Begin(0, kFirst, "5-3");
  const auto refuses = [this](std::vector<Value> parts) {
    const auto error = progress_.OnPush(kFirst, List(std::move(parts)));
    return error && error->code == ErrorCode::kProtocol;
  };
  EXPECT_TRUE(refuses({}));
  EXPECT_TRUE(refuses({Bytes("group")}));
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("2@5-4"), Set("a")})) << "no such partition";
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("0"), Set("a")}));
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("0@5"), Set("a")}));
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("0@5-4")}));
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("0@5-4"), Set("a"), Bytes("b")}));
  EXPECT_TRUE(refuses({Bytes("group"), Bytes("0@5-4"), List({Bytes("set"), Bytes("a")})}));
  EXPECT_TRUE(refuses({Bytes("gap"), Bytes("0")}));
  EXPECT_FALSE(progress_.has_event());
  EXPECT_FALSE(refuses({Bytes("news"), Bytes("0@5-4")})) << "of a newer release";
  EXPECT_TRUE(progress_.OnReply(kFirst, {}, Bytes("OK")));
  EXPECT_TRUE(progress_.OnReply(kFirst, {}, List({Bytes("0")})));
}

}  // namespace
}  // namespace gyre::client
