// A cluster in one process, for tests of the client: real sockets on 127.0.0.1, a thread for each
// connection, and nodes that can be killed, paused, made to lie or to babble.
//
// The truth (who owns what, who is dead) and the ring that nodes tell are apart, as in life:
// `MoveAll` and `Kill` change the truth, `TellTruth` lets the nodes tell it. A node that is asked
// for what another owns passes the request on and says so (stale_ring); if the owner is dead, it
// answers kUnavailable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/fake_store.h"
#include "proto_gen/cluster.pb.h"
#include "proto_gen/native.pb.h"

namespace gyre {

// What a node does with one request instead of answering it.
struct Mischief {
  bool execute = false;              // carry it out first
  std::string bytes;                 // sent as they are
  bool close = false;                // then
  std::optional<wire::Reply> reply;  // sent in a proper frame
};

class FakeCluster;

class FakeNode {
 public:
  // The kernel takes less for one that does not read: its receive buffer is small, and send buffers
  // are bounded by tcp_wmem (4 MiB by default).
  static constexpr std::size_t kUnreadBytesMax = std::size_t{11} << 20;

  FakeNode(FakeCluster& cluster, std::size_t index);
  ~FakeNode();

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  bool up() const { return up_; }

  // Listens on its port again.
  void Start();
  // As kill -9: the port refuses, connections break.
  void Kill();
  // Takes requests, answers none until Resume.
  void Pause();
  void Resume();
  // Closes its connections, and goes on.
  void BreakLinks();

  // Requests of the command so far ("" for all).
  std::uint64_t count(const std::string& command) const;
  // Waits until `command` was received `times` times in all.
  void AwaitCount(const std::string& command, std::uint64_t times) const;
  std::uint32_t last_write_acks() const { return last_write_acks_; }
  std::uint32_t last_deadline_ms() const { return last_deadline_ms_; }

  // Does this with the next `times` requests of `command`.
  void Misbehave(const std::string& command, Mischief mischief, int times = 1);

 private:
  struct Peer;
  struct Prank {
    Mischief mischief;
    int left = 0;
  };

  void Listen();
  void AcceptLoop(int listener);
  void Serve(Peer& peer);
  // False: close the connection.
  bool Answer(int fd, std::uint64_t id, const std::string& payload);
  std::optional<Mischief> TakePrank(const std::string& command);

  FakeCluster& cluster_;
  const std::size_t index_;
  std::uint16_t port_ = 0;
  std::atomic<bool> up_{false};
  int listener_ = -1;
  std::thread acceptor_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool paused_ = false;
  std::map<std::string, std::uint64_t> counts_;
  std::map<std::string, Prank> pranks_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::atomic<std::uint32_t> last_write_acks_{0};
  std::atomic<std::uint32_t> last_deadline_ms_{0};
};

class FakeCluster {
 public:
  static constexpr std::uint32_t kPartitions = 64;
  static constexpr std::uint32_t kReplicas = 2;

  explicit FakeCluster(std::size_t node_count);
  ~FakeCluster();

  FakeNode& node(std::size_t index) { return *nodes_[index]; }
  std::size_t node_count() const { return nodes_.size(); }
  FakeStore& store() { return store_; }

  // The node that owns the key now.
  std::size_t OwnerOf(const std::string& key) const;
  // "k0", "k1", ...: the first of these that the node owns.
  std::string KeyOwnedBy(std::size_t node, std::size_t skip = 0) const;

  // The truth: `from`'s partitions are `to`'s now. Rings told are unchanged.
  void MoveAll(std::size_t from, std::size_t to);
  // Kills the node; its replicas take over at once, but the ring told is unchanged.
  void Kill(std::size_t node);
  // Kills the node, and nobody takes over: requests for its keys get kUnavailable.
  void KillWithoutTakeover(std::size_t node);
  void TakeOver(std::size_t dead);
  // The others take over and tell that the node is dead. It may only be paused.
  void DeclareDead(std::size_t node);
  // From now on the ring told is the truth.
  void TellTruth();
  // What REBALANCE was asked so far, one after the other.
  std::string rebalance() const {
    const std::scoped_lock lock(mutex_);
    return rebalance_;
  }
  // What ADVISE answers.
  void Advise(std::string json) {
    const std::scoped_lock lock(mutex_);
    advice_ = std::move(json);
  }
  // What UNDRAIN was asked for so far.
  std::string undrained() const {
    const std::scoped_lock lock(mutex_);
    return undrained_;
  }
  // A node leaves the ring, as after a drain.
  void Leave(std::size_t node);

  std::string RingBytes() const;

 private:
  friend class FakeNode;

  // Answers anything but what a prank caught.
  void Execute(std::size_t at, const wire::Request& request, wire::Reply& reply);
  wire::RingView TrueRing() const;
  void Status(std::size_t at, wire::Value& reply) const;
  std::string advice() const {
    const std::scoped_lock lock(mutex_);
    return advice_;
  }

  FakeStore store_;
  std::vector<std::unique_ptr<FakeNode>> nodes_;
  mutable std::mutex mutex_;
  std::string rebalance_;
  std::string advice_;
  std::string undrained_;
  std::vector<std::size_t> owners_;  // the truth, by partition
  std::vector<bool> on_ring_;
  std::vector<bool> declared_dead_;
  wire::RingView told_;
  std::uint64_t digest_ = 1;
};

}  // namespace gyre
