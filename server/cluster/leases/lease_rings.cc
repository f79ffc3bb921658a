#include "leases/lease_rings.h"

#include <xxhash.h>

#include <algorithm>
#include <string>

namespace gyre {
namespace {

bool IsMajority(const Ring& ring, const std::function<bool(const NodeId&)>& has) {
  const auto count = static_cast<std::size_t>(std::count_if(ring.begin(), ring.end(), has));
  return 2 * count > ring.size();
}

}  // namespace

std::uint64_t DigestOf(const Ring& ring) {
  std::string bytes;
  bytes.reserve(ring.size() * 16);
  for (const NodeId& id : ring) bytes.append(id.raw());
  return XXH3_64bits(bytes.data(), bytes.size());
}

LeaseRings::LeaseRings(NodeId self, Duration hold, Duration quiet)
    : self_(self), hold_(hold), quiet_(quiet) {}

void LeaseRings::OnRing(TimePoint now, Ring ring) {
  if (!rings_.empty() && rings_.back() == ring) return;
  if (fresh_) rings_.clear();  // no past: nothing before it counts
  // A ring that comes back (a member left and joined again) counts once, as the newest.
  std::erase(rings_, ring);
  if (rings_.size() == kRingsMax) rings_.erase(rings_.begin() + 1);
  digest_ = DigestOf(ring);
  rings_.push_back(std::move(ring));
  changed_at_ = now;
  fresh_ones_ = {self_};
  at_newest_ = {self_};
  joint_ = false;
  NoteJoint(now);
}

void LeaseRings::OnAnswer(TimePoint now, const NodeId& from, std::uint64_t digest, bool fresh,
                          const std::vector<Ring>& rings) {
  if (rings_.empty()) return;
  const bool same = digest == digest_;
  if (fresh) {
    if (same) fresh_ones_.insert(from);
    if (same && !fresh_) at_newest_.insert(from);
    return NoteJoint(now);
  }
  if (fresh_) {
    fresh_ = false;
    joint_ = false;
    at_newest_ = {self_};
  }
  if (same && rings.empty()) return CountOnly(Ring(rings_.back()));  // it is settled there
  for (const Ring& ring : rings) {
    if (std::find(rings_.begin(), rings_.end(), ring) != rings_.end()) continue;
    if (rings_.size() == kRingsMax) break;
    rings_.insert(rings_.begin(), ring);
    joint_ = false;
  }
  if (same) at_newest_.insert(from);
  NoteJoint(now);
}

void LeaseRings::NoteJoint(TimePoint now) {
  if (fresh_ || joint_ || rings_.size() < 2) return;
  joint_ = AllMajority([this](const NodeId& id) { return at_newest_.contains(id); });
  if (joint_) settle_at_ = now + hold_;
}

void LeaseRings::Tick(TimePoint now) {
  if (rings_.empty()) return;
  if (joint_ && now >= settle_at_) CountOnly(Ring(rings_.back()));
  if (!fresh_ || rings_.back().empty() || now - changed_at_ < quiet_) return;
  if (IsMajority(rings_.back(), [this](const NodeId& id) { return fresh_ones_.contains(id); })) {
    fresh_ = false;
    CountOnly(Ring(rings_.back()));
  }
}

void LeaseRings::Settle(TimePoint now) {
  if (rings_.size() < 2 || fresh_) return;
  joint_ = true;
  settle_at_ = now + hold_;
}

void LeaseRings::CountOnly(const Ring& ring) {
  rings_.assign(1, ring);
  joint_ = false;
}

bool LeaseRings::AllMajority(const std::function<bool(const NodeId&)>& has) const {
  return std::all_of(rings_.begin(), rings_.end(),
                     [&has](const Ring& ring) { return IsMajority(ring, has); });
}

bool LeaseRings::Majority(const std::function<bool(const NodeId&)>& has) const {
  return !fresh_ && !rings_.empty() && AllMajority(has);
}

void LeaseRings::Tally::Add(const NodeId& voter) {
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const Ring& ring = rings_.rings_[i];
    if (std::binary_search(ring.begin(), ring.end(), voter)) ++counts_[i];
  }
}

bool LeaseRings::Tally::majority() const {
  if (rings_.fresh_ || counts_.empty()) return false;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (2 * counts_[i] <= rings_.rings_[i].size()) return false;
  }
  return true;
}

bool LeaseRings::HasSelf() const {
  return !rings_.empty() && std::binary_search(rings_.back().begin(), rings_.back().end(), self_);
}

std::set<NodeId> LeaseRings::Others() const {
  std::set<NodeId> others;
  for (const Ring& ring : rings_) others.insert(ring.begin(), ring.end());
  others.erase(self_);
  return others;
}

}  // namespace gyre
