#include "client/shell/cluster_picture.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "client/shell/rebalance.h"

namespace gyre::client {
namespace {

// How long a node has to say how it is: one that is silent must not hold up the answer.
constexpr Milliseconds kNodePatience{1000};

std::vector<std::optional<Result<Value>>> AskServing(const ShellContext& shell,
                                                     const std::vector<NodeStatus>& nodes,
                                                     const std::vector<std::string>& command) {
  CallOptions call = shell.call;
  call.deadline =
      call.deadline.count() > 0 ? std::min(call.deadline, kNodePatience) : kNodePatience;
  std::vector<std::optional<Operation<Result<Value>>>> questions;
  questions.reserve(nodes.size());
  for (const NodeStatus& node : nodes) {
    questions.emplace_back();
    if (node.serves()) {
      questions.back().emplace(shell.client.ExecuteOnAsync(node.address, command, call));
    }
  }
  std::vector<std::optional<Result<Value>>> answers(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (questions[i]) answers[i] = questions[i]->Get();
  }
  return answers;
}

}  // namespace

Result<Json> ReadDocument(Result<Value> reply) {
  if (!reply) return reply.error();
  Json document = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  if (document.is_object()) return document;
  return Error{ErrorCode::kProtocol, "the node's answer is not a JSON object"};
}

Result<ClusterPicture> AskCluster(const ShellContext& shell) {
  Result<Json> asked = ReadDocument(shell.client.Execute({"STATUS"}, shell.call));
  if (!asked) return asked.error();
  ClusterPicture picture;
  picture.asked = std::move(*asked);
  // The node's own word on moves is replaced by that of all.
  if (Json rebalance = AskRebalance(shell.client); rebalance.is_object()) {
    picture.asked["rebalance"] = std::move(rebalance);
  }
  picture.status = ReadClusterStatus(picture.asked, picture.asked.value("rebalance", Json()));
  std::vector<NodeStatus>& nodes = picture.status.nodes;
  auto answers = AskServing(shell, nodes, {"STATUS"});
  picture.answers.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!answers[i]) continue;
    Result<Json> own = ReadDocument(std::move(*answers[i]));
    if (own) {
      AddNodeStatus(nodes[i], *own);
      picture.answers[i] = std::move(*own);
    } else {
      nodes[i].error = own.error().message;
    }
  }
  return picture;
}

std::vector<std::optional<Value>> AskEach(const ShellContext& shell,
                                          const std::vector<NodeStatus>& nodes,
                                          const std::vector<std::string>& command) {
  auto answers = AskServing(shell, nodes, command);
  std::vector<std::optional<Value>> values(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (answers[i] && *answers[i]) values[i] = std::move(**answers[i]);
  }
  return values;
}

}  // namespace gyre::client
