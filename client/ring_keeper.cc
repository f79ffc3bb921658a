#include "client/ring_keeper.h"

namespace gyre::client {

Result<RingInfo> RingKeeper::Adopt(const Value& reply) {
  if (reply.kind != Value::Kind::kBulk) {
    return Error{ErrorCode::kProtocol, "the node answered RING with something else than a ring"};
  }
  Result<RoutingTable> parsed = RoutingTable::Parse(reply.text);
  if (!parsed) return parsed.error();
  RingInfo info = parsed->Describe();
  const bool news =
      selector_.table().nodes().empty() || parsed->digest() != selector_.table().digest();
  auto table = news ? std::make_shared<const RoutingTable>(std::move(*parsed)) : nullptr;
  if (news) selector_.Adopt(table);
  MutexLock lock(mutex_);
  ++adopted_count_;
  if (news) table_ = std::move(table);
  return info;
}

}  // namespace gyre::client
