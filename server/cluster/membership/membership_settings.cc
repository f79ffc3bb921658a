// The ring's settings: changed here, heard of, exchanged.
#include <xxhash.h>

#include <algorithm>
#include <string>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/limits.h"

namespace gyre {
namespace {

// Under which a broadcast about the name is replaced by a newer one.
NodeId SubjectOf(std::string_view name) {
  const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  NodeId id;
  for (std::size_t i = 0; i < 8; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(hash.low64 >> (8 * i));
    id.bytes[8 + i] = static_cast<std::uint8_t>(hash.high64 >> (8 * i));
  }
  return id;
}

}  // namespace

std::optional<UnixMillis> Membership::Impl::WallNow() const {
  if (!options.wall_clock) return std::nullopt;
  return std::chrono::floor<std::chrono::milliseconds>(options.wall_clock()).count();
}

// Whoever went on meanwhile has the same or newer ones, so an old memory harms nobody.
void Membership::Impl::RememberSettings() {
  for (Setting& setting : std::exchange(options.remembered_settings, {})) {
    if (!IsProof(setting.stamp.by, Said::kSetting, WordsOf(setting), setting.proof)) {
      ++settings_stats.refused_unproven;
      continue;
    }
    settings.Merge(std::move(setting), WallNow().value_or(0));
  }
}

Status Membership::Impl::ChangeSettings(const std::vector<SettingChange>& changes) {
  const auto refuse = [this](Error error) -> Status {
    ++settings_stats.refused_here;
    return tl::unexpected(std::move(error));
  };
  if (stopping) return refuse({ErrorCode::kClosed, "this node is about to stop: ask another"});
  if (!OnRing(state.self)) {
    return refuse({ErrorCode::kNotAllowed,
                   "this node has no place on the ring, so others would not believe it: ask one "
                   "that has"});
  }
  if (changes.size() > kSettingChangesMax) {
    return refuse({ErrorCode::kTooLarge, "more than " + std::to_string(kSettingChangesMax) +
                                             " settings at once: set them in parts"});
  }
  SettingsMap after = settings;
  std::vector<Setting> next;
  for (const SettingChange& change : changes) {
    Result<Setting> setting = after.Stamp(change, state.self, WallNow());
    if (!setting) return refuse(setting.error());
    setting->proof = Sign(Said::kSetting, WordsOf(*setting));
    after.Merge(*setting, WallNow().value_or(0));
    next.push_back(std::move(*setting));
  }
  if (!change_rate.Take(now, static_cast<double>(changes.size()))) {
    return refuse({ErrorCode::kUnavailable, "the ring's settings change too often, more than " +
                                                std::to_string(kSettingChangesPerSecond) +
                                                " a second here: try again in a moment"});
  }
  for (Setting& setting : next) {
    ++settings_stats.changes;
    Log(LogLevel::kInfo,
        setting.value ? "the ring has a setting" : "a setting of the ring is unset",
        {{"setting", setting.name}});
    TakeSetting(std::move(setting));
  }
  return {};
}

void Membership::Impl::TakeSetting(Setting setting) {
  wire::Broadcast broadcast;
  ToWire(setting, *broadcast.mutable_setting());
  const NodeId subject = SubjectOf(setting.name);
  if (settings.Merge(std::move(setting), WallNow().value_or(0)) != SettingsMap::Merged::kTaken) {
    return;
  }
  settings_changed = true;
  Queue(BroadcastQueue::Kind::kSetting, subject, broadcast);
  gossip_at = std::min(gossip_at, now);
}

void Membership::Impl::MergeSetting(const Setting& setting, const NodeId& from) {
  const Setting* const known = settings.Find(setting.name);
  if (known != nullptr && !IsNewer(setting, *known)) return;
  // Each one that is new costs a signature's check. Who has more to say is asked for it again.
  const auto teller = peers.find(from);
  if (teller != peers.end() && !teller->second.settings_rate.Take(now)) {
    ++settings_stats.refused_rate;
    return;
  }
  const NodeId& by = setting.stamp.by;
  LogFields fields = Describe(by);
  fields.emplace_back("setting", setting.name);
  if (by != state.self && !state.ring.contains(by)) {
    ++settings_stats.refused_stranger;
    return Refuse("a setting by a node that never had a place on the ring", std::move(fields));
  }
  const std::optional<UnixMillis> here = WallNow();
  if (here &&
      setting.stamp.ms > static_cast<std::uint64_t>(std::max<UnixMillis>(*here, 0) + kAheadMaxMs)) {
    ++settings_stats.refused_ahead;
    return Refuse(
        "a setting dated more than a week ahead of this node's clock: set the clocks of both (NTP)",
        std::move(fields));
  }
  if (!IsProof(by, Said::kSetting, WordsOf(setting), setting.proof)) {
    ++settings_stats.refused_unproven;
    return Refuse("a setting that its maker did not make", std::move(fields));
  }
  ++settings_stats.heard;
  Log(LogLevel::kDebug, "a setting of the ring changed", std::move(fields));
  TakeSetting(setting);
}

const wire::SettingsPart* Membership::Impl::SettingsOf(const wire::PushPull& message) {
  for (const wire::Member& member : message.members()) {
    if (member.id() == message.from() && member.has_settings()) return &member.settings();
  }
  return nullptr;
}

void Membership::Impl::MergeSettings(const wire::PushPull& message, const NodeId& from,
                                     SettingsSections& differing) {
  const wire::SettingsPart* const part = SettingsOf(message);
  if (part == nullptr) return;
  const int most = std::min(part->settings_size(), static_cast<int>(kSettingsMax));
  for (int i = 0; i < most; ++i) {
    const auto setting = FromWire(part->settings(i));
    if (!setting) {
      ++settings_stats.refused_malformed;
      continue;
    }
    MergeSetting(*setting, from);
  }
  differing = Differing(settings, *part);
  if (differing == 0) settings_met = true;
}

void Membership::Impl::NoteSettingsDigest(Peer& peer, std::uint64_t digest) {
  peer.settings_digest = digest;
  peer.settings_heard = now;
  if (digest == 0 || digest == settings.digest()) {
    peer.settings_differ_since.reset();
    if (digest != 0) settings_met = true;
    return;
  }
  if (!peer.settings_differ_since) peer.settings_differ_since = now;
}

// Whoever learns of a setting asks whether its maker is known.
bool Membership::Impl::MadeSetting(const NodeId& id) const {
  const auto& all = settings.registers();
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& each) { return each.second.stamp.by == id; });
}

void Membership::Impl::ForgetSettings() {
  const std::optional<UnixMillis> here = WallNow();
  if (here && settings.Forget(*here) > 0) settings_changed = true;
}

// What a peer said before this node's own last change says nothing of now.
SettingsStats Membership::Impl::SettingsFigures() const {
  SettingsStats stats = settings_stats;
  stats.live = settings.live_count();
  stats.unset = settings.count() - settings.live_count();
  stats.bytes = settings.bytes();
  stats.let_go = settings.let_go();
  stats.digest = settings.digest();
  for (const auto& [id, peer] : peers) {
    if (!peer.settings_differ_since || !state.members.at(id).serving() ||
        peer.settings_digest == settings.digest() || peer.settings_heard <= settings_changed_at) {
      continue;
    }
    ++stats.nodes_differing;
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - *peer.settings_differ_since);
    stats.differing_ms = std::max(stats.differing_ms, static_cast<std::uint64_t>(since.count()));
  }
  return stats;
}

}  // namespace gyre
