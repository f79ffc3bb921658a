#include "ops/key_hash_file.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "ops/word_file.h"

namespace gyre {
namespace {

constexpr char kKeyHashFile[] = "key-hash";
// A byte of the secret and of the cluster's name is three at most here.
constexpr WordFileForm kKeyHashForm{
    .magic = "gyre-key-hash", .version = "1", .head_words = 4, .lines_max = 0, .bytes_max = 8192};

Result<KeyHashFileContents> ReadKeyHashFile(const std::string& path) {
  const Result<std::optional<std::string>> text = ReadWordFile(path, kKeyHashForm);
  if (!text) return tl::unexpected(text.error());
  return *text ? ParseKeyHash(**text) : KeyHashFileContents{};
}

}  // namespace

std::string FormatKeyHash(const std::string& cluster, const KeyHash& hash) {
  return FormatWordFile(kKeyHashForm,
                        EncodeWord(cluster) + ' ' + std::to_string(hash.id().created_ms) + ' ' +
                            std::to_string(hash.id().tag) + ' ' + EncodeWord(hash.secret()),
                        /*lines=*/"", /*line_count=*/0);
}

Result<KeyHashFileContents> ParseKeyHash(std::string_view text) {
  const Result<WordFile> file = ParseWordFile(text, kKeyHashForm);
  if (!file) return tl::unexpected(file.error());
  const std::optional<std::string> cluster = DecodeWord(file->head[0]);
  const std::optional<std::string> secret = DecodeWord(file->head[3]);
  KeyHashId id;
  if (!cluster || !secret || secret->size() != KeyHash::kSecretBytes ||
      !ParseWord(file->head[1], id.created_ms) || !ParseWord(file->head[2], id.tag) ||
      id.is_plain()) {
    return BadHead();
  }
  return KeyHashFileContents{*cluster, std::make_shared<const KeyHash>(id, *secret)};
}

KeyHashFile::KeyHashFile(const std::string& directory, std::string cluster, FileWriter& writer)
    : path_(directory + "/" + kKeyHashFile),
      cluster_(std::move(cluster)),
      writer_(writer),
      file_(writer.Add(path_,
                       "the ring's secret for the hash of keys cannot be written, so after a "
                       "restart this node takes it from another")) {}

std::shared_ptr<const KeyHash> KeyHashFile::Read() const {
  Result<KeyHashFileContents> contents = ReadKeyHashFile(path_);
  if (!contents) {
    LogWarn(
        "the ring's secret for the hash of keys cannot be read: it is taken from another node, or "
        "made anew",
        {{"file", path_}, {"error", contents.error().message}});
    return nullptr;
  }
  if (contents->hash != nullptr && contents->cluster != cluster_) {
    LogWarn("the kept secret for the hash of keys is forgotten: it is of another cluster",
            {{"kept", contents->cluster}, {"cluster", cluster_}});
    return nullptr;
  }
  return std::move(contents->hash);
}

void KeyHashFile::Keep(std::shared_ptr<const KeyHash> hash) {
  writer_.Keep(file_, [cluster = cluster_, hash = std::move(hash)] {
    return FormatKeyHash(cluster, *hash);
  });
}

KeyHashFileStats KeyHashFile::stats() const {
  const FileWriter::Stats stats = writer_.stats(file_);
  return {stats.writes, stats.failures};
}

}  // namespace gyre
