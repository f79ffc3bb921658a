#include "control/page_survey.h"

#include <utility>

#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

constexpr Duration kPageTimeout = std::chrono::seconds(1);

std::string QuestionFor(NodePageKind kind) {
  wire::PeerRequest request;
  if (kind == NodePageKind::kMetrics) {
    request.mutable_metrics();
  } else {
    request.mutable_status()->set_history(kind == NodePageKind::kStatusWithHistory);
  }
  return request.SerializeAsString();
}

// The page in the reply; null where it holds none of that kind.
std::string* PageOf(NodePageKind kind, wire::PeerReply& reply) {
  if (kind == NodePageKind::kMetrics) {
    return reply.has_metrics() ? reply.mutable_metrics()->mutable_page() : nullptr;
  }
  return reply.has_status() ? reply.mutable_status()->mutable_page() : nullptr;
}

struct PageSurvey {
  NodePageKind kind = NodePageKind::kMetrics;
  std::vector<NodePage> pages;
  std::size_t bytes = 0;
  std::size_t outstanding = 0;
  std::function<void(NodePages)> done;

  void Answered() {
    if (--outstanding == 0) done(std::make_shared<std::vector<NodePage>>(std::move(pages)));
  }
  void Take(NodePage& page, const Result<std::string_view>& answer) {
    if (!answer) {
      page.error = answer.error().message;
      return;
    }
    wire::PeerReply reply;
    if (answer->size() > kNodePageBytesMax || bytes + answer->size() > kNodePagesBytesMax) {
      page.error = "its page is too long";
    } else if (!reply.ParseFromArray(answer->data(), static_cast<int>(answer->size()))) {
      page.error = "its answer is malformed";
    } else if (std::string* const text = PageOf(kind, reply); text != nullptr) {
      bytes += answer->size();
      page.answered = true;
      page.page = std::move(*text);
    }
  }
};

}  // namespace

void AskPages(Transport& transport, const ClusterState& state, NodePageKind kind,
              std::function<void(NodePages)> done) {
  auto survey = std::make_shared<PageSurvey>();
  survey->kind = kind;
  survey->done = std::move(done);
  std::vector<std::size_t> asked;
  for (const auto& [id, member] : state.members) {
    const auto entry = state.ring.find(id);
    const bool on_ring = entry != state.ring.end() && !entry->second.removed;
    if (!member.serving() && !on_ring) continue;
    if (member.serving() && id != state.self) asked.push_back(survey->pages.size());
    survey->pages.push_back({id, member.name, false, {}, {}});
  }
  survey->outstanding = asked.size() + 1;  // one for this call: `done` comes after it
  const std::string question = QuestionFor(kind);
  for (const std::size_t index : asked) {
    transport.Call(survey->pages[index].id, FrameType::kPeerRequest, question, kPageTimeout,
                   [survey, index](const Result<std::string_view>& answer) {
                     survey->Take(survey->pages[index], answer);
                     survey->Answered();
                   });
  }
  survey->Answered();
}

}  // namespace gyre
