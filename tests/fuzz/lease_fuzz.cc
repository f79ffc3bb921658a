// Three voters whose network carries, loses, doubles, delays and garbles what they say, as the
// input decides; one of them may lie. Nothing crashes, no state grows without bound, and among
// those that tell the truth no two hold one partition at a time.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "leases/lease.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file
using std::chrono::milliseconds;

constexpr std::uint32_t kPartitions = 8;
constexpr int kNodes = 3;
constexpr std::size_t kFlightMax = 64;
constexpr UnixMillis kStamp = 1'800'000'000'000;

void Require(bool holds) {
  if (!holds) std::abort();
}

NodeId IdOf(int number) {
  NodeId id;
  id.bytes[0] = static_cast<std::uint8_t>(number + 1);
  return id;
}

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  std::uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::string_view Bytes(std::size_t size) {
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
};

class Voters {
 public:
  Voters() {
    Ring ring;
    for (int i = 0; i < kNodes; ++i) ring.push_back(IdOf(i));
    for (int i = 0; i < kNodes; ++i) {
      nodes_[Index(i)] = std::make_unique<Leases>(IdOf(i), kPartitions, 1 << 20, now_);
      nodes_[Index(i)]->SetFacts(now_, LeaseFacts{ring, 1, {}});
    }
    // Until young nodes vote and their ring is settled.
    for (int i = 0; i < 400; ++i) {
      Pass(milliseconds(10));
      while (!flight_.empty()) Deliver(0);
    }
  }

  // One step of the world, as `input` has it.
  void Step(Input& input) {
    const std::uint8_t what = input.Byte();
    const int node = what / 8 % kNodes;
    switch (what % 8) {
      case 0:
        Claim(node, input.Byte());
        break;
      case 1:
        Pass(milliseconds(input.Byte()));
        break;
      case 2:
        if (!flight_.empty()) Deliver(input.Byte() % flight_.size());
        break;
      case 3:
        if (!flight_.empty()) flight_.pop_front();
        break;
      case 4:
        if (!flight_.empty() && flight_.size() < kFlightMax) flight_.push_back(flight_.front());
        break;
      case 5:
        Garble(input.Byte(), input.Byte());
        break;
      default:
        // Anything at all, in the name of the last node: from then on it is a liar.
        lies_ = true;
        Send(node,
             nodes_[Index(node)]->OnMessage(now_, IdOf(kNodes - 1), input.Bytes(input.Byte())));
    }
    Check();
  }

 private:
  struct Datagram {
    int from = 0;
    SendLease lease;
  };
  static std::size_t Index(int node) { return static_cast<std::size_t>(node); }

  void Claim(int node, std::uint8_t partitions) {
    PartitionSet claims(kPartitions);
    for (PartitionId p = 0; p < kPartitions; ++p) {
      if ((partitions >> p & 1) != 0) claims.Set(p);
    }
    Send(node, nodes_[Index(node)]->SetClaims(now_, claims, claims, kStamp));
  }
  void Pass(Duration span) {
    now_ += span;
    for (int i = 0; i < kNodes; ++i) Send(i, nodes_[Index(i)]->Tick(now_, kStamp));
  }
  void Send(int from, LeaseSends sends) {
    for (SendLease& each : sends) {
      if (flight_.size() < kFlightMax) flight_.push_back({from, std::move(each)});
    }
  }
  void Deliver(std::size_t which) {
    const Datagram datagram = std::move(flight_[which]);
    flight_.erase(flight_.begin() + static_cast<std::ptrdiff_t>(which));
    const int to = datagram.lease.to.bytes[0] - 1;
    Send(to, nodes_[Index(to)]->OnMessage(now_, IdOf(datagram.from), datagram.lease.payload));
  }
  // A datagram is authentic, or from the liar.
  void Garble(std::uint8_t at, std::uint8_t byte) {
    if (flight_.empty() || flight_.front().from != kNodes - 1) return;
    lies_ = true;
    std::string& payload = flight_.front().lease.payload;
    if (!payload.empty()) payload[at % payload.size()] = static_cast<char>(byte);
  }
  void Check() const {
    for (PartitionId p = 0; p < kPartitions; ++p) {
      int holders = 0;
      for (const auto& node : nodes_) holders += node->Holds(p, now_) ? 1 : 0;
      // A liar may promise one partition to both of the others: two votes of three are then his.
      Require(lies_ || holders <= 1);
    }
  }

  TimePoint now_{std::chrono::seconds(100)};
  std::array<std::unique_ptr<Leases>, kNodes> nodes_;
  std::deque<Datagram> flight_;
  bool lies_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kInputMax = 1024;
  Input input({reinterpret_cast<const char*>(data), std::min(size, kInputMax)});
  Voters voters;
  while (!input.empty()) voters.Step(input);
  return 0;
}
