// What the commands of one loop work with: the services and options, the newest view of the cluster,
// and the turns of the loop. A turn is one batch of requests, or one callback of the transport: it
// has one time, and what it gathered for other nodes leaves at its end.
//
// All of it is one loop's. The transport outlives the context; its callbacks may come after it, and
// do nothing then.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "base/client_memory.h"
#include "cluster/view.h"
#include "command/services.h"
#include "protocol/request.h"

namespace gyre {

class CommandContext {
 public:
  CommandContext(const Services& services, const DispatcherOptions& options)
      : services_(services), options_(options) {}
  CommandContext(const CommandContext&) = delete;
  CommandContext& operator=(const CommandContext&) = delete;

  const Services& services() const { return services_; }
  const DispatcherOptions& options() const { return options_; }
  // What replies that are put together here are charged to; null: nobody.
  ClientMemoryAccount* gathered() const {
    return ClientMemory::AccountOf(services_.client_memory, ClientMemory::Kind::kGathered);
  }
  // The copies that a write of the request needs before it is answered.
  std::uint32_t AcksOf(const Request& request) const {
    return request.write_acks != 0 ? request.write_acks : options_.write_acks;
  }
  TimePoint DeadlineOf(const Request& request) const;

  // The newest view, null before the first; valid until the next call. The indices of members are of
  // one view: between two calls it may be another, with fewer members or without an owner.
  const ClusterView* view() {
    if (services_.views.revision() != view_revision_) [[unlikely]]
      LoadView();
    return view_.get();
  }
  // Why a command on the partition had no answer before its deadline.
  Error WhyLate(PartitionId partition);

  // ---- Turns ----

  // The time of this turn.
  UnixMillis now() {
    if (now_ == 0) now_ = services_.unix_now();
    return now_;
  }
  // Sends what was gathered for peers; the next turn reads the clock again.
  void EndTurn();
  // Runs `work` as a turn of its own.
  template <typename Work>
  auto RunTurn(Work&& work) {
    now_ = 0;
    auto result = work();
    EndTurn();
    return result;
  }
  // A callback that does `work` as a turn of its own, unless the context is gone by then.
  template <typename Work>
  auto AsTurn(Work work) {
    return [this, alive = alive(), work = std::move(work)](auto&&... news) mutable {
      if (alive.expired()) return;
      now_ = 0;
      work(std::forward<decltype(news)>(news)...);
      EndTurn();
    };
  }
  // How often others have declared this node dead.
  std::uint32_t deaths() const { return services_.replication.fence.deaths(); }

  // Runs `work` on a later turn, unless the context is gone by then.
  void Later(Duration delay, std::function<void()> work);
  // Likewise one bounded step of something that takes longer. All such steps share a few
  // milliseconds of each turn, in the order in which they were asked for; the rest of the turn is
  // for the requests that came.
  void NextTurn(std::function<void()> step);

  struct Token {};
  // Expires with the context.
  std::weak_ptr<Token> alive() const { return alive_; }

 private:
  void LoadView();
  void RunSteps();

  // Immutable.
  const Services services_;
  const DispatcherOptions options_;

  ClusterViewPtr view_;
  std::uint64_t view_revision_ = 0;
  UnixMillis now_ = 0;  // 0: to be read
  std::deque<std::function<void()>> steps_;
  bool runs_steps_ = false;
  std::shared_ptr<Token> alive_ = std::make_shared<Token>();
};

}  // namespace gyre
