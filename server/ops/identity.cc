#include "ops/identity.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>

namespace gyre {
namespace {

constexpr char kFileName[] = "identity";
constexpr char kLockName[] = "lock";

std::string Reason() { return std::strerror(errno); }

NodeId DrawNodeId() {
  std::random_device device;
  std::array<std::uint8_t, 16> random;
  for (std::uint8_t& byte : random) byte = static_cast<std::uint8_t>(device());
  return NodeIdFromRandom(random);
}

// The file holds one line: "<uuid> <incarnation>".
Result<std::optional<Identity>> Read(const std::filesystem::path& path) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) return std::nullopt;
  std::ifstream file(path);
  std::string uuid;
  std::uint64_t incarnation = 0;
  const bool readable = static_cast<bool>(file >> uuid >> incarnation);
  const std::optional<NodeId> id = NodeId::Parse(uuid);
  if (!readable || !id) {
    return Fail(ErrorCode::kInvalidArgument,
                path.string() + " is damaged: restore it, or delete it to start as a new node");
  }
  return Identity{*id, incarnation, true};
}

Status WriteSynced(const std::filesystem::path& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(ErrorCode::kIo, "cannot write " + path.string() + ": " + Reason());
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool synced = written == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const std::string reason = synced ? "" : Reason();
  ::close(fd);
  if (!synced) return Fail(ErrorCode::kIo, "cannot write " + path.string() + ": " + reason);
  return {};
}

// Holds an advisory lock for the life of the process (the descriptor is closed by its end).
Status LockDirectory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kLockName;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(ErrorCode::kIo, "cannot open " + path.string() + ": " + Reason());
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return Fail(ErrorCode::kIo, "--data-dir " + directory.string() +
                                    " is used by another gyred: give each node its own");
  }
  return {};
}

}  // namespace

Result<Identity> LoadIdentity(const std::string& data_dir, UnixMillis now) {
  const auto wall = static_cast<std::uint64_t>(now);
  if (data_dir.empty()) return Identity{DrawNodeId(), wall, false};

  const std::filesystem::path directory(data_dir);
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) {
    return Fail(ErrorCode::kIo, "--data-dir " + data_dir + ": " + failure.message());
  }
  if (Status locked = LockDirectory(directory); !locked) return tl::unexpected(locked.error());

  const std::filesystem::path path = directory / kFileName;
  Result<std::optional<Identity>> saved = Read(path);
  if (!saved) return tl::unexpected(saved.error());
  Identity identity = saved->value_or(Identity{DrawNodeId(), 0, false});
  identity.incarnation = std::max(identity.incarnation + 1, wall);

  // A crash between the two steps leaves the old file or the new one, never half of one.
  const std::filesystem::path fresh = directory / (std::string(kFileName) + ".new");
  std::ostringstream line;
  line << identity.id.ToString() << ' ' << identity.incarnation << '\n';
  if (Status written = WriteSynced(fresh, line.str()); !written) {
    return tl::unexpected(written.error());
  }
  std::filesystem::rename(fresh, path, failure);
  if (failure)
    return Fail(ErrorCode::kIo, "cannot write " + path.string() + ": " + failure.message());
  return identity;
}

}  // namespace gyre
