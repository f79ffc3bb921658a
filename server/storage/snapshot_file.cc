#include "storage/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace gyre {
namespace {

// Begun on its way to the disk so often, so that the sync at the end does not wait for all of it.
constexpr std::uint64_t kWriteBackBytes = std::uint64_t{8} << 20;

std::string Reason(int error) { return std::strerror(error); }

Status CheckRoom(const std::string& directory, std::uint64_t bytes_least) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) return {};  // then the writing will tell
  const std::uint64_t room = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (room >= bytes_least) return {};
  return Fail(ErrorCode::kIo, "the disk of " + directory + " has " + std::to_string(room >> 20) +
                                  " MiB left, at least " + std::to_string(bytes_least >> 20) +
                                  " are needed");
}

}  // namespace

SnapshotFile::SnapshotFile(const std::string& directory)
    : directory_(directory),
      path_(directory + "/snapshot"),
      new_path_(path_ + ".new"),
      refused_path_(path_ + ".refused") {}

Result<std::uint64_t> SnapshotFile::Write(
    std::uint64_t bytes_least,
    const std::function<Status(const SnapshotWriter::Sink&)>& produce) const {
  if (Status room = CheckRoom(directory_, bytes_least); !room) return tl::unexpected(room.error());
  Result<File> file = CreateNew(new_path_);
  if (!file) return tl::unexpected(file.error());
  std::uint64_t bytes = 0;
  std::uint64_t sent = 0;
  const auto sink = [&](std::string_view part) -> Status {
    if (Status written = WriteAll(*file, part); !written) return written;
    bytes += part.size();
    if (bytes - sent >= kWriteBackBytes) {
      ::sync_file_range(file->descriptor(), static_cast<off_t>(sent),
                        static_cast<off_t>(bytes - sent), SYNC_FILE_RANGE_WRITE);
      sent = bytes;
    }
    return {};
  };
  Status status = produce(sink);
  if (status) status = Sync(*file);
  if (const Status closed = file->Close(); status) status = closed;
  if (!status) {
    ::unlink(new_path_.c_str());
    return Fail(status.error().code, "cannot write " + new_path_ + ": " + status.error().message);
  }
  if (Status renamed = RenameDurably(new_path_, path_); !renamed) {
    ::unlink(new_path_.c_str());
    return tl::unexpected(renamed.error());
  }
  return bytes;
}

Result<std::unique_ptr<SnapshotFile::Opened>> SnapshotFile::Open() const {
  Result<std::optional<File>> found = OpenToRead(path_, Links::kRefuse);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return nullptr;
  auto file = std::make_shared<File>(std::move(**found));
  struct stat info {};
  if (::fstat(file->descriptor(), &info) != 0) {
    return Fail(ErrorCode::kIo, "cannot read " + path_ + ": " + Reason(errno));
  }
  ::posix_fadvise(file->descriptor(), 0, 0, POSIX_FADV_SEQUENTIAL);
  auto opened = std::make_unique<Opened>();
  opened->bytes = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  opened->source = [file](char* to, std::size_t size) -> Result<std::size_t> {
    std::size_t read = 0;
    while (read < size) {
      const Result<std::size_t> got = ReadSome(*file, to + read, size - read);
      if (!got) return Fail(ErrorCode::kIo, "it cannot be read: " + got.error().message);
      if (*got == 0) break;
      read += *got;
    }
    return read;
  };
  return opened;
}

Status SnapshotFile::Remove() const {
  if (::unlink(path_.c_str()) != 0) {
    return Fail(ErrorCode::kIo, "cannot remove " + path_ + ": " + Reason(errno));
  }
  return SyncDirectory(directory_);
}

Status SnapshotFile::SetAside() const { return RenameDurably(path_, refused_path_); }

bool SnapshotFile::RemoveHalf() const { return ::unlink(new_path_.c_str()) == 0; }

}  // namespace gyre
