#include "client/shell/backup_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr std::string_view kManifestName = "manifest.json";
constexpr std::string_view kNewManifestName = "manifest.json.new";
// A manifest has about 100 bytes for each file of data.
constexpr std::size_t kManifestBytesMax = std::size_t{64} << 20;
// Damaged blocks that one message names.
constexpr std::size_t kNamedDamagesMax = 8;

Error SystemError(const std::string& doing, const std::string& path, int number) {
  std::string message = "cannot " + doing + " " + path + ": " + std::strerror(number);
  if (number == ENOSPC || number == EDQUOT || number == EFBIG) {
    message += "; make room, or take another folder";
  }
  return {ErrorCode::kIo, std::move(message)};
}

std::string InFolder(const std::string& folder, std::string_view name) {
  return folder + "/" + std::string(name);
}

bool IsBackupFile(std::string_view name) {
  if (name == kManifestName || name == kNewManifestName) return true;
  return name.starts_with("data-") && name.ends_with(".gyb") &&
         name.substr(5, name.size() - 9).find_first_not_of("0123456789") == std::string_view::npos;
}

Result<std::vector<std::string>> ListFolder(const std::string& folder) {
  DIR* const directory = opendir(folder.c_str());
  if (directory == nullptr) return SystemError("read", folder, errno);
  std::vector<std::string> names;
  while (const dirent* const entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(directory);
  return names;
}

// A folder that is there and empty, or is made so.
std::optional<Error> PrepareFolder(const std::string& folder, bool force) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError("make the folder", folder, errno);
  }
  const Result<std::vector<std::string>> names = ListFolder(folder);
  if (!names) return names.error();
  if (names->empty()) return std::nullopt;
  bool finished = false;
  for (const std::string& name : *names) {
    if (!IsBackupFile(name)) {
      return Error{ErrorCode::kInvalidArgument,
                   folder + " has other files in it (" + Readable(name) +
                       "): take an empty folder, or one that is not there yet"};
    }
    finished |= name == kManifestName;
  }
  if (!force) {
    return Error{ErrorCode::kInvalidArgument,
                 folder + (finished ? " has a backup in it" : " has an unfinished backup in it") +
                     ": take another folder, or --force to replace it"};
  }
  // The manifest first: what is left after a crash is an unfinished backup.
  for (const bool manifest : {true, false}) {
    for (const std::string& name : *names) {
      if (name.starts_with(kManifestName) != manifest) continue;
      const std::string path = InFolder(folder, name);
      if (unlink(path.c_str()) != 0) return SystemError("remove", path, errno);
    }
  }
  return std::nullopt;
}

std::optional<Error> WriteFully(int file, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return std::nullopt;
}

// Whatever there is from `offset` on, up to `size`.
Result<std::size_t> ReadFrom(int file, std::uint64_t offset, char* to, std::size_t size,
                             const std::string& path) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t read = pread(file, to + done, size - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return SystemError("read", path, errno);
    if (read == 0) break;
    done += static_cast<std::size_t>(read);
  }
  return done;
}

Result<BackupId> DrawId() {
  BackupId id;
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return Error{ErrorCode::kIo,
                 std::string("the system gives no random bytes: ") + std::strerror(errno)};
  }
  return id;
}

}  // namespace

OwnedFile::~OwnedFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::optional<Error> SyncPath(const std::string& path) {
  const OwnedFile file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor() < 0) return SystemError("open", path, errno);
  if (fsync(file.descriptor()) != 0) return SystemError("sync", path, errno);
  return std::nullopt;
}

// ---- Writing ----------------------------------------------------------------------------------

Result<std::unique_ptr<BackupWriter>> BackupWriter::Create(const std::string& folder, bool force,
                                                           std::string match,
                                                           TransferCounts& counts,
                                                           std::uint64_t file_bytes) {
  if (std::optional<Error> error = PrepareFolder(folder, force)) return *std::move(error);
  const Result<BackupId> id = DrawId();
  if (!id) return id.error();
  std::unique_ptr<BackupWriter> writer(new BackupWriter(folder, file_bytes, counts));
  writer->manifest_.id = *id;
  writer->manifest_.match = std::move(match);
  writer->manifest_.started_ms = UnixNow();
  return writer;
}

BackupWriter::~BackupWriter() {
  if (!finished_) Abandon();
}

std::optional<Error> BackupWriter::Write(std::vector<Entry> batch) {
  for (const Entry& entry : batch) {
    block_.Add(entry);
    ++counts_.keys;
    counts_.bytes += entry.bytes();
    if (!block_.full()) continue;
    if (std::optional<Error> error = SealBlock()) return error;
  }
  return std::nullopt;
}

std::optional<Error> BackupWriter::Append(std::string_view bytes) {
  BackupFileInfo& info = manifest_.files.back();
  info.bytes += bytes.size();
  return WriteFully(file_.descriptor(), bytes, InFolder(folder_, info.name));
}

std::optional<Error> BackupWriter::SealBlock() {
  if (file_.descriptor() < 0) {
    const auto number = static_cast<std::uint32_t>(manifest_.files.size() + 1);
    const std::string name = BackupFileName(number);
    const std::string path = InFolder(folder_, name);
    // Never through a link that somebody put there.
    OwnedFile file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.descriptor() < 0) return SystemError("create", path, errno);
    file_ = std::move(file);
    manifest_.files.push_back({.name = name});
    if (std::optional<Error> error = Append(BackupFileHeader(manifest_.id, number))) return error;
  }
  BackupFileInfo& info = manifest_.files.back();
  info.keys += block_.records();
  const auto file_number = static_cast<std::uint32_t>(manifest_.files.size());
  const std::string block = block_.Seal(manifest_.id, file_number, info.blocks++);
  if (std::optional<Error> error = Append(block)) return error;
  return info.bytes >= file_bytes_ ? EndFile() : std::nullopt;
}

std::optional<Error> BackupWriter::EndFile() {
  if (file_.descriptor() < 0) return std::nullopt;
  const OwnedFile file = std::exchange(file_, OwnedFile());
  if (fsync(file.descriptor()) != 0) {
    return SystemError("sync", InFolder(folder_, manifest_.files.back().name), errno);
  }
  return std::nullopt;
}

std::optional<Error> BackupWriter::Finish() {
  if (block_.records() > 0) {
    if (std::optional<Error> error = SealBlock()) return error;
  }
  if (std::optional<Error> error = EndFile()) return error;
  manifest_.keys = counts_.keys;
  manifest_.bytes = counts_.bytes;
  manifest_.finished_ms = UnixNow();
  const std::string path = InFolder(folder_, kNewManifestName);
  {
    const OwnedFile file(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.descriptor() < 0) return SystemError("create", path, errno);
    if (auto error = WriteFully(file.descriptor(), manifest_.Encode(), path)) return error;
    if (fsync(file.descriptor()) != 0) return SystemError("sync", path, errno);
  }
  // The names of the data are on the disk before the manifest's is.
  if (std::optional<Error> error = SyncPath(folder_)) return error;
  if (rename(path.c_str(), InFolder(folder_, kManifestName).c_str()) != 0) {
    return SystemError("rename", path, errno);
  }
  finished_ = true;
  return SyncPath(folder_);
}

void BackupWriter::Abandon() {
  if (finished_) return;
  file_ = OwnedFile();
  (void)unlink(InFolder(folder_, kNewManifestName).c_str());
  for (const BackupFileInfo& info : manifest_.files) {
    (void)unlink(InFolder(folder_, info.name).c_str());
  }
  manifest_.files.clear();
}

// ---- Reading ----------------------------------------------------------------------------------

Result<std::unique_ptr<BackupReader>> BackupReader::Open(const std::string& folder,
                                                         bool skip_damaged,
                                                         TransferCounts& counts) {
  const std::string path = InFolder(folder, kManifestName);
  const OwnedFile file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor() < 0 && errno != ENOENT) return SystemError("read", path, errno);
  if (file.descriptor() < 0) {
    const Result<std::vector<std::string>> names = ListFolder(folder);
    if (!names) return names.error();
    for (const std::string& name : *names) {
      if (!IsBackupFile(name)) continue;
      return Error{ErrorCode::kInvalidArgument,
                   folder + " has a backup that was not finished: it has no manifest.json"};
    }
    return Error{ErrorCode::kInvalidArgument, folder + " has no backup in it"};
  }
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) return SystemError("read", path, errno);
  if (static_cast<std::uint64_t>(status.st_size) > kManifestBytesMax) {
    return Error{ErrorCode::kInvalidArgument, path + " is too large for a manifest"};
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const Result<std::size_t> read = ReadFrom(file.descriptor(), 0, text.data(), text.size(), path);
  if (!read) return read.error();
  text.resize(*read);
  Result<BackupManifest> manifest = BackupManifest::Decode(text);
  if (!manifest) return Error{manifest.error().code, folder + ": " + manifest.error().message};
  return std::unique_ptr<BackupReader>(
      new BackupReader(folder, std::move(*manifest), skip_damaged, counts));
}

Result<BackupFileReader> BackupReader::OpenFile(std::size_t index) {
  const BackupFileInfo& info = manifest_.files[index];
  const std::string path = InFolder(folder_, info.name);
  const auto file = std::make_shared<OwnedFile>(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file->descriptor() < 0 && errno != ENOENT) return SystemError("read", path, errno);
  if (file->descriptor() >= 0 && fstat(file->descriptor(), &status) != 0) {
    return SystemError("read", path, errno);
  }
  return BackupFileReader(
      [file, path](std::uint64_t offset, char* to, std::size_t size) -> Result<std::size_t> {
        return ReadFrom(file->descriptor(), offset, to, size, path);
      },
      static_cast<std::uint64_t>(status.st_size), manifest_.id,
      static_cast<std::uint32_t>(index + 1), info);
}

std::optional<Error> BackupReader::Verify() {
  std::string damages;
  std::size_t count = 0;
  for (std::size_t index = 0; index < manifest_.files.size(); ++index) {
    Result<BackupFileReader> file = OpenFile(index);
    if (!file) return file.error();
    while (true) {
      const Result<BackupFileReader::Step> step = file->Next();
      if (!step) return step.error();
      if (*step == BackupFileReader::Step::kEnd) break;
      if (*step != BackupFileReader::Step::kDamage) continue;
      if (++count <= kNamedDamagesMax) damages += (count > 1 ? "; " : "") + file->damage();
    }
  }
  if (count == 0) return std::nullopt;
  if (count > kNamedDamagesMax) {
    damages += "; and " + std::to_string(count - kNamedDamagesMax) + " more";
  }
  return Error{ErrorCode::kInvalidArgument, folder_ + " is damaged: " + damages +
                                                ". Nothing was stored; --skip-damaged restores "
                                                "the rest"};
}

Result<bool> BackupReader::Read(std::vector<Entry>& batch) {
  while (true) {
    if (!file_) {
      if (next_file_ == manifest_.files.size()) return false;
      Result<BackupFileReader> opened = OpenFile(next_file_++);
      if (!opened) return opened.error();
      file_.emplace(std::move(*opened));
    }
    const Result<BackupFileReader::Step> step = file_->Next();
    if (!step) return step.error();
    switch (*step) {
      case BackupFileReader::Step::kEnd:
        file_.reset();
        break;
      case BackupFileReader::Step::kDamage:
        if (!skip_damaged_) return Error{ErrorCode::kInvalidArgument, file_->damage()};
        // A header that is damaged costs no block, but is no less worth knowing.
        counts_.damaged_blocks += std::max(file_->lost(), std::uint32_t{1});
        counts_.NoteError(file_->damage());
        break;
      case BackupFileReader::Step::kBlock:
        keys_read_ += file_->entries().size();
        batch = std::move(file_->entries());
        return true;
    }
  }
}

}  // namespace gyre::client
