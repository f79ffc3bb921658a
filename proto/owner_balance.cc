#include "proto/owner_balance.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace gyre {
namespace {

using MemberIndex = std::uint16_t;
using Lists = std::vector<std::vector<MemberIndex>>;

// One partition goes from its first holder to the one at `place`.
struct Turn {
  PartitionId partition = 0;
  std::size_t place = 0;
};

class Balancer {
 public:
  Balancer(std::size_t replicas, const OwnerBounds& bounds, Lists& lists)
      : replicas_(replicas), bounds_(bounds), lists_(lists), loads_(bounds.most.size()) {
    for (const auto& list : lists_) ++loads_[list.front()];
  }

  // Step 1.
  template <typename Reluctance>
  void TurnCheapest(const Reluctance& reluctance) {
    struct Offer {
      bool crowded;  // the other holder has its share already
      std::uint64_t price;
      Turn turn;
    };
    std::vector<Offer> offers;
    ForEachTurn([&](const Turn& turn) {
      const MemberIndex from = lists_[turn.partition].front();
      const MemberIndex to = lists_[turn.partition][turn.place];
      if (loads_[from] <= bounds_.most[from]) return;
      const std::uint64_t kept = reluctance(turn.partition, from);
      const std::uint64_t taken = reluctance(turn.partition, to);
      const std::uint64_t fair = std::max(bounds_.fair[to], 1U);
      const std::uint64_t fill = (std::uint64_t{loads_[to]} << 16) / fair;
      offers.push_back({loads_[to] > fair, fill + taken - std::min(kept, taken), turn});
    });
    std::sort(offers.begin(), offers.end(), [](const Offer& a, const Offer& b) {
      return std::tie(a.crowded, a.price, a.turn.partition, a.turn.place) <
             std::tie(b.crowded, b.price, b.turn.partition, b.turn.place);
    });
    std::vector<bool> turned(lists_.size(), false);
    for (const auto& [crowded, price, turn] : offers) {
      if (turned[turn.partition]) continue;
      const MemberIndex from = lists_[turn.partition].front();
      const MemberIndex to = lists_[turn.partition][turn.place];
      if (loads_[from] <= bounds_.most[from] || loads_[to] >= bounds_.most[to]) continue;
      turned[turn.partition] = true;
      --loads_[from];
      ++loads_[to];
      Perform(turn);
    }
  }

  // Step 2.
  void TurnChains() {
    for (std::size_t member = 0; member < loads_.size(); ++member) {
      while (loads_[member] > bounds_.most[member] && TurnChain(static_cast<MemberIndex>(member))) {
      }
    }
  }

 private:
  template <typename Visit>
  void ForEachTurn(Visit visit) const {
    for (PartitionId partition = 0; partition < lists_.size(); ++partition) {
      const std::size_t places = std::min(replicas_, lists_[partition].size());
      for (std::size_t place = 1; place < places; ++place) visit(Turn{partition, place});
    }
  }

  void Perform(const Turn& turn) {
    auto& list = lists_[turn.partition];
    std::swap(list.front(), list[turn.place]);
  }

  // Breadth first from `start` through the partitions that each member owns. False if nobody whom
  // it reaches has room.
  bool TurnChain(MemberIndex start) {
    std::vector<std::vector<Turn>> turns(loads_.size());
    ForEachTurn([&](const Turn& turn) { turns[lists_[turn.partition].front()].push_back(turn); });
    std::vector<std::optional<std::pair<MemberIndex, Turn>>> reached(loads_.size());
    std::vector<MemberIndex> queue{start};
    for (std::size_t next = 0; next < queue.size(); ++next) {
      for (const Turn& turn : turns[queue[next]]) {
        const MemberIndex to = lists_[turn.partition][turn.place];
        if (to == start || reached[to]) continue;
        reached[to] = {queue[next], turn};
        if (loads_[to] >= bounds_.most[to]) {
          queue.push_back(to);
          continue;
        }
        --loads_[start];
        ++loads_[to];
        for (MemberIndex at = to; at != start; at = reached[at]->first)
          Perform(reached[at]->second);
        return true;
      }
    }
    return false;
  }

  const std::size_t replicas_;
  const OwnerBounds& bounds_;
  Lists& lists_;
  std::vector<std::uint32_t> loads_;  // [member] partitions in whose list it comes first
};

}  // namespace

void BalanceOwners(std::size_t replicas, const OwnerBounds& bounds,
                   const std::function<std::uint64_t(PartitionId, std::uint16_t)>& reluctance,
                   std::vector<std::vector<std::uint16_t>>& lists) {
  Balancer balancer(replicas, bounds, lists);
  balancer.TurnCheapest(reluctance);
  balancer.TurnChains();
}

}  // namespace gyre
