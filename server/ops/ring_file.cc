#include "ops/ring_file.h"

#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ops/word_file.h"
#include "proto/limits.h"

namespace gyre {
namespace {

constexpr char kRingFile[] = "ring";
// More bytes than kMembersMax lines of the longest names and addresses have.
constexpr WordFileForm kRingForm{.magic = "gyre-ring",
                                 .version = "2",
                                 .head_words = 2,
                                 .lines_max = kMembersMax,
                                 .bytes_max = std::size_t{4} << 20};

std::string_view PlaceName(const RingEntry& entry) {
  if (!entry.removed) return "present";
  if (entry.drained) return "drained";
  return entry.evicted ? "evicted" : "removed";
}

std::optional<RememberedMember> ParseMember(const std::vector<std::string_view>& words) {
  if (words.size() != 10) return std::nullopt;
  RememberedMember member;
  const std::optional<NodeId> id = NodeId::Parse(words[0]);
  const auto zone = DecodeWord(words[4]);
  const auto host = DecodeWord(words[5]);
  const auto name = DecodeWord(words[7]);
  const auto proof = DecodeWord(words[8]);
  RingEntry& entry = member.entry;
  entry.removed = words[2] != "present";
  entry.evicted = words[2] == "evicted";
  entry.drained = words[2] == "drained";
  const bool known_place =
      !entry.removed || entry.evicted || entry.drained || words[2] == "removed";
  if (!id || !known_place || !zone || !host || host->empty() || !name || !proof ||
      !ParseWord(words[1], entry.revision) || !ParseWord(words[3], entry.weight) ||
      !ParseWord(words[6], member.port) || !ParseWord(words[9], entry.version_node)) {
    return std::nullopt;
  }
  entry.id = *id;
  entry.zone = *zone;
  entry.proof = *proof;
  member.host = *host;
  member.name = *name;
  return member;
}

}  // namespace

std::string FormatRing(const RingFileContents& contents) {
  std::ostringstream lines;
  for (const RememberedMember& member : contents.ring.members) {
    const RingEntry& entry = member.entry;
    lines << entry.id.ToString() << ' ' << entry.revision << ' ' << PlaceName(entry) << ' '
          << entry.weight << ' ' << EncodeWord(entry.zone) << ' ' << EncodeWord(member.host) << ' '
          << member.port << ' ' << EncodeWord(member.name) << ' ' << EncodeWord(entry.proof) << ' '
          << static_cast<unsigned>(entry.version_node) << '\n';
  }
  return FormatWordFile(kRingForm, EncodeWord(contents.cluster) + ' ' + contents.self.ToString(),
                        lines.str(), contents.ring.members.size());
}

Result<RingFileContents> ParseRing(std::string_view text) {
  const Result<WordFile> file = ParseWordFile(text, kRingForm);
  if (!file) return tl::unexpected(file.error());
  const auto cluster = DecodeWord(file->head[0]);
  const auto self = NodeId::Parse(file->head[1]);
  if (!cluster || !self) return BadHead();
  RingFileContents contents{*cluster, *self, {}};
  for (std::size_t i = 0; i < file->lines.size(); ++i) {
    std::optional<RememberedMember> member = ParseMember(file->lines[i]);
    if (!member) return BadLine(i);
    contents.ring.members.push_back(std::move(*member));
  }
  return contents;
}

RingFile::RingFile(const std::string& directory, std::string cluster, NodeId self,
                   FileWriter& writer)
    : path_(directory + "/" + kRingFile),
      cluster_(std::move(cluster)),
      self_(self),
      writer_(writer),
      file_(writer.Add(
          path_, "the ring cannot be remembered, so after a restart this node may not find it")) {}

Result<std::optional<RememberedRing>> RingFile::Read() const {
  const Result<std::optional<std::string>> text = ReadWordFile(path_, kRingForm);
  if (!text) return tl::unexpected(text.error());
  if (!*text) return std::nullopt;
  Result<RingFileContents> contents = ParseRing(**text);
  if (!contents) {
    return Fail(
        ErrorCode::kInvalidArgument,
        path_ + ", the ring that this node belongs to, is damaged: " + contents.error().message);
  }
  if (contents->cluster != cluster_) {
    LogWarn("the remembered ring is forgotten: it is of another cluster",
            {{"remembered", contents->cluster}, {"cluster", cluster_}});
    return std::nullopt;
  }
  // An identity that was deleted does not come back.
  std::erase_if(contents->ring.members, [&](const RememberedMember& member) {
    return contents->self != self_ && member.entry.id == contents->self;
  });
  return std::move(contents->ring);
}

void RingFile::Keep(RememberedRing ring) {
  auto contents =
      std::make_shared<const RingFileContents>(RingFileContents{cluster_, self_, std::move(ring)});
  writer_.Keep(file_, [contents = std::move(contents)] { return FormatRing(*contents); });
}

RingFileStats RingFile::stats() const {
  const FileWriter::Stats stats = writer_.stats(file_);
  return {stats.writes, stats.failures};
}

}  // namespace gyre
