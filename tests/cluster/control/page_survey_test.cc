#include "control/page_survey.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

NodeId IdOf(std::uint8_t number) {
  NodeId id;
  id.bytes[0] = number;
  return id;
}

// Keeps what is asked, for the test to answer.
class HeldTransport final : public Transport {
 public:
  void Call(const NodeId& to, FrameType, std::string payload, Duration deadline,
            Done done) override {
    EXPECT_GT(deadline, Duration::zero());
    EXPECT_TRUE(questions[to].ParseFromString(payload));
    pending[to] = std::move(done);
  }
  void After(Duration, std::function<void()>) override { ADD_FAILURE() << "nothing to wait for"; }

  void Answer(std::uint8_t node, const std::string& bytes) {
    pending[IdOf(node)](std::string_view(bytes));
  }

  std::map<NodeId, wire::PeerRequest> questions;
  std::map<NodeId, Done> pending;
};

class PageSurveyTest : public ::testing::Test {
 protected:
  PageSurveyTest() {
    state_.self = IdOf(1);
    Add(1, MemberState::kAlive, true);
    Add(2, MemberState::kAlive, true);
    Add(3, MemberState::kSuspect, true);
    Add(4, MemberState::kDead, true);
    Add(5, MemberState::kDead, false);
    Add(6, MemberState::kAlive, false);
  }

  void Add(std::uint8_t number, MemberState state, bool on_ring) {
    MemberInfo& member = state_.members[IdOf(number)];
    member.id = IdOf(number);
    member.name = "n" + std::to_string(number);
    member.state = state;
    if (on_ring) state_.ring[IdOf(number)] = {};
  }
  void Ask(NodePageKind kind) {
    AskPages(transport_, state_, kind, [this](const NodePages& pages) {
      EXPECT_EQ(pages_, nullptr) << "once";
      pages_ = pages;
    });
  }
  static std::string StatusReply(const std::string& page) {
    wire::PeerReply reply;
    reply.mutable_status()->set_page(page);
    return reply.SerializeAsString();
  }
  static std::string MetricsReply(const std::string& page) {
    wire::PeerReply reply;
    reply.mutable_metrics()->set_page(page);
    return reply.SerializeAsString();
  }

  ClusterState state_;
  HeldTransport transport_;
  NodePages pages_;
};

TEST_F(PageSurveyTest, AsksThoseThatServeAndNamesThoseThatAreMissed) {
  Ask(NodePageKind::kStatusWithHistory);
  EXPECT_EQ(transport_.questions.size(), 3U);
  for (const auto& [id, question] : transport_.questions) {
    EXPECT_TRUE(question.status().history()) << id.ToString();
  }
  transport_.Answer(6, StatusReply("six"));
  transport_.Answer(2, StatusReply("two"));
  EXPECT_EQ(pages_, nullptr) << "one is waited for";
  transport_.pending[IdOf(3)](tl::unexpected(Error{ErrorCode::kTimeout, "no answer in time"}));
  ASSERT_NE(pages_, nullptr);
  ASSERT_EQ(pages_->size(), 5U) << "who is dead and off the ring is nobody's loss";
  const std::vector<NodePage>& pages = *pages_;
  EXPECT_EQ(pages[0].name, "n1");
  EXPECT_FALSE(pages[0].answered) << "it is not asked";
  EXPECT_TRUE(pages[1].answered);
  EXPECT_EQ(pages[1].page, "two");
  EXPECT_FALSE(pages[2].answered);
  EXPECT_EQ(pages[2].error, "no answer in time");
  EXPECT_EQ(pages[3].name, "n4");
  EXPECT_EQ(pages[3].error, "");
  EXPECT_EQ(pages[4].page, "six");
}

TEST_F(PageSurveyTest, AnotherKindIsAnotherQuestionAndTakesNoOtherAnswer) {
  Ask(NodePageKind::kStatus);
  EXPECT_TRUE(transport_.questions[IdOf(2)].has_status());
  EXPECT_FALSE(transport_.questions[IdOf(2)].status().history());
  transport_.Answer(2, MetricsReply("gyre_up 1\n"));
  transport_.Answer(3, "\xff");
  // What a release says that does not know the question.
  transport_.Answer(6, EncodePeerError({ErrorCode::kProtocol, "unknown request"}));
  ASSERT_NE(pages_, nullptr);
  for (const NodePage& page : *pages_) EXPECT_FALSE(page.answered) << page.name;
  EXPECT_EQ((*pages_)[2].error, "its answer is malformed");
  EXPECT_EQ((*pages_)[4].error, "") << "no trouble of the node's";
  pages_ = nullptr;
  Ask(NodePageKind::kMetrics);
  EXPECT_TRUE(transport_.questions[IdOf(2)].has_metrics());
  for (const std::uint8_t node : {2, 3, 6}) transport_.Answer(node, MetricsReply("x 1\n"));
  EXPECT_EQ((*pages_)[4].page, "x 1\n");
}

TEST_F(PageSurveyTest, APageThatIsTooLongIsLeftOut) {
  Ask(NodePageKind::kStatus);
  transport_.Answer(2, StatusReply(std::string(kNodePageBytesMax, 'x')));
  transport_.Answer(3, StatusReply("short"));
  transport_.Answer(6, StatusReply("short"));
  EXPECT_FALSE((*pages_)[1].answered);
  EXPECT_EQ((*pages_)[1].error, "its page is too long");
  EXPECT_TRUE((*pages_)[2].answered);
}

TEST_F(PageSurveyTest, ANodeAloneIsAnsweredAtOnce) {
  state_.members = {{IdOf(1), state_.members[IdOf(1)]}};
  state_.ring = {{IdOf(1), {}}};
  Ask(NodePageKind::kStatus);
  ASSERT_NE(pages_, nullptr);
  EXPECT_EQ(pages_->size(), 1U);
}

}  // namespace
}  // namespace gyre
