#include "client/shell/drain.h"

#include <algorithm>
#include <chrono>
#include <future>

#include "client/shell/rebalance.h"

namespace gyre::client {
namespace {

constexpr Milliseconds kProgressInterval{500};

int SayLeft(const Session& session, const NodeInfo& node) {
  if (session.json) {
    session.PrintJson({{"left", true}, {"name", node.name}, {"id", node.id}});
  } else {
    session.out << node.name << " has left the ring\n";
  }
  return kExitDone;
}

class Progress {
 public:
  Progress(const Session& session, const NodeInfo& node)
      : session_(session), id_(node.id), name_(node.name), all_(node.partitions_held) {}

  void Show() {
    const Result<RingInfo> ring = session_.client.RefreshRing();
    if (!ring) return;  // the cluster may be busy: the answer to DRAIN decides
    const NodeInfo* node = FindNode(*ring, id_);
    const std::uint32_t left = node == nullptr ? 0 : node->partitions_held;
    const Json rebalance = AskRebalance(session_.client);
    const std::string how = rebalance.is_object() ? "; " + ProgressLine(rebalance) : "";
    if (left == last_ && how == last_how_) return;
    last_ = left;
    last_how_ = how;
    all_ = std::max(all_, left);
    session_.err << name_ << ": " << left << " of " << all_ << " partitions left to move" << how
                 << "\n";
    session_.err.flush();
  }

 private:
  const Session& session_;
  const std::string id_;
  const std::string name_;
  std::uint32_t all_;
  std::uint32_t last_ = ~0U;
  std::string last_how_;
};

// Runs `command` on the node; `watch`: shows progress while it waits.
int Leave(const Session& session, const LeaveArguments& arguments, const std::string& command,
          bool watch) {
  const Result<RingInfo> ring = session.client.RefreshRing();
  if (!ring) return session.Report(ring.error());
  const std::string& wanted = arguments.words[0];
  const NodeInfo* found = FindNode(*ring, wanted);
  if (found == nullptr) return session.Report(NoSuchNode(*ring, wanted));
  const NodeInfo node = *found;
  Progress progress(session, node);
  auto answer = session.client.ExecuteAsync(
      {command, node.name.empty() ? node.id : node.name},
      CallOptions{.deadline = std::chrono::seconds(arguments.timeout_seconds)});
  while (answer.wait_for(kProgressInterval) != std::future_status::ready) {
    if (watch) progress.Show();
  }
  const Result<Value> done = answer.get();
  if (done) return SayLeft(session, node);
  if (done.error().code != ErrorCode::kUnknownOutcome && done.error().code != ErrorCode::kTimeout) {
    return session.Report(done.error());
  }
  // The node that answers may be the one that leaves: it may be gone before its answer is.
  const Result<RingInfo> after = session.client.RefreshRing();
  const NodeInfo* left = after ? FindNode(*after, node.id) : nullptr;
  if (after && (left == nullptr || left->partitions_held == 0)) return SayLeft(session, node);
  return session.Report(
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

Error NoSuchNode(const RingInfo& ring, const std::string& wanted) {
  std::string names;
  for (const NodeInfo& node : ring.nodes) names += (names.empty() ? "" : ", ") + node.name;
  return {ErrorCode::kInvalidArgument,
          "no node of the ring has the name, id or address '" + wanted + "'; there are: " + names};
}

int Drain(const Session& session, const LeaveArguments& arguments) {
  return Leave(session, arguments, "DRAIN", true);
}

int Remove(const Session& session, const LeaveArguments& arguments) {
  return Leave(session, arguments, "REMOVE", false);
}

int Undrain(const Session& session, const Arguments& arguments) {
  const Result<RingInfo> ring = session.client.RefreshRing();
  if (!ring) return session.Report(ring.error());
  const std::string& wanted = arguments.words[0];
  // One that is down is not listed there, but the servers know it by its name or id.
  const NodeInfo* found = FindNode(*ring, wanted);
  const std::string id = found == nullptr ? wanted : found->id;
  const Result<Value> done = session.client.Execute({"UNDRAIN", id}, session.call);
  if (!done) return session.Report(done.error());
  const std::string name = found == nullptr ? wanted : found->name;
  if (session.json) {
    session.PrintJson({{"undrained", true}, {"name", name}, {"id", id}});
  } else {
    session.out << name << " takes its place on the ring again, now or when it starts\n";
  }
  return kExitDone;
}

}  // namespace gyre::client
