#include "settings/settings_codec.h"

#include <algorithm>
#include <vector>

namespace gyre {
namespace {

// Far beyond any clock, and one more never overflows.
constexpr std::uint64_t kMillisMax = std::uint64_t{1} << 62;

}  // namespace

void ToWire(const Setting& setting, wire::Setting& message) {
  message.set_name(setting.name);
  message.set_ms(setting.stamp.ms);
  message.set_count(setting.stamp.count);
  message.set_by(std::string(setting.stamp.by.raw()));
  message.set_unset(!setting.value);
  if (setting.value) message.set_value(*setting.value);
  message.set_proof(setting.proof);
}

std::optional<Setting> FromWire(const wire::Setting& message) {
  const auto by = NodeId::FromBytes(message.by());
  if (!by || !IsSettingName(message.name()) || message.value().size() > kSettingValueBytesMax ||
      (message.unset() && !message.value().empty()) || message.ms() > kMillisMax ||
      message.proof().size() > kSettingProofBytesMax) {
    return std::nullopt;
  }
  Setting setting{message.name(), {message.ms(), message.count(), *by}, {}, message.proof()};
  if (!message.unset()) setting.value = message.value();
  return setting;
}

std::string WordsOf(const Setting& setting) {
  wire::Setting message;
  ToWire(setting, message);
  message.clear_proof();
  return message.SerializeAsString();
}

void WritePart(const SettingsMap& settings, SettingsSections sections, std::uint64_t turn,
               wire::SettingsPart& part) {
  if (settings.count() == 0) return;
  for (const std::uint64_t digest : settings.section_digests()) part.add_section_digests(digest);
  if (sections == 0) return;
  std::vector<const Setting*> wanted;
  for (const auto& [name, setting] : settings.registers()) {
    if ((sections >> SettingsMap::SectionOf(name) & 1) != 0) wanted.push_back(&setting);
  }
  if (wanted.empty()) return;
  std::rotate(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(turn % wanted.size()),
              wanted.end());
  std::size_t bytes = 0;
  for (const Setting* setting : wanted) {
    bytes += setting->bytes();
    if (bytes > kSettingsPartBytesMax) return part.set_more(true);
    ToWire(*setting, *part.add_settings());
  }
}

SettingsSections Differing(const SettingsMap& settings, const wire::SettingsPart& part) {
  SettingsSections differing = 0;
  const auto& theirs = part.section_digests();
  for (std::size_t i = 0; i < kSettingsSections; ++i) {
    const bool said = theirs.size() == static_cast<int>(kSettingsSections);
    const std::uint64_t digest = said ? theirs[static_cast<int>(i)] : 0;
    if (digest != settings.section_digests()[i]) differing |= SettingsSections{1} << i;
  }
  return differing;
}

}  // namespace gyre
