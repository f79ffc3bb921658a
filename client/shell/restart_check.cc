#include "client/shell/restart_check.h"

#include "client/shell/drain.h"

namespace gyre::client {

int RestartCheck(const ShellContext& shell, const Arguments& arguments) {
  const Result<RingInfo> ring = shell.client.RefreshRing();
  if (!ring) return shell.Report(ring.error());
  const NodeInfo* node = FindNode(*ring, arguments.words[0]);
  if (node == nullptr) return shell.Report(NoSuchNode(*ring, arguments.words[0]));
  const Result<Value> reply = shell.client.Execute({"RESTARTCHECK", node->id}, shell.call);
  if (!reply) return shell.Report(reply.error());
  const Json check = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  const auto safe = check.is_object() ? check.find("safe") : check.end();
  if (!check.is_object() || safe == check.end() || !safe->is_boolean()) {
    return shell.Report({ErrorCode::kProtocol, "the node's answer is not JSON"});
  }
  if (shell.json) {
    shell.PrintJson(check);
  } else if (*safe) {
    shell.out << node->name << " may be restarted\n";
  } else {
    shell.out << node->name << " must not be restarted now\n";
    for (const Json& reason : check.value("reasons", Json::array())) {
      if (reason.is_string()) shell.out << "  " << reason.get<std::string>() << "\n";
    }
  }
  return *safe ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
