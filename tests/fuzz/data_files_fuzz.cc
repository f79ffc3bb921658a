// The small text files of --data-dir, whoever wrote into them: each is refused, or taken as what is
// written of it again. The first byte chooses the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ops/key_hash_file.h"
#include "ops/ring_file.h"
#include "ops/settings_file.h"
#include "proto/limits.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

void Require(bool holds) {
  if (!holds) std::abort();
}

void Ring(std::string_view text) {
  const Result<RingFileContents> ring = ParseRing(text);
  if (!ring) return;
  Require(ring->ring.members.size() <= kMembersMax);
  const std::string written = FormatRing(*ring);
  const Result<RingFileContents> again = ParseRing(written);
  Require(again.has_value() && FormatRing(*again) == written);
}

void Settings(std::string_view text) {
  const Result<SettingsFileContents> settings = ParseSettings(text);
  if (!settings) return;
  Require(settings->settings.size() <= kSettingsMax);
  const std::string written = FormatSettings(*settings);
  const Result<SettingsFileContents> again = ParseSettings(written);
  Require(again.has_value() && FormatSettings(*again) == written);
}

void Secret(std::string_view text) {
  const Result<KeyHashFileContents> kept = ParseKeyHash(text);
  if (!kept) return;
  const Result<KeyHashFileContents> again = ParseKeyHash(FormatKeyHash(kept->cluster, *kept->hash));
  Require(again.has_value() && again->cluster == kept->cluster &&
          again->hash->id() == kept->hash->id() && again->hash->secret() == kept->hash->secret());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Ring(text);
      break;
    case 1:
      Settings(text);
      break;
    default:
      Secret(text);
  }
  return 0;
}
