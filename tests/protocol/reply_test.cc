#include "protocol/reply.h"

#include <gtest/gtest.h>

namespace gyre::testing {
namespace {

TEST(ReplyRecorderTest, KeepsTheTree) {
  ReplyRecorder recorder;
  recorder.BeginList(ListShape::kMap, 1);
  recorder.Text("key");
  recorder.BeginRecord({"name", 1, 2, 4});
  recorder.Chunk("va");
  recorder.Chunk("lu");
  recorder.EndRecord();
  recorder.EndList();
  const Reply reply = recorder.Take();
  ASSERT_EQ(reply.kind, Reply::Kind::kList);
  EXPECT_EQ(reply.shape, ListShape::kMap);
  ASSERT_EQ(reply.elements.size(), 2U);
  EXPECT_EQ(reply.elements[0].bytes, "key");
  EXPECT_EQ(reply.elements[1].key, "name");
  EXPECT_EQ(reply.elements[1].bytes, "valu");
  EXPECT_EQ(reply.elements[1].version, 2U);
}

TEST(ReplyRecorderTest, CanBeUsedAgain) {
  ReplyRecorder recorder;
  recorder.Integer(1);
  EXPECT_EQ(recorder.Take().integer, 1);
  recorder.Fail({ErrorCode::kTimeout, "too late"});
  const Reply reply = recorder.Take();
  EXPECT_EQ(reply.error, ErrorCode::kTimeout);
  EXPECT_EQ(reply.bytes, "too late");
}

TEST(ReplyRecorderTest, RestartForgetsTheOpenList) {
  ReplyRecorder recorder;
  recorder.BeginList(ListShape::kArray, 2);
  recorder.Integer(1);
  recorder.Restart();
  recorder.Unsigned(2);
  EXPECT_EQ(recorder.Take().unsigned_integer, 2U);
}

}  // namespace
}  // namespace gyre::testing
