// Settings to and from their messages (cluster.proto). Nothing of a peer is believed before every
// field was checked against the bounds of settings.h; who signed it is membership's to check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "proto_gen/cluster.pb.h"
#include "settings/settings.h"

namespace gyre {

// Of a proof; those of nodes have one length (membership/signer.h).
inline constexpr std::size_t kSettingProofBytesMax = 128;

void ToWire(const Setting& setting, wire::Setting& message);
// Nothing if a field is out of bounds.
std::optional<Setting> FromWire(const wire::Setting& message);
// What its proof is a proof of.
std::string WordsOf(const Setting& setting);

// A bit for each section.
using SettingsSections = std::uint64_t;
static_assert(kSettingsSections == 64);

// Of one message, so that it finds room in any frame. Beyond it the next exchange goes on.
inline constexpr std::size_t kSettingsPartBytesMax = std::size_t{256} << 10;

// The digests (none: there are no settings), and the settings of `sections`: all of them, or as many as there is room for, others at
// another `turn` (any number).
void WritePart(const SettingsMap& settings, SettingsSections sections, std::uint64_t turn,
               wire::SettingsPart& part);
// The sections in which the sender of `part` differs from `settings`.
SettingsSections Differing(const SettingsMap& settings, const wire::SettingsPart& part);

}  // namespace gyre
