#include "ring_metrics.h"

#include <utility>

#include "ops/ring_page.h"

namespace gyre {

void RingMetrics::Gather(Done done) {
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  runtime_.AskPages(
      NodePageKind::kMetrics,
      ReturnTo(loop_, std::function<void(NodePages)>([this](NodePages pages) { OnPages(pages); })));
}

void RingMetrics::OnPages(const NodePages& pages) {
  const ClusterViewPtr view = runtime_.views().Load();
  for (NodePage& page : *pages) {
    const bool is_self = view != nullptr && view->self != kNoMember && view->me().id == page.id;
    if (!is_self) continue;
    page.answered = true;
    page.page = own_page_();
  }
  const std::string text = RingPage(*pages);
  for (const Done& done : std::exchange(waiting_, {})) done(text);
}

}  // namespace gyre
