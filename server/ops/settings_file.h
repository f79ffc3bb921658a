// The ring's settings as this node had them last, in the data directory: a ring that was stopped has
// them again, and a node that comes back knows them before it meets another (settings/settings.h).
//
// Text, a line a setting, at most kSettingsMax of them (word_file.h):
//
//   gyre-settings 1 <cluster>
//   <name> <ms> <count> <id of the node that was told> set|unset <value> <proof>
//   end <settings>
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/statistic.h"
#include "ops/file_writer.h"
#include "proto/result.h"
#include "settings/settings.h"

namespace gyre {

struct SettingsFileContents {
  std::string cluster;
  std::vector<Setting> settings;
};
std::string FormatSettings(const SettingsFileContents& contents);
// The error says what is wrong with the text.
Result<SettingsFileContents> ParseSettings(std::string_view text);

struct SettingsFileStats {
  std::uint64_t writes = 0;
  std::uint64_t failures = 0;

  static constexpr Statistic<SettingsFileStats> kStatistics[] = {
      {&SettingsFileStats::writes,
       {.name = "gyre_settings_file_writes_total",
        .help = "Times that the ring's settings were written to --data-dir."}},
      {&SettingsFileStats::failures,
       {.name = "gyre_settings_file_failures_total",
        .help = "Attempts to do so that failed: after a restart this node knows older ones."}},
  };
};
static_assert(AllDescribed<SettingsFileStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class SettingsFile {
 public:
  // `directory` exists; `writer` outlives it.
  SettingsFile(const std::string& directory, std::string cluster, FileWriter& writer);

  // What an earlier life kept; nothing if there was none, or it belonged to another cluster (that is
  // logged). A file that cannot be read is set aside, as "settings.damaged", with a warning: the other
  // nodes have the same. Blocks on the disk.
  std::vector<Setting> Read() const;

  // From now on these are the settings to remember. Any thread; never waits for the disk.
  void Keep(const SettingsMap& settings);

  SettingsFileStats stats() const;

 private:
  const std::string path_;
  const std::string cluster_;
  FileWriter& writer_;
  const FileWriter::File file_;
};

}  // namespace gyre
