#include "ring_status.h"

#include <chrono>
#include <utility>

#include "ops/rebalance_report.h"

namespace gyre {
namespace {

// An answer so young is given again.
constexpr Duration kFreshFor = std::chrono::milliseconds(500);
// A silent node's last answer is shown, marked as old, for so long.
constexpr Duration kStaleFor = std::chrono::seconds(30);

}  // namespace

void RingStatus::Gather(bool with_history, Done done) {
  Round& round = rounds_[with_history ? 1 : 0];
  if (!round.json.empty() && SteadyNow() - round.made_at < kFreshFor) return done(round.json);
  round.waiting.push_back(std::move(done));
  if (round.waiting.size() + round.looking.size() == 1) Ask(with_history);
}

void RingStatus::Look(LookDone done) {
  Round& round = rounds_[0];
  round.looking.push_back(std::move(done));
  if (round.waiting.size() + round.looking.size() == 1) Ask(/*with_history=*/false);
}

void RingStatus::Ask(bool with_history) {
  const NodePageKind kind = with_history ? NodePageKind::kStatusWithHistory : NodePageKind::kStatus;
  runtime_.AskPages(
      kind, ReturnTo(loop_, std::function<void(NodePages)>([this, with_history](NodePages pages) {
                       rounds_[with_history ? 1 : 0].pages = std::move(pages);
                       FinishIfWhole(with_history);
                     })));
  runtime_.AskProgress(ReturnTo(loop_, std::function<void(std::vector<NodeProgress>)>(
                                           [this, with_history](std::vector<NodeProgress> moves) {
                                             rounds_[with_history ? 1 : 0].moves = std::move(moves);
                                             FinishIfWhole(with_history);
                                           })));
}

NodeAnswer RingStatus::AnswerOf(const NodePage& page, TimePoint now) {
  if (page.answered) {
    answers_[page.id] = {page.page, now};
    return {page.page, Duration::zero(), {}};
  }
  const auto last = answers_.find(page.id);
  if (last == answers_.end() || now - last->second.at > kStaleFor) {
    answers_.erase(page.id);
    return {{}, Duration::zero(), page.error};
  }
  return {last->second.page, now - last->second.at, page.error};
}

void RingStatus::FinishIfWhole(bool with_history) {
  Round& round = rounds_[with_history ? 1 : 0];
  if (round.pages == nullptr || !round.moves) return;
  const NodePages pages = std::exchange(round.pages, nullptr);
  const std::vector<NodeProgress> moves = *std::exchange(round.moves, std::nullopt);
  const TimePoint now = SteadyNow();
  const ClusterViewPtr view = runtime_.views().Load();
  RingStatusSource source;
  source.asked = reporter_.StatusJson();
  source.moves = RebalanceStatusJson(moves, self_, view.get());
  source.answers[self_.ToString()].page = reporter_.OwnStatusJson(with_history);
  std::map<NodeId, LastAnswer> kept;
  for (const NodePage& page : *pages) {
    if (page.id == self_) continue;
    source.answers[page.id.ToString()] = AnswerOf(page, now);
    if (auto answer = answers_.extract(page.id); !answer.empty()) kept.insert(std::move(answer));
  }
  answers_ = std::move(kept);
  if (!round.looking.empty()) {
    const ClusterStatus status = RingStatusOf(source);
    for (const LookDone& done : std::exchange(round.looking, {})) done(status);
  }
  if (round.waiting.empty()) return;
  round.json = RingStatusJson(source);
  round.made_at = now;
  const std::string json = round.json;  // a `done` may ask again
  for (const Done& done : std::exchange(round.waiting, {})) done(json);
}

}  // namespace gyre
