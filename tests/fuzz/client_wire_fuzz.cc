// Whatever a node, or what poses as one, answers: the client reads a value, a ring it can route by,
// or an error. The first byte chooses what the rest is taken for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "client/reply_reader.h"
#include "client/routing_table.h"
#include "client/wire.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file
using namespace gyre::client;

void Require(bool holds) {
  if (!holds) std::abort();
}

void ReadEachWay(std::string_view payload) {
  const auto reply = DecodeReply(payload);
  if (!reply) {
    Require(!reply.error().message.empty());
    return;
  }
  (void)ReadRecord(reply->value);
  (void)ReadDone(reply->value);
  (void)ReadInteger(reply->value);
  (void)ReadTimeToLive(reply->value);
  (void)ReadValue(reply->value);
}

// A ring that was taken names each node once, for any slot, whatever the rotation.
void Route(std::string_view view) {
  const auto table = RoutingTable::Parse(view);
  if (!table) {
    Require(!table.error().message.empty());
    return;
  }
  const std::size_t nodes = table->nodes().size();
  for (const Slot slot : {Slot{0}, Slot{1}, Slot{8191}, Slot{16383}}) {
    for (const std::uint32_t rotation : {0U, 1U, 0xffffffffU}) {
      const auto candidates = table->Candidates(slot, rotation);
      Require(std::set<NodeIndex>(candidates.begin(), candidates.end()).size() ==
              candidates.size());
      for (const NodeIndex node : candidates) Require(node < nodes);
      Require(table->AnyOrder(rotation).size() <= nodes);
    }
    const PartitionId partition = table->PartitionOfSlot(slot);
    const NodeIndex owner = table->Owner(partition);
    Require(owner == kNoNode || owner < nodes);
    for (const NodeIndex holder : table->Holders(partition)) Require(holder < nodes);
  }
  (void)table->Describe();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] % 2 == 0 ? ReadEachWay(bytes) : Route(bytes);
  return 0;
}
