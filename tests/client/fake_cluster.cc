#include "client/fake_cluster.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "proto/frame.h"
#include "proto/result.h"
#include "proto/slot.h"

namespace gyre {
namespace {

bool ReadFull(int fd, char* out, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t count = recv(fd, out, bytes, 0);
    if (count <= 0) return false;
    out += count;
    bytes -= static_cast<std::size_t>(count);
  }
  return true;
}

bool WriteFull(int fd, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::vector<std::string> ArgsOf(const wire::Request& request) {
  return {request.args().begin(), request.args().end()};
}

bool HasKey(const std::string& command) {
  return command != "RING" && command != "STATUS" && command != "PING" && command != "LOCATE" &&
         command != "DRAIN" && command != "UNDRAIN" && command != "REMOVE" &&
         command != "REBALANCE" && command != "ADVISE" && command != "KEYS" && command != "SCAN" &&
         command != "DBSIZE" && command != "FLUSHALL";
}

}  // namespace

// ---- Node --------------------------------------------------------------------------------------

struct FakeNode::Peer {
  int fd = -1;
  std::thread thread;
};

FakeNode::FakeNode(FakeCluster& cluster, std::size_t index) : cluster_(cluster), index_(index) {
  Start();
}

FakeNode::~FakeNode() { Kill(); }

void FakeNode::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Fixed, for its connections too: by itself the kernel may let it grow to any size.
  const int receive_bytes = 64 << 10;
  setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_);
  socklen_t bytes = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes) != 0 ||
      listen(listener_, 64) != 0) {
    std::abort();
  }
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
  port_ = ntohs(address.sin_port);
}

void FakeNode::Start() {
  Listen();
  up_ = true;
  acceptor_ = std::thread([this, listener = listener_] { AcceptLoop(listener); });
}

void FakeNode::AcceptLoop(int listener) {
  while (true) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::scoped_lock lock(mutex_);
    if (!up_) {
      close(fd);
      return;
    }
    Peer& peer = *peers_.emplace_back(std::make_unique<Peer>());
    peer.fd = fd;
    peer.thread = std::thread([this, &peer] { Serve(peer); });
  }
}

void FakeNode::BreakLinks() {
  const std::scoped_lock lock(mutex_);
  for (const auto& peer : peers_) shutdown(peer->fd, SHUT_RDWR);
}

void FakeNode::Kill() {
  if (!up_.exchange(false)) return;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  std::vector<std::unique_ptr<Peer>> peers;
  {
    const std::scoped_lock lock(mutex_);
    peers.swap(peers_);
    changed_.notify_all();
  }
  for (const auto& peer : peers) shutdown(peer->fd, SHUT_RDWR);
  for (const auto& peer : peers) {
    peer->thread.join();
    close(peer->fd);
  }
}

void FakeNode::Pause() {
  const std::scoped_lock lock(mutex_);
  paused_ = true;
}

void FakeNode::Resume() {
  const std::scoped_lock lock(mutex_);
  paused_ = false;
  changed_.notify_all();
}

std::uint64_t FakeNode::count(const std::string& command) const {
  const std::scoped_lock lock(mutex_);
  const auto entry = counts_.find(command);
  return entry == counts_.end() ? 0 : entry->second;
}

void FakeNode::AwaitCount(const std::string& command, std::uint64_t times) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    const auto entry = counts_.find(command);
    return entry != counts_.end() && entry->second >= times;
  });
}

void FakeNode::Misbehave(const std::string& command, Mischief mischief, int times) {
  const std::scoped_lock lock(mutex_);
  pranks_[command] = {std::move(mischief), times};
}

std::optional<Mischief> FakeNode::TakePrank(const std::string& command) {
  const std::scoped_lock lock(mutex_);
  const auto prank = pranks_.find(command);
  if (prank == pranks_.end() || prank->second.left == 0) return std::nullopt;
  --prank->second.left;
  return prank->second.mischief;
}

void FakeNode::Serve(Peer& peer) {
  char raw[FrameHeader::kBytes];
  while (ReadFull(peer.fd, raw, sizeof raw)) {
    const auto header = DecodeFrameHeader(raw, 64 << 20);
    if (!header || header->type != FrameType::kRequest) break;
    std::string payload(header->payload_bytes, '\0');
    if (!ReadFull(peer.fd, payload.data(), payload.size())) break;
    if (!Answer(peer.fd, header->request_id, payload)) break;
  }
  shutdown(peer.fd, SHUT_RDWR);
}

bool FakeNode::Answer(int fd, std::uint64_t id, const std::string& payload) {
  wire::Request request;
  if (!request.ParseFromString(payload) || request.args().empty()) return false;
  last_write_acks_ = request.write_acks();
  last_deadline_ms_ = request.deadline_ms();
  {
    std::unique_lock lock(mutex_);
    ++counts_[request.args(0)];
    ++counts_[""];
    changed_.notify_all();
    changed_.wait(lock, [this] { return !paused_ || !up_; });
    if (!up_) return false;
  }
  wire::Reply reply;
  const std::optional<Mischief> prank = TakePrank(request.args(0));
  if (prank) {
    if (prank->execute) cluster_.Execute(index_, request, reply);
    if (!prank->bytes.empty() && !WriteFull(fd, prank->bytes)) return false;
    if (prank->close) return false;
    if (!prank->reply) return true;
    reply = *prank->reply;
  } else {
    cluster_.Execute(index_, request, reply);
  }
  std::string frame;
  AppendFrame(FrameType::kReply, id, reply.SerializeAsString(), frame);
  return WriteFull(fd, frame);
}

// ---- Cluster -----------------------------------------------------------------------------------

FakeCluster::FakeCluster(std::size_t node_count) {
  for (std::size_t i = 0; i < node_count; ++i) {
    nodes_.push_back(std::make_unique<FakeNode>(*this, i));
  }
  on_ring_.assign(node_count, true);
  declared_dead_.assign(node_count, false);
  for (std::uint32_t i = 0; i < kPartitions; ++i) owners_.push_back(i % node_count);
  TellTruth();
}

FakeCluster::~FakeCluster() {
  for (const auto& node : nodes_) node->Kill();
}

std::size_t FakeCluster::OwnerOf(const std::string& key) const {
  const std::scoped_lock lock(mutex_);
  return owners_[PartitionOf(SlotOf(key), kPartitions)];
}

std::string FakeCluster::KeyOwnedBy(std::size_t node, std::size_t skip) const {
  for (std::size_t i = 0;; ++i) {
    const std::string key = "k" + std::to_string(i);
    if (OwnerOf(key) == node && skip-- == 0) return key;
  }
}

void FakeCluster::MoveAll(std::size_t from, std::size_t to) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t& owner : owners_) {
    if (owner == from) owner = to;
  }
}

void FakeCluster::TakeOver(std::size_t dead) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t& owner : owners_) {
    if (owner == dead) owner = (dead + 1) % nodes_.size();
  }
}

void FakeCluster::Kill(std::size_t node) {
  nodes_[node]->Kill();
  TakeOver(node);
}

void FakeCluster::KillWithoutTakeover(std::size_t node) { nodes_[node]->Kill(); }

void FakeCluster::DeclareDead(std::size_t node) {
  TakeOver(node);
  {
    const std::scoped_lock lock(mutex_);
    declared_dead_[node] = true;
  }
  TellTruth();
}

void FakeCluster::Leave(std::size_t node) {
  MoveAll(node, (node + 1) % nodes_.size());
  {
    const std::scoped_lock lock(mutex_);
    on_ring_[node] = false;
  }
  TellTruth();
}

wire::RingView FakeCluster::TrueRing() const {
  wire::RingView ring;
  ring.set_digest(digest_);
  ring.set_partition_count(kPartitions);
  ring.set_replicas(kReplicas);
  std::vector<std::uint16_t> index_of(nodes_.size(), 0xffff);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!on_ring_[i]) continue;
    index_of[i] = static_cast<std::uint16_t>(ring.members_size());
    wire::Member* member = ring.add_members();
    member->set_id(std::string(15, 'n') + static_cast<char>('0' + i));
    member->set_name("n" + std::to_string(i + 1));
    member->set_host("127.0.0.1");
    member->set_port(nodes_[i]->port());
    member->set_zone(i % 2 == 0 ? "a" : "b");
    member->set_weight(1);
    member->set_state(nodes_[i]->up() && !declared_dead_[i] ? wire::ALIVE : wire::DEAD);
  }
  std::string* holders = ring.mutable_holders();
  const auto add = [&](std::uint16_t index) {
    holders->append(reinterpret_cast<const char*>(&index), sizeof index);
  };
  for (const std::size_t owner : owners_) {
    add(index_of[owner]);
    const std::size_t next = (owner + 1) % nodes_.size();
    add(next == owner ? 0xffff : index_of[next]);
    add(0xffff);
  }
  return ring;
}

void FakeCluster::TellTruth() {
  const std::scoped_lock lock(mutex_);
  ++digest_;
  told_ = TrueRing();
}

std::string FakeCluster::RingBytes() const {
  const std::scoped_lock lock(mutex_);
  return told_.SerializeAsString();
}

// As a node tells it; n2 says that it is dead.
void FakeCluster::Status(std::size_t at, wire::Value& reply) const {
  std::string members;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::string name = "n" + std::to_string(i + 1);
    const std::string& address = nodes_[i]->address();
    const std::size_t colon = address.rfind(':');
    members += std::string(i == 0 ? "" : ",") + R"({"name":")" + name + R"(","id":")" + name +
               R"(","state":")" + (i == 1 ? "dead" : "alive") + R"(","host":")" +
               address.substr(0, colon) + R"(","port":)" + address.substr(colon + 1) +
               R"(,"owned_partitions":2,"complete_partitions":4})";
  }
  reply.set_bulk(R"({"name":"n)" + std::to_string(at + 1) +
                 R"(","cluster":"fake","version":"9.9.9","uptime_seconds":60,"records":12,)" +
                 R"("memory":{"used_bytes":1048576,"limit_bytes":2097152},)" +
                 R"("ring":{"partitions":64,"replicas":2,"unowned":0,"under_replicated":0},)" +
                 R"("members":[)" + members + "]}");
}

void FakeCluster::Execute(std::size_t at, const wire::Request& request, wire::Reply& reply) {
  const std::vector<std::string> args = ArgsOf(request);
  const std::string& name = args[0];
  wire::Value& value = *reply.mutable_value();
  const auto fail = [&](ErrorCode code, const std::string& message) {
    value.mutable_error()->set_code(static_cast<std::uint32_t>(code));
    value.mutable_error()->set_message(message);
  };
  if (name == "RING") return value.set_bulk(RingBytes());
  if (name == "PING") return value.set_outcome(wire::PONG);
  if (name == "STATUS") return Status(at, value);
  if (name == "REBALANCE") {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 1; i < args.size(); ++i) rebalance_ += (i == 1 ? "/" : " ") + args[i];
    if (args.size() > 1 && args[1] != "STATUS") return value.set_outcome(wire::OK);
    return value.set_bulk(
        R"({"paused":false,"limit_bytes_per_second":1048576,"progress_percent":25.0,)"
        R"("partitions_left":6,"moves_left":6,"repairs_left":0,"done_bytes":1048576,)"
        R"("left_bytes":3145728,"bytes_per_second":1048576,"eta_seconds":3,)"
        R"("leaving":[{"name":"n3","partitions_left":6}],"nodes":[)"
        R"({"name":"n1","answered":true,"paused":false,"progress_percent":25.0,"eta_seconds":3},)"
        R"({"name":"n2","answered":false}]})");
  }
  if (name == "ADVISE") return value.set_bulk(advice());
  if (name == "LOCATE" && args.size() == 2) {
    wire::List* map = value.mutable_list();
    map->set_shape(wire::List::MAP);
    map->add_values()->set_bulk("slot");
    map->add_values()->set_integer(SlotOf(args[1]));
    map->add_values()->set_bulk("owner");
    map->add_values()->set_bulk("n" + std::to_string(OwnerOf(args[1]) + 1));
    return;
  }
  if (name == "DRAIN" && args.size() == 2) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (args[1] != "n" + std::to_string(i + 1)) continue;
      Leave(i);
      return value.set_outcome(wire::OK);
    }
    return fail(ErrorCode::kInvalidArgument, "no node '" + args[1] + "'");
  }
  if (name == "UNDRAIN" && args.size() == 2) {
    undrained_ += (undrained_.empty() ? "" : " ") + args[1];
    return value.set_outcome(wire::OK);
  }
  if (HasKey(name) && args.size() > 1) {
    const std::size_t owner = OwnerOf(args[1]);
    if (owner != at) {
      reply.set_stale_ring(true);
      if (!nodes_[owner]->up()) {
        return fail(ErrorCode::kUnavailable, "the owner is down");
      }
    }
  }
  if (!store_.Execute(args, value)) fail(ErrorCode::kUnknownCommand, "unknown command " + name);
}

}  // namespace gyre
