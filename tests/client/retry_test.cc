#include "client/retry.h"

#include <gtest/gtest.h>

namespace gyre::client {
namespace {

constexpr Effect kRead = Effect::kRead;
constexpr Effect kIdempotent = Effect::kIdempotentWrite;
constexpr Effect kWrite = Effect::kWrite;

struct LostCase {
  Effect effect;
  bool sent;
  bool retry_idempotent;
  Verdict verdict;
};

class LostTest : public ::testing::TestWithParam<LostCase> {};

TEST_P(LostTest, Verdict) {
  const LostCase& c = GetParam();
  RetryPolicy policy;
  policy.retry_idempotent_writes = c.retry_idempotent;
  EXPECT_EQ(OnLinkLost(c.effect, c.sent, policy), c.verdict);
}

INSTANTIATE_TEST_SUITE_P(Table, LostTest,
                         ::testing::Values(LostCase{kRead, true, true, Verdict::kRetry},
                                           LostCase{kRead, false, false, Verdict::kRetry},
                                           LostCase{kIdempotent, false, false, Verdict::kRetry},
                                           LostCase{kIdempotent, true, true, Verdict::kRetry},
                                           LostCase{kIdempotent, true, false,
                                                    Verdict::kUnknownOutcome},
                                           LostCase{kWrite, false, true, Verdict::kRetry},
                                           LostCase{kWrite, true, true, Verdict::kUnknownOutcome}));

struct ReplyCase {
  ErrorCode code;
  Verdict read;
  Verdict write;
};

class ErrorReplyTest : public ::testing::TestWithParam<ReplyCase> {};

TEST_P(ErrorReplyTest, Verdict) {
  const ReplyCase& c = GetParam();
  EXPECT_EQ(OnErrorReply(kRead, c.code), c.read);
  EXPECT_EQ(OnErrorReply(kWrite, c.code), c.write);
  EXPECT_EQ(OnErrorReply(kIdempotent, c.code), c.write);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ErrorReplyTest,
    ::testing::Values(ReplyCase{ErrorCode::kNotOwner, Verdict::kRetry, Verdict::kRetry},
                      ReplyCase{ErrorCode::kMoved, Verdict::kRetry, Verdict::kRetry},
                      ReplyCase{ErrorCode::kUnavailable, Verdict::kRetry, Verdict::kRetry},
                      ReplyCase{ErrorCode::kClosed, Verdict::kRetry, Verdict::kRetry},
                      ReplyCase{ErrorCode::kIo, Verdict::kRetry, Verdict::kUnknownOutcome},
                      ReplyCase{ErrorCode::kTimeout, Verdict::kRetry, Verdict::kFail},
                      ReplyCase{ErrorCode::kUnknownOutcome, Verdict::kRetry, Verdict::kFail},
                      ReplyCase{ErrorCode::kTooFewReplicas, Verdict::kRetryLater,
                                Verdict::kRetryLater},
                      ReplyCase{ErrorCode::kWrongType, Verdict::kFail, Verdict::kFail},
                      ReplyCase{ErrorCode::kInternal, Verdict::kFail, Verdict::kFail},
                      ReplyCase{ErrorCode::kTooLarge, Verdict::kFail, Verdict::kFail}));

}  // namespace
}  // namespace gyre::client
