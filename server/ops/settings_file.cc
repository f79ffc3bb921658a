#include "ops/settings_file.h"

#include <memory>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "ops/word_file.h"
#include "settings/settings_codec.h"

namespace gyre {
namespace {

constexpr char kSettingsFile[] = "settings";
// A byte of a value is three at most here, and so is one of a name or a proof.
constexpr WordFileForm kSettingsForm{
    .magic = "gyre-settings",
    .version = "1",
    .head_words = 1,
    .lines_max = kSettingsMax,
    .bytes_max = 3 * kSettingsBytesMax +
                 kSettingsMax * (3 * (kSettingNameBytesMax + kSettingProofBytesMax) + 128)};

std::optional<Setting> ParseSetting(const std::vector<std::string_view>& words) {
  if (words.size() != 7) return std::nullopt;
  Setting setting;
  const auto name = DecodeWord(words[0]);
  const auto by = NodeId::Parse(words[3]);
  const auto value = DecodeWord(words[5]);
  const auto proof = DecodeWord(words[6]);
  const bool set = words[4] == "set";
  if (!name || !IsSettingName(*name) || !by || !value || !proof ||
      !(set || (words[4] == "unset" && value->empty())) || value->size() > kSettingValueBytesMax ||
      proof->size() > kSettingProofBytesMax || !ParseWord(words[1], setting.stamp.ms) ||
      !ParseWord(words[2], setting.stamp.count)) {
    return std::nullopt;
  }
  setting.name = *name;
  setting.stamp.by = *by;
  setting.proof = *proof;
  if (set) setting.value = *value;
  return setting;
}

Result<SettingsFileContents> ReadSettingsFile(const std::string& path) {
  const Result<std::optional<std::string>> text = ReadWordFile(path, kSettingsForm);
  if (!text) return tl::unexpected(text.error());
  return *text ? ParseSettings(**text) : SettingsFileContents{};
}

}  // namespace

std::string FormatSettings(const SettingsFileContents& contents) {
  std::ostringstream lines;
  for (const Setting& setting : contents.settings) {
    lines << EncodeWord(setting.name) << ' ' << setting.stamp.ms << ' ' << setting.stamp.count
          << ' ' << setting.stamp.by.ToString() << ' ' << (setting.value ? "set" : "unset") << ' '
          << EncodeWord(setting.value.value_or("")) << ' ' << EncodeWord(setting.proof) << '\n';
  }
  return FormatWordFile(kSettingsForm, EncodeWord(contents.cluster), lines.str(),
                        contents.settings.size());
}

Result<SettingsFileContents> ParseSettings(std::string_view text) {
  const Result<WordFile> file = ParseWordFile(text, kSettingsForm);
  if (!file) return tl::unexpected(file.error());
  const auto cluster = DecodeWord(file->head[0]);
  if (!cluster) return BadHead();
  SettingsFileContents contents{*cluster, {}};
  for (std::size_t i = 0; i < file->lines.size(); ++i) {
    std::optional<Setting> setting = ParseSetting(file->lines[i]);
    if (!setting) return BadLine(i);
    contents.settings.push_back(std::move(*setting));
  }
  return contents;
}

SettingsFile::SettingsFile(const std::string& directory, std::string cluster, FileWriter& writer)
    : path_(directory + "/" + kSettingsFile),
      cluster_(std::move(cluster)),
      writer_(writer),
      file_(writer.Add(path_,
                       "the ring's settings cannot be written, so after a restart this node begins "
                       "with older ones")) {}

std::vector<Setting> SettingsFile::Read() const {
  Result<SettingsFileContents> contents = ReadSettingsFile(path_);
  if (!contents) {
    const std::string aside = path_ + ".damaged";
    const Status moved = RenameDurably(path_, aside);
    LogWarn("the kept settings of the ring cannot be read: the other nodes have them",
            {{"file", path_},
             {"error", contents.error().message},
             {"set_aside", moved ? aside : moved.error().message}});
    return {};
  }
  if (!contents->settings.empty() && contents->cluster != cluster_) {
    LogWarn("the kept settings of the ring are forgotten: they are of another cluster",
            {{"kept", contents->cluster}, {"cluster", cluster_}});
    return {};
  }
  return std::move(contents->settings);
}

void SettingsFile::Keep(const SettingsMap& settings) {
  auto contents = std::make_shared<SettingsFileContents>();
  contents->cluster = cluster_;
  for (const auto& [name, setting] : settings.registers()) contents->settings.push_back(setting);
  writer_.Keep(file_, [contents = std::move(contents)] { return FormatSettings(*contents); });
}

SettingsFileStats SettingsFile::stats() const {
  const FileWriter::Stats stats = writer_.stats(file_);
  return {stats.writes, stats.failures};
}

}  // namespace gyre
