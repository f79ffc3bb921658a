#include "proto/placement.h"

#include <xxhash.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <numeric>
#include <queue>
#include <utility>

#include "proto/limits.h"
#include "proto/owner_balance.h"

namespace gyre {
namespace {

using Score = std::uint64_t;
using MemberIndex = std::uint16_t;

// Bounds of the loads, in percent of the fair share: of what a member owns, and of what each place
// of the list brings it.
constexpr std::uint64_t kOwnedLoadPercent = 105;
constexpr std::uint64_t kPlaceLoadPercent = 125;
// Draws for each partition in the first attempt: three times the list, so that one attempt is
// almost always enough.
constexpr std::uint64_t kDrawsPerPartition = 3 * kPreferenceMax;
constexpr int kInverseWeightBits = 24;
constexpr Score kScoreMax = std::numeric_limits<Score>::max();

struct Candidate {
  Score score;
  MemberIndex member;

  friend auto operator<=>(const Candidate&, const Candidate&) = default;
};
using Candidates = std::vector<Candidate>;  // of one partition, best first

// log2(value) in units of 2^-32: the characteristic by counting, the mantissa by repeated squaring.
std::uint64_t Log2Fixed(std::uint32_t value) {
  assert(value > 0);
  std::uint64_t log = 0;
  std::uint64_t mantissa = value;
  for (; mantissa >= std::uint64_t{1} << 32; mantissa >>= 1) ++log;
  int shift = 31;
  for (std::uint32_t rest = value; rest > 1; rest >>= 1) {
    ++log;
    --shift;
  }
  mantissa <<= shift;  // in [2^31, 2^32): 1.0 to 2.0
  for (int bit = 0; bit < 32; ++bit) {
    mantissa = mantissa * mantissa >> 31;
    log <<= 1;
    if (mantissa >= std::uint64_t{1} << 32) {
      mantissa >>= 1;
      log |= 1;
    }
  }
  return log;
}

// Draws the preferences of members, one after the other.
class Drawer {
 public:
  explicit Drawer(std::uint32_t partition_count)
      : partition_count_(partition_count), order_(partition_count) {
    // quantiles_[s] = -log2(1 - s / P); the infinite last one is cut off at half a step.
    const std::uint64_t whole = Log2Fixed(2 * partition_count);
    for (std::uint32_t step = 0; step < partition_count; ++step) {
      quantiles_.push_back(whole - Log2Fixed(2 * (partition_count - step)));
    }
    quantiles_.push_back(whole);
    std::iota(order_.begin(), order_.end(), PartitionId{0});
  }

  // Calls visit(partition, score) for the member's favourite partitions, in order of rising score,
  // below `limit`.
  template <typename Visit>
  void Draw(const RingMember& member, Score limit, Visit visit) {
    const std::uint64_t inverse_weight =
        (std::uint64_t{1} << kInverseWeightBits) / std::clamp(member.weight, 1U, kWeightMax);
    undo_.clear();
    // A Fisher-Yates shuffle, as far as it is needed, and taken back afterwards.
    for (std::uint32_t step = 0; step < partition_count_; ++step) {
      const std::uint64_t hash =
          XXH3_64bits_withSeed(member.id.bytes.data(), member.id.bytes.size(), step);
      const std::uint64_t within = quantiles_[step + 1] - quantiles_[step];
      const std::uint64_t jitter = within * (hash & 0xffffff) >> 24;
      const Score score = (quantiles_[step] + jitter) * inverse_weight;
      if (score >= limit) break;
      const auto pick =
          static_cast<std::uint32_t>(step + ((hash >> 32) * (partition_count_ - step) >> 32));
      std::swap(order_[step], order_[pick]);
      undo_.push_back(pick);
      visit(order_[step], score);
    }
    for (std::size_t step = undo_.size(); step-- > 0;) std::swap(order_[step], order_[undo_[step]]);
  }

  // The score below which members of `weight` in all draw about `draws` times.
  Score LimitFor(std::uint64_t draws, std::uint64_t weight) const {
    if (draws / weight >= partition_count_ / 4) return kScoreMax;
    // -log2(1 - x) is about x / ln 2 = 1.4427 x for the small x of this case.
    const std::uint64_t share = (draws << 32) / weight / partition_count_;
    return (share + share * 29 / 64) << kInverseWeightBits;
  }

 private:
  std::uint32_t partition_count_;
  std::vector<std::uint64_t> quantiles_;
  std::vector<PartitionId> order_;
  std::vector<std::uint32_t> undo_;
};

// Zones as small numbers, in order of their names.
struct Zones {
  explicit Zones(const std::vector<RingMember>& members) {
    std::map<std::string, std::uint16_t> numbers;
    for (const RingMember& member : members) numbers.emplace(member.zone, std::uint16_t{0});
    for (auto& [name, number] : numbers) number = count++;
    for (const RingMember& member : members) of_member.push_back(numbers.at(member.zone));
  }
  std::uint16_t count = 0;
  std::vector<std::uint16_t> of_member;
};

// Fills the lists, place by place.
class Placer {
 public:
  Placer(const std::vector<RingMember>& members, const Zones& zones,
         std::vector<Candidates> candidates, Placement& placement)
      : members_(members),
        zones_(zones),
        candidates_(std::move(candidates)),
        lists_(placement.preference) {
    lists_.resize(candidates_.size());
  }

  // One place of every partition, with loads of at most `percent` of the fair share.
  void AssignPlace(std::uint64_t percent) {
    loads_.assign(members_.size(), 0);
    bounds_ = Bounds(percent);
    std::vector<std::vector<std::pair<Score, PartitionId>>> won(members_.size());
    for (PartitionId partition = 0; partition < lists_.size(); ++partition) {
      const Candidate* best = NextEligible(partition, candidates_[partition].data());
      if (best != nullptr) won[best->member].emplace_back(best->score, partition);
    }
    std::vector<PartitionId> spilled;
    for (std::size_t member = 0; member < won.size(); ++member) {
      KeepBest(static_cast<MemberIndex>(member), won[member], spilled);
    }
    PlaceSpilled(spilled);
  }

  // Owners within `bounds`, by the order of the first `replicas` places.
  void Balance(std::size_t replicas, const OwnerBounds& bounds) {
    const std::uint64_t weight = TotalWeight();
    // In units of 2^-16 of what the best of all members minds on average.
    const auto reluctance = [&](PartitionId partition, MemberIndex member) {
      const std::uint64_t score = ScoreOf(partition, member) >> kInverseWeightBits;
      return std::min<std::uint64_t>(score * weight >> 16,
                                     std::numeric_limits<std::uint32_t>::max());
    };
    BalanceOwners(replicas, bounds, reluctance, lists_);
    for (PartitionId partition = 0; partition < lists_.size(); ++partition) Arrange(partition);
  }

  // Of the next place.
  OwnerBounds BoundsOfOwners(std::uint64_t percent) const {
    OwnerBounds bounds{Bounds(percent), {}};
    for (const std::uint64_t load : ExpectedLoads()) {
      bounds.fair.push_back(static_cast<std::uint32_t>(load >> kLoadBits));
    }
    return bounds;
  }

  // The rest of every list, in order of score within the rule of the zones.
  void Complete(std::size_t length) {
    for (PartitionId partition = 0; partition < lists_.size(); ++partition) {
      while (lists_[partition].size() < length) {
        const Candidate* next = NextEligible(partition, candidates_[partition].data());
        if (next == nullptr) break;
        lists_[partition].push_back(next->member);
      }
    }
  }

 private:
  // Those after the owner, so that the list goes through the zones again.
  void Arrange(PartitionId partition) {
    auto& list = lists_[partition];
    std::vector<MemberIndex> rest(list.begin() + 1, list.end());
    list.resize(1);
    while (!rest.empty()) {
      auto next = std::find_if(rest.begin(), rest.end(),
                               [&](MemberIndex member) { return Eligible(partition, member); });
      if (next == rest.end()) next = rest.begin();
      list.push_back(*next);
      rest.erase(next);
    }
  }

  // Whether the member may take the partition's next place: not in the list yet, and of a zone that
  // the list has not gone through in this round.
  bool Eligible(PartitionId partition, MemberIndex member) const {
    const auto& list = lists_[partition];
    if (std::find(list.begin(), list.end(), member) != list.end()) return false;
    const std::size_t round = list.size() / zones_.count * zones_.count;
    return std::none_of(
        list.begin() + static_cast<std::ptrdiff_t>(round), list.end(),
        [&](MemberIndex other) { return zones_.of_member[other] == zones_.of_member[member]; });
  }

  // The first eligible candidate from `from` on, null at the end. Where no candidate is eligible,
  // because the zones of this round have no member left, every one that is not in the list is.
  const Candidate* NextEligible(PartitionId partition, const Candidate* from) const {
    const Candidates& all = candidates_[partition];
    const Candidate* end = all.data() + all.size();
    const auto eligible = [&](const Candidate& each) { return Eligible(partition, each.member); };
    const Candidate* found = std::find_if(from, end, eligible);
    if (found != end) return found;
    if (std::any_of(all.data(), from, eligible)) return nullptr;
    const auto& list = lists_[partition];
    found = std::find_if(from, end, [&](const Candidate& each) {
      return std::find(list.begin(), list.end(), each.member) == list.end();
    });
    return found != end ? found : nullptr;
  }

  // Loads of at most `percent` of what each member can expect: a partition's place goes to one of
  // the eligible members in proportion to their weights. Rounded down; where that leaves too few
  // places, those members get one more whom it overloads least.
  std::vector<std::uint32_t> Bounds(std::uint64_t percent) const {
    const std::vector<std::uint64_t> expected = ExpectedLoads();
    std::vector<std::uint32_t> bounds;
    std::uint64_t sum = 0;
    for (std::uint64_t load : expected) {
      bounds.push_back(
          static_cast<std::uint32_t>((load * percent / 100 + kLoadEpsilon) >> kLoadBits));
      sum += bounds.back();
    }
    std::vector<MemberIndex> order(members_.size());
    std::iota(order.begin(), order.end(), MemberIndex{0});
    std::stable_sort(order.begin(), order.end(), [&](MemberIndex a, MemberIndex b) {
      return (bounds[a] + 1) * (expected[b] >> kLoadShift) <
             (bounds[b] + 1) * (expected[a] >> kLoadShift);
    });
    for (std::size_t i = 0; i < order.size() && sum < lists_.size(); ++i, ++sum) ++bounds[order[i]];
    return bounds;
  }

  // [member] expected number of partitions, in units of 2^-kLoadBits.
  std::vector<std::uint64_t> ExpectedLoads() const {
    std::vector<std::uint64_t> zone_weight(zones_.count, 0);
    std::uint64_t whole_weight = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      zone_weight[zones_.of_member[i]] += WeightOf(i);
      whole_weight += WeightOf(i);
    }
    // Shares for each unit of weight: what everybody gets, less what members of a zone or single
    // members do not.
    std::uint64_t everybody = 0;
    std::vector<std::uint64_t> not_zone(zones_.count, 0);
    std::vector<std::uint64_t> not_member(members_.size(), 0);
    for (const auto& list : lists_) {
      const auto round = static_cast<std::ptrdiff_t>(list.size() / zones_.count * zones_.count);
      std::uint64_t weight = whole_weight;
      for (auto it = list.begin() + round; it != list.end(); ++it) {
        weight -= zone_weight[zones_.of_member[*it]];
      }
      for (auto it = list.begin(); it != list.begin() + round; ++it) weight -= WeightOf(*it);
      if (weight == 0 || weight > whole_weight) continue;  // zones used up: no expectation
      const std::uint64_t share = (std::uint64_t{1} << kLoadBits) / weight;
      everybody += share;
      for (auto it = list.begin(); it != list.begin() + round; ++it) not_member[*it] += share;
      for (auto it = list.begin() + round; it != list.end(); ++it) {
        not_zone[zones_.of_member[*it]] += share;
      }
    }
    std::vector<std::uint64_t> expected;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::uint64_t without = not_zone[zones_.of_member[i]] + not_member[i];
      expected.push_back(WeightOf(i) * (everybody - std::min(everybody, without)));
    }
    return expected;
  }

  Score ScoreOf(PartitionId partition, MemberIndex member) const {
    const Candidates& all = candidates_[partition];
    const auto found = std::find_if(
        all.begin(), all.end(), [member](const Candidate& each) { return each.member == member; });
    return found == all.end() ? kScoreMax : found->score;
  }

  std::uint64_t TotalWeight() const {
    std::uint64_t weight = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) weight += WeightOf(i);
    return weight;
  }

  std::uint64_t WeightOf(std::size_t member) const {
    return std::clamp(members_[member].weight, 1U, kWeightMax);
  }

  // The member takes the partitions it won with the best scores; those beyond its bound are
  // spilled.
  void KeepBest(MemberIndex member, std::vector<std::pair<Score, PartitionId>>& won,
                std::vector<PartitionId>& spilled) {
    const std::size_t kept = std::min<std::size_t>(won.size(), bounds_[member]);
    std::nth_element(won.begin(), won.begin() + static_cast<std::ptrdiff_t>(kept), won.end());
    for (std::size_t i = 0; i < won.size(); ++i) {
      if (i < kept) {
        Take(won[i].second, member);
      } else {
        spilled.push_back(won[i].second);
      }
    }
  }

  // Spilled partitions ask their next candidates; the best score of all is served first.
  void PlaceSpilled(const std::vector<PartitionId>& spilled) {
    using Claim = std::pair<const Candidate*, PartitionId>;
    const auto later = [](const Claim& a, const Claim& b) {
      return std::pair(*a.first, a.second) > std::pair(*b.first, b.second);
    };
    std::priority_queue<Claim, std::vector<Claim>, decltype(later)> claims(later);
    const auto claim_next = [&](PartitionId partition, const Candidate* from) {
      const Candidate* next = NextEligible(partition, from);
      if (next != nullptr) {
        claims.emplace(next, partition);
      } else {
        Take(partition, AnyWithRoom(partition));
      }
    };
    for (PartitionId partition : spilled) {
      claim_next(partition, NextEligible(partition, candidates_[partition].data()) + 1);
    }
    while (!claims.empty()) {
      const auto [candidate, partition] = claims.top();
      claims.pop();
      if (loads_[candidate->member] < bounds_[candidate->member]) {
        Take(partition, candidate->member);
      } else {
        claim_next(partition, candidate + 1);
      }
    }
  }

  // For a partition whose candidates are all full: the emptiest eligible member, or, where the
  // zones leave no room, its best candidate beyond the bound.
  MemberIndex AnyWithRoom(PartitionId partition) const {
    MemberIndex emptiest = NextEligible(partition, candidates_[partition].data())->member;
    std::int64_t room = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::int64_t left = std::int64_t{bounds_[i]} - loads_[i];
      if (left > room && Eligible(partition, static_cast<MemberIndex>(i))) {
        room = left;
        emptiest = static_cast<MemberIndex>(i);
      }
    }
    return emptiest;
  }

  void Take(PartitionId partition, MemberIndex member) {
    lists_[partition].push_back(member);
    ++loads_[member];
  }

  static constexpr int kLoadBits = 36;
  static constexpr int kLoadShift = 12;  // leaves room for a product with a load
  static constexpr std::uint64_t kLoadEpsilon = std::uint64_t{1} << (kLoadBits - 12);

  const std::vector<RingMember>& members_;
  const Zones& zones_;
  std::vector<Candidates> candidates_;
  std::vector<std::vector<MemberIndex>>& lists_;
  std::vector<std::uint32_t> loads_;
  std::vector<std::uint32_t> bounds_;
};

// Every member's favourites, by partition: at least `length` candidates each, and of as many zones
// as the first `zones_needed` places need. The limit that leaves out the hopeless ones is guessed,
// then raised until that holds.
std::vector<Candidates> DrawCandidates(const std::vector<RingMember>& members, const Zones& zones,
                                       std::uint32_t partition_count, std::size_t length,
                                       std::size_t zones_needed) {
  std::uint64_t weight = 0;
  for (const RingMember& member : members) weight += std::clamp(member.weight, 1U, kWeightMax);
  Drawer drawer(partition_count);
  std::vector<bool> seen(zones.count);
  const auto enough = [&](const Candidates& candidates) {
    if (candidates.size() < length) return false;
    std::fill(seen.begin(), seen.end(), false);
    std::size_t zones_found = 0;
    for (const Candidate& each : candidates) {
      if (seen[zones.of_member[each.member]]) continue;
      seen[zones.of_member[each.member]] = true;
      if (++zones_found >= zones_needed) return true;
    }
    return false;
  };
  for (std::uint64_t draws = kDrawsPerPartition * partition_count;; draws *= 2) {
    const Score limit = drawer.LimitFor(draws, weight);
    std::vector<Candidates> candidates(partition_count);
    for (Candidates& each : candidates) {
      each.reserve(std::min<std::size_t>(members.size(), draws / partition_count * 3 / 2));
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      drawer.Draw(members[i], limit, [&](PartitionId partition, Score score) {
        candidates[partition].push_back({score, static_cast<MemberIndex>(i)});
      });
    }
    if (limit != kScoreMax && !std::all_of(candidates.begin(), candidates.end(), enough)) continue;
    for (Candidates& each : candidates) std::sort(each.begin(), each.end());
    return candidates;
  }
}

}  // namespace

Placement ComputePlacement(std::vector<RingMember> members, std::uint32_t replica_count,
                           std::uint32_t partition_count) {
  assert(partition_count > 0 && partition_count <= kSlotCount);
  assert(members.size() <= kMembersMax);
  Placement placement;
  std::sort(members.begin(), members.end(),
            [](const RingMember& a, const RingMember& b) { return a.id < b.id; });
  placement.members = std::move(members);
  placement.preference.resize(partition_count);
  if (placement.members.empty()) return placement;

  const Zones zones(placement.members);
  const std::size_t length = std::min(placement.members.size(), kPreferenceMax);
  const std::size_t placed = std::min<std::size_t>(std::max(replica_count, 1U), length);
  Placer placer(placement.members, zones,
                DrawCandidates(placement.members, zones, partition_count, length,
                               std::min<std::size_t>(placed, zones.count)),
                placement);
  const OwnerBounds owner_bounds = placer.BoundsOfOwners(kOwnedLoadPercent);
  for (std::size_t place = 0; place < placed; ++place) {
    placer.AssignPlace(placed == 1 ? kOwnedLoadPercent : kPlaceLoadPercent);
  }
  placer.Balance(placed, owner_bounds);
  placer.Complete(length);
  return placement;
}

}  // namespace gyre
