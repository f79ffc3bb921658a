#include "client/shell/confirm.h"

namespace gyre::client {

std::string ClusterName(const ShellContext& shell) {
  const Result<Value> reply = shell.client.Execute({"STATUS"}, shell.call);
  if (!reply) return shell.connect;
  const Json status = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object() || !status.contains("cluster") || !status["cluster"].is_string()) {
    return shell.connect;
  }
  return status["cluster"].get<std::string>();
}

bool Confirm(const ShellContext& shell, const std::string& consequence) {
  if (shell.ask == nullptr) return true;
  const std::string name = ClusterName(shell);
  const std::optional<std::string> answer =
      shell.ask(consequence + " of cluster " + name + ". Type the cluster's name: ");
  if (answer && *answer == name) return true;
  shell.err << ErrorPrefix(shell.line) << "nothing was removed\n";
  return false;
}

}  // namespace gyre::client
