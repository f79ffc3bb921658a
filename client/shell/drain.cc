#include "client/shell/drain.h"

#include <algorithm>
#include <chrono>

#include "client/shell/confirm.h"
#include "client/shell/rebalance.h"

namespace gyre::client {
namespace {

constexpr Milliseconds kProgressInterval{500};

int SayLeft(const ShellContext& shell, const NodeInfo& node) {
  if (shell.json) {
    shell.PrintJson({{"left", true}, {"name", node.name}, {"id", node.id}});
  } else {
    shell.out << node.name << " has left the ring\n";
  }
  return kExitDone;
}

class Progress {
 public:
  Progress(const ShellContext& shell, const NodeInfo& node)
      : session_(shell), id_(node.id), name_(node.name), all_(node.partitions_held) {}

  void Show() {
    const Result<RingInfo> ring = session_.client.RefreshRing();
    if (!ring) return;  // the cluster may be busy: the answer to DRAIN decides
    const NodeInfo* node = FindNode(*ring, id_);
    const std::uint32_t left = node == nullptr ? 0 : node->partitions_held;
    const Json rebalance = AskRebalance(session_.client);
    const std::string how = rebalance.is_object() ? "; " + RebalanceProgress(rebalance) : "";
    if (left == last_ && how == last_how_) return;
    last_ = left;
    last_how_ = how;
    all_ = std::max(all_, left);
    session_.err << name_ << ": " << left << " of " << all_ << " partitions left to move" << how
                 << "\n";
    session_.err.flush();
  }

 private:
  const ShellContext& session_;
  const std::string id_;
  const std::string name_;
  std::uint32_t all_;
  std::uint32_t last_ = ~0U;
  std::string last_how_;
};

// Runs `command` on the node; `watch`: shows progress while it waits.
int Leave(const ShellContext& shell, const LeaveArguments& arguments, const std::string& command,
          bool watch) {
  const Result<RingInfo> ring = shell.client.RefreshRing();
  if (!ring) return shell.Report(ring.error());
  const std::string& wanted = arguments.words[0];
  const NodeInfo* found = FindNode(*ring, wanted);
  if (found == nullptr) return shell.Report(NoSuchNode(*ring, wanted));
  const NodeInfo node = *found;
  // What a drained node has is elsewhere; what is removed is gone.
  if (command == "REMOVE" && !arguments.yes && !Confirm(shell, "removes the node " + node.name)) {
    return kExitRefused;
  }
  Progress progress(shell, node);
  auto answer = shell.client.ExecuteAsync(
      {command, node.name.empty() ? node.id : node.name},
      CallOptions{.deadline = std::chrono::seconds(arguments.timeout_seconds)});
  while (!answer.WaitFor(kProgressInterval)) {
    if (watch) progress.Show();
  }
  const Result<Value> done = answer.Get();
  if (done) return SayLeft(shell, node);
  if (done.error().code != ErrorCode::kUnknownOutcome && done.error().code != ErrorCode::kTimeout) {
    return shell.Report(done.error());
  }
  // The node that answers may be the one that leaves: it may be gone before its answer is.
  const Result<RingInfo> after = shell.client.RefreshRing();
  const NodeInfo* left = after ? FindNode(*after, node.id) : nullptr;
  if (after && (left == nullptr || left->partitions_held == 0)) return SayLeft(shell, node);
  return shell.Report(
      {done.error().code,
       command + " goes on without us; watch it with: gyre ring (" + done.error().message + ")"});
}

}  // namespace

const NodeInfo* FindNode(const RingInfo& ring, const std::string& wanted) {
  const auto found = std::find_if(ring.nodes.begin(), ring.nodes.end(), [&](const NodeInfo& node) {
    return node.name == wanted || node.id == wanted || node.address == wanted;
  });
  return found == ring.nodes.end() ? nullptr : &*found;
}

std::vector<NodeInfo> ByName(const RingInfo& ring) {
  std::vector<NodeInfo> nodes = ring.nodes;
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const NodeInfo& a, const NodeInfo& b) { return a.name < b.name; });
  return nodes;
}

Error NoSuchNode(const RingInfo& ring, const std::string& wanted) {
  std::string names;
  for (const NodeInfo& node : ByName(ring)) names += (names.empty() ? "" : ", ") + node.name;
  return {ErrorCode::kInvalidArgument,
          "no node of the ring has the name, id or address '" + wanted + "'; there are: " + names};
}

int Drain(const ShellContext& shell, const LeaveArguments& arguments) {
  return Leave(shell, arguments, "DRAIN", true);
}

int Remove(const ShellContext& shell, const LeaveArguments& arguments) {
  return Leave(shell, arguments, "REMOVE", false);
}

int Undrain(const ShellContext& shell, const Arguments& arguments) {
  const Result<RingInfo> ring = shell.client.RefreshRing();
  if (!ring) return shell.Report(ring.error());
  const std::string& wanted = arguments.words[0];
  // One that is down is not listed there, but the servers know it by its name or id.
  const NodeInfo* found = FindNode(*ring, wanted);
  const std::string id = found == nullptr ? wanted : found->id;
  const Result<Value> done = shell.client.Execute({"UNDRAIN", id}, shell.call);
  if (!done) return shell.Report(done.error());
  const std::string name = found == nullptr ? wanted : found->name;
  if (shell.json) {
    shell.PrintJson({{"undrained", true}, {"name", name}, {"id", id}});
  } else {
    shell.out << name << " takes its place on the ring again, now or when it starts\n";
  }
  return kExitDone;
}

}  // namespace gyre::client
