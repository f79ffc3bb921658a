#include "client/shell/restart_check.h"

#include "client/shell/drain.h"

namespace gyre::client {

int RestartCheck(const Session& session, const Arguments& arguments) {
  const Result<RingInfo> ring = session.client.RefreshRing();
  if (!ring) return session.Report(ring.error());
  const NodeInfo* node = FindNode(*ring, arguments.words[0]);
  if (node == nullptr) return session.Report(NoSuchNode(*ring, arguments.words[0]));
  const Result<Value> reply = session.client.Execute({"RESTARTCHECK", node->id}, session.call);
  if (!reply) return session.Report(reply.error());
  const Json check = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  const auto safe = check.is_object() ? check.find("safe") : check.end();
  if (!check.is_object() || safe == check.end() || !safe->is_boolean()) {
    return session.Report({ErrorCode::kProtocol, "the node's answer is not JSON"});
  }
  if (session.json) {
    session.PrintJson(check);
  } else if (*safe) {
    session.out << node->name << " may be restarted\n";
  } else {
    session.out << node->name << " must not be restarted now\n";
    for (const Json& reason : check.value("reasons", Json::array())) {
      if (reason.is_string()) session.out << "  " << reason.get<std::string>() << "\n";
    }
  }
  return *safe ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
