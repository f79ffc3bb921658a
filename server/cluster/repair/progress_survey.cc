#include "repair/progress_survey.h"

#include <utility>

namespace gyre {
namespace {

constexpr Duration kAnswerTimeout = std::chrono::seconds(1);

struct Survey {
  std::vector<NodeProgress> answers;
  std::size_t outstanding = 0;
  std::function<void(std::vector<NodeProgress>)> done;

  void Answered() {
    if (--outstanding == 0) done(std::move(answers));
  }
};

}  // namespace

void ToWire(const TransferProgress& progress, wire::ProgressReply& message) {
  message.set_partitions_left(progress.partitions_left);
  message.set_moves_left(progress.moves_left);
  message.set_partitions_done(progress.partitions_done);
  message.set_bytes_left(progress.bytes_left);
  message.set_bytes_done(progress.bytes_done);
  message.set_bytes_per_second(progress.bytes_per_second);
  message.set_paused(progress.paused);
  message.set_limit_bytes_per_second(progress.limit_bytes_per_second);
}

TransferProgress FromWire(const wire::ProgressReply& message) {
  TransferProgress progress;
  progress.partitions_left = message.partitions_left();
  progress.moves_left = message.moves_left();
  progress.partitions_done = message.partitions_done();
  progress.bytes_left = message.bytes_left();
  progress.bytes_done = message.bytes_done();
  progress.bytes_per_second = message.bytes_per_second();
  progress.paused = message.paused();
  progress.limit_bytes_per_second = message.limit_bytes_per_second();
  return progress;
}

void AskProgress(Transport& transport, const std::map<NodeId, MemberInfo>& members,
                 const NodeId& self, const TransferProgress& own,
                 std::function<void(std::vector<NodeProgress>)> done) {
  auto survey = std::make_shared<Survey>();
  survey->done = std::move(done);
  for (const auto& [id, member] : members) {
    if (member.serving()) survey->answers.push_back({id, member.name, false, {}});
  }
  survey->outstanding = survey->answers.size() + 1;  // one for this loop: `done` comes after it
  for (std::size_t i = 0; i < survey->answers.size(); ++i) {
    NodeProgress& answer = survey->answers[i];
    if (answer.id == self) {
      answer.answered = true;
      answer.progress = own;
      --survey->outstanding;
      continue;
    }
    wire::PeerRequest request;
    request.mutable_progress();
    transport.Call(answer.id, FrameType::kPeerRequest, request.SerializeAsString(), kAnswerTimeout,
                   [survey, i](Result<std::string_view> bytes) {
                     wire::PeerReply reply;
                     if (bytes &&
                         reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())) &&
                         reply.has_progress()) {
                       survey->answers[i].answered = true;
                       survey->answers[i].progress = FromWire(reply.progress());
                     }
                     survey->Answered();
                   });
  }
  survey->Answered();
}

}  // namespace gyre
