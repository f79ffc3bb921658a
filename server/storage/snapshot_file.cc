#include "storage/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace gyre {
namespace {

// Begun on its way to the disk so often, so that the sync at the end does not wait for all of it.
constexpr std::uint64_t kWriteBackBytes = std::uint64_t{8} << 20;

std::string Reason(int error) { return std::strerror(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  // An error that the file system kept until now.
  int Close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

Status SyncDirectory(const std::string& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) {
    return Fail(ErrorCode::kIo, "cannot sync " + directory + ": " + Reason(errno));
  }
  return {};
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Fail(ErrorCode::kIo, Reason(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

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
  Descriptor fd(::open(new_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) return Fail(ErrorCode::kIo, "cannot write " + new_path_ + ": " + Reason(errno));
  std::uint64_t bytes = 0;
  std::uint64_t sent = 0;
  const auto sink = [&](std::string_view part) -> Status {
    if (Status written = WriteAll(fd.get(), part); !written) return written;
    bytes += part.size();
    if (bytes - sent >= kWriteBackBytes) {
      ::sync_file_range(fd.get(), static_cast<off_t>(sent), static_cast<off_t>(bytes - sent),
                        SYNC_FILE_RANGE_WRITE);
      sent = bytes;
    }
    return {};
  };
  Status status = produce(sink);
  if (status && ::fsync(fd.get()) != 0) status = Fail(ErrorCode::kIo, Reason(errno));
  if (fd.Close() != 0 && status) status = Fail(ErrorCode::kIo, Reason(errno));
  if (status && ::rename(new_path_.c_str(), path_.c_str()) != 0) {
    status = Fail(ErrorCode::kIo, Reason(errno));
  }
  if (!status) {
    ::unlink(new_path_.c_str());
    return Fail(status.error().code, "cannot write " + new_path_ + ": " + status.error().message);
  }
  if (Status synced = SyncDirectory(directory_); !synced) return tl::unexpected(synced.error());
  return bytes;
}

Result<std::unique_ptr<SnapshotFile::Opened>> SnapshotFile::Open() const {
  auto fd = std::make_shared<Descriptor>(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd->get() < 0 && errno == ENOENT) return nullptr;
  struct stat info {};
  if (fd->get() < 0 || ::fstat(fd->get(), &info) != 0) {
    return Fail(ErrorCode::kIo, "cannot read " + path_ + ": " + Reason(errno));
  }
  ::posix_fadvise(fd->get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  auto opened = std::make_unique<Opened>();
  opened->bytes = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  opened->source = [fd](char* to, std::size_t size) -> Result<std::size_t> {
    std::size_t read = 0;
    while (read < size) {
      const ssize_t got = ::read(fd->get(), to + read, size - read);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Fail(ErrorCode::kIo, "it cannot be read: " + Reason(errno));
      if (got == 0) break;
      read += static_cast<std::size_t>(got);
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

Status SnapshotFile::SetAside() const {
  if (::rename(path_.c_str(), refused_path_.c_str()) != 0) {
    return Fail(ErrorCode::kIo,
                "cannot rename " + path_ + " to " + refused_path_ + ": " + Reason(errno));
  }
  return SyncDirectory(directory_);
}

bool SnapshotFile::RemoveHalf() const { return ::unlink(new_path_.c_str()) == 0; }

}  // namespace gyre
