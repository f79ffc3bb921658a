// Whatever arrives on the gossip port, or as a push/pull, Membership stays whole. The first byte
// chooses the road, the rest is the message; random bytes seldom get past the cluster's hash, so
// one road puts it, and a sender, in front.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "membership/membership.h"
#include "membership/state_codec.h"

namespace {

using gyre::Address;
using gyre::Membership;

gyre::MemberInfo Self() {
  gyre::MemberInfo info;
  info.id.bytes[0] = 1;
  info.name = "n1";
  info.host = "127.0.0.1";
  info.port = 7700;
  info.incarnation = 10;
  return info;
}

std::string GossipHeader() {
  gyre::wire::GossipMessage message;
  message.set_cluster(gyre::ClusterHash("gyre"));
  message.set_protocol_version(1);
  message.set_from(std::string(15, '\0') + '\2');
  return message.SerializeAsString();
}

std::string PushPullHeader() {
  gyre::wire::PushPull message;
  message.set_cluster(gyre::ClusterHash("gyre"));
  message.set_from(std::string(15, '\0') + '\2');
  message.set_partition_count(64);
  message.set_replicas(2);
  return message.SerializeAsString();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Membership machine(gyre::MembershipOptions{}, Self(), 64, 2);
  gyre::TimePoint now{std::chrono::seconds(100)};
  const Address from{"127.0.0.2", 7700};
  gyre::Result<std::string> reply;
  switch (data[0] % 4) {
    case 0:
      machine.OnDatagram(now, from, bytes);
      break;
    case 1:
      machine.OnDatagram(now, from, GossipHeader().append(bytes));
      break;
    case 2:
      machine.OnPushPull(now, PushPullHeader().append(bytes), reply);
      break;
    default:
      machine.OnPushPullReply(now, from, bytes);
      break;
  }
  // What it took over must carry it through its timers.
  for (int i = 0; i < 20; ++i) {
    now = std::max(now, machine.next_tick());
    machine.Tick(now);
  }
  return 0;
}
