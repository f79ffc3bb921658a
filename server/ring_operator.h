// What the operator does with the ring: the cluster runtime behind the contract of the command
// module, its answers brought back to the worker loop that asked.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cluster_net/cluster_runtime.h"
#include "command/admin.h"
#include "net/event_loop.h"
#include "ops/rebalance_report.h"
#include "proto/node_id.h"

namespace gyre {

// One for each worker loop, on its thread. Runtime and loop outlive it and all that it began.
class RuntimeOperator final : public RingOperator {
 public:
  // `self`: this node.
  RuntimeOperator(ClusterRuntime& runtime, EventLoop& loop, const NodeId& self)
      : runtime_(runtime), loop_(loop), self_(self) {}

  void Drain(const NodeId& node, Done done) override {
    runtime_.Drain(node, ReturnTo(loop_, std::move(done)));
  }
  void Undrain(const NodeId& node, Done done) override {
    runtime_.Undrain(node, ReturnTo(loop_, std::move(done)));
  }
  void Remove(const NodeId& node, Done done) override {
    runtime_.Remove(node, ReturnTo(loop_, std::move(done)));
  }
  void SetRebalance(const RebalanceChange& change, Done done) override {
    runtime_.SetRebalance(change, ReturnTo(loop_, std::move(done)));
  }
  void ChangeSettings(std::vector<SettingChange> changes, Done done) override {
    runtime_.ChangeSettings(std::move(changes), ReturnTo(loop_, std::move(done)));
  }
  void RebalanceJson(std::function<void(std::string)> done) override {
    runtime_.AskProgress(
        [&runtime = runtime_, self = self_,
         done = ReturnTo(loop_, std::move(done))](const std::vector<NodeProgress>& nodes) {
          done(RebalanceStatusJson(nodes, self, runtime.views().Load().get()));
        });
  }

 private:
  ClusterRuntime& runtime_;
  EventLoop& loop_;
  const NodeId self_;
};

}  // namespace gyre
