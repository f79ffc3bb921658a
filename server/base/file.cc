#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace gyre {
namespace {

tl::unexpected<Error> Failed(const std::string& what, int error) {
  return Fail(ErrorCode::kIo, what + ": " + std::strerror(error));
}

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Status File::Close() {
  if (descriptor_ < 0) return {};
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    return Fail(ErrorCode::kIo, std::strerror(errno));
  }
  return {};
}

Result<std::optional<File>> OpenToRead(const std::string& path, Links links) {
  const int nofollow = links == Links::kRefuse ? O_NOFOLLOW : 0;
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | nofollow));
  if (file.descriptor() < 0) {
    if (errno == ENOENT) return std::nullopt;
    if (errno == ELOOP && links == Links::kRefuse) {
      return Fail(ErrorCode::kIo, path + " is a symbolic link: a regular file is wanted there");
    }
    return Failed("cannot read " + path, errno);
  }
  // What is checked is what is read: the open file, whatever its name means a moment later.
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return Failed("cannot read " + path, errno);
  if (!S_ISREG(facts.st_mode)) {
    return Fail(ErrorCode::kIo,
                path + (S_ISDIR(facts.st_mode) ? " is a directory" : " is not a regular file"));
  }
  return file;
}

Result<File> CreateNew(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return Failed("cannot replace " + path, errno);
  File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.descriptor() < 0) return Failed("cannot write " + path, errno);
  return file;
}

Result<std::size_t> ReadSome(const File& file, char* to, std::size_t size) {
  for (;;) {
    const ssize_t count = ::read(file.descriptor(), to, size);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return Fail(ErrorCode::kIo, std::strerror(errno));
  }
}

Result<std::string> ReadAll(const File& file, const std::string& path, std::size_t bytes_max) {
  std::string text(bytes_max + 1, '\0');
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const Result<std::size_t> count = ReadSome(file, text.data() + bytes, text.size() - bytes);
    if (!count) return Fail(ErrorCode::kIo, "cannot read " + path + ": " + count.error().message);
    if (*count == 0) break;
    bytes += *count;
  }
  if (bytes > bytes_max) {
    return Fail(ErrorCode::kTooLarge,
                path + " is longer than " + std::to_string(bytes_max) + " bytes");
  }
  text.resize(bytes);
  return text;
}

Status WriteAll(const File& file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.descriptor(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Fail(ErrorCode::kIo, std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status Sync(const File& file) {
  if (::fsync(file.descriptor()) != 0) return Fail(ErrorCode::kIo, std::strerror(errno));
  return {};
}

Status SyncDirectory(const std::string& directory) {
  const File file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.descriptor() < 0 || ::fsync(file.descriptor()) != 0) {
    return Failed("cannot sync " + directory, errno);
  }
  return {};
}

Status RenameDurably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return Failed("cannot rename " + from + " to " + to, errno);
  }
  return SyncDirectory(DirectoryOf(to));
}

Status ReplaceFile(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  Result<File> file = CreateNew(fresh);
  if (!file) return tl::unexpected(file.error());
  Status status = WriteAll(*file, text);
  if (status) status = Sync(*file);
  if (const Status closed = file->Close(); status) status = closed;
  if (!status) {
    ::unlink(fresh.c_str());
    return Fail(ErrorCode::kIo, "cannot write " + fresh + ": " + status.error().message);
  }
  return RenameDurably(fresh, path);
}

}  // namespace gyre
