#include "ops/ring_file.h"

#include <pthread.h>

#include <cctype>
#include <charconv>
#include <chrono>
#include <sstream>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "proto/limits.h"

namespace gyre {
namespace {

constexpr char kRingFile[] = "ring";
constexpr std::string_view kMagic = "gyre-ring";
constexpr std::string_view kVersion = "2";
// More than kMembersMax lines of the longest names and addresses have.
constexpr std::size_t kBytesMax = std::size_t{4} << 20;
constexpr std::chrono::seconds kRetryInterval{5};
// Of a failure that lasts.
constexpr std::chrono::minutes kWarnInterval{1};

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string Encode(std::string_view text) {
  if (text.empty()) return "%";
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("._-:[]").find(c) != std::string_view::npos) {
      word += c;
    } else {
      word += '%';
      word += kHexDigits[byte >> 4];
      word += kHexDigits[byte & 0xf];
    }
  }
  return word;
}

std::optional<std::string> Decode(std::string_view word) {
  std::string text;
  if (word == "%") return text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%') {
      text += word[i];
      continue;
    }
    if (i + 2 >= word.size()) return std::nullopt;
    const std::size_t high = kHexDigits.find(word[i + 1]);
    const std::size_t low = kHexDigits.find(word[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    text += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return text;
}

template <typename Number>
bool Parse(std::string_view word, Number& number) {
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), number);
  return failure == std::errc() && end == word.data() + word.size();
}

std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::string_view PlaceName(const RingEntry& entry) {
  if (!entry.removed) return "present";
  if (entry.drained) return "drained";
  return entry.evicted ? "evicted" : "removed";
}

std::optional<RememberedMember> ParseMember(std::string_view line) {
  const std::vector<std::string_view> words = Split(line, ' ');
  if (words.size() != 10) return std::nullopt;
  RememberedMember member;
  const std::optional<NodeId> id = NodeId::Parse(words[0]);
  const auto zone = Decode(words[4]);
  const auto host = Decode(words[5]);
  const auto name = Decode(words[7]);
  const auto proof = Decode(words[8]);
  RingEntry& entry = member.entry;
  entry.removed = words[2] != "present";
  entry.evicted = words[2] == "evicted";
  entry.drained = words[2] == "drained";
  const bool known_place =
      !entry.removed || entry.evicted || entry.drained || words[2] == "removed";
  if (!id || !known_place || !zone || !host || host->empty() || !name || !proof ||
      !Parse(words[1], entry.revision) || !Parse(words[3], entry.weight) ||
      !Parse(words[6], member.port) || !Parse(words[9], entry.version_node)) {
    return std::nullopt;
  }
  entry.id = *id;
  entry.zone = *zone;
  entry.proof = *proof;
  member.host = *host;
  member.name = *name;
  return member;
}

tl::unexpected<Error> Damaged(const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, what);
}

}  // namespace

std::string FormatRing(const RingFileContents& contents) {
  std::ostringstream text;
  text << kMagic << ' ' << kVersion << ' ' << Encode(contents.cluster) << ' '
       << contents.self.ToString() << '\n';
  for (const RememberedMember& member : contents.ring.members) {
    const RingEntry& entry = member.entry;
    text << entry.id.ToString() << ' ' << entry.revision << ' ' << PlaceName(entry) << ' '
         << entry.weight << ' ' << Encode(entry.zone) << ' ' << Encode(member.host) << ' '
         << member.port << ' ' << Encode(member.name) << ' ' << Encode(entry.proof) << ' '
         << static_cast<unsigned>(entry.version_node) << '\n';
  }
  text << "end " << contents.ring.members.size() << '\n';
  return text.str();
}

Result<RingFileContents> ParseRing(std::string_view text) {
  if (text.empty() || text.back() != '\n') return Damaged("its end is missing");
  const std::vector<std::string_view> lines = Split(text, '\n');
  const std::vector<std::string_view> head = Split(lines.front(), ' ');
  if (head.size() != 4 || head[0] != kMagic) return Damaged("it does not begin as such a file");
  if (head[1] != kVersion) return Damaged("it is of another version");
  RingFileContents contents;
  const auto cluster = Decode(head[2]);
  const auto self = NodeId::Parse(head[3]);
  if (!cluster || !self) return Damaged("line 1 cannot be read");
  contents.cluster = *cluster;
  contents.self = *self;
  if (lines.size() < 2) return Damaged("its end is missing");
  const std::size_t members = lines.size() - 2;
  if (members > kMembersMax) return Damaged("it has too many members");
  if (lines.back() != "end " + std::to_string(members)) return Damaged("its end is missing");
  for (std::size_t i = 1; i <= members; ++i) {
    std::optional<RememberedMember> member = ParseMember(lines[i]);
    if (!member) return Damaged("line " + std::to_string(i + 1) + " cannot be read");
    contents.ring.members.push_back(std::move(*member));
  }
  return contents;
}

RingFile::RingFile(const std::string& directory, std::string cluster, NodeId self)
    : path_(directory + "/" + kRingFile), cluster_(std::move(cluster)), self_(self) {}

RingFile::~RingFile() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<std::optional<RememberedRing>> RingFile::Read() const {
  Result<std::optional<File>> file = OpenToRead(path_, Links::kRefuse);
  if (!file) return tl::unexpected(file.error());
  if (!*file) return std::nullopt;
  const Result<std::string> text = ReadAll(**file, path_, kBytesMax);
  if (!text) return tl::unexpected(text.error());
  Result<RingFileContents> contents = ParseRing(*text);
  if (!contents) {
    return Damaged(path_ +
                   ", the ring that this node belongs to, is damaged: " + contents.error().message);
  }
  if (contents->cluster != cluster_) {
    GYRE_LOG_WARN("the remembered ring is forgotten: it is of the cluster '{}', not '{}'",
                  contents->cluster, cluster_);
    return std::nullopt;
  }
  // An identity that was deleted does not come back.
  std::erase_if(contents->ring.members, [&](const RememberedMember& member) {
    return contents->self != self_ && member.entry.id == contents->self;
  });
  return std::move(contents->ring);
}

void RingFile::Keep(RememberedRing ring) {
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(ring);
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  }
  changed_.notify_one();
}

void RingFile::Run() {
  pthread_setname_np(pthread_self(), "gyre-ring-file");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || next_; });
    if (!next_) return;
    const RememberedRing ring = *std::exchange(next_, std::nullopt);
    lock.unlock();
    const bool written = Write(ring);
    lock.lock();
    if (written || next_) continue;  // or there is a newer one
    if (ending_) return;
    next_ = ring;
    changed_.wait_for(lock, kRetryInterval, [&] { return ending_ || *next_ != ring; });
  }
}

bool RingFile::Write(const RememberedRing& ring) {
  const Status written = ReplaceFile(path_, FormatRing({cluster_, self_, ring}));
  if (written) {
    ++writes_;
    return true;
  }
  const std::uint64_t failures = ++failures_;
  constexpr auto kEach = static_cast<std::uint64_t>(kWarnInterval / kRetryInterval);
  if (failures % kEach == 1) {
    GYRE_LOG_WARN("the ring cannot be remembered, so after a restart this node may not find it: {}",
                  written.error().message);
  }
  return false;
}

}  // namespace gyre
