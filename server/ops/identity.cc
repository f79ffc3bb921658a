#include "ops/identity.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "base/file.h"
#include "crypto/node_key.h"

namespace gyre {
namespace {

constexpr char kIdentityFile[] = "identity";
constexpr char kLockName[] = "lock";
constexpr std::size_t kIdentityBytesMax = 256;

std::string Reason() { return std::strerror(errno); }

Identity DrawIdentity() {
  const Secret32 seed = NodeKey::DrawSeed();
  return {NodeKey(seed).id(), 0, false, seed};
}

std::string ToHex(const Secret32& seed) {
  std::string hex(2 * Secret32::size() + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), seed.data(), Secret32::size());
  hex.pop_back();
  return hex;
}

std::optional<Secret32> FromHex(const std::string& hex) {
  Secret32 seed;
  std::size_t bytes = 0;
  const char* end = nullptr;
  if (sodium_hex2bin(seed.data(), Secret32::size(), hex.data(), hex.size(), nullptr, &bytes,
                     &end) != 0 ||
      bytes != Secret32::size() || end != hex.data() + hex.size()) {
    return std::nullopt;
  }
  return seed;
}

// The file holds one line: "<uuid> <incarnation> <seed of the key, in hex>".
Result<std::optional<Identity>> Read(const std::string& path) {
  Result<std::optional<File>> file = OpenToRead(path, Links::kRefuse);
  if (!file) return tl::unexpected(file.error());
  if (!*file) return std::nullopt;
  const Result<std::string> text = ReadAll(**file, path, kIdentityBytesMax);
  if (!text && text.error().code != ErrorCode::kTooLarge) return tl::unexpected(text.error());
  std::istringstream words(text ? *text : std::string());
  std::string uuid;
  std::uint64_t incarnation = 0;
  std::string hex;
  const bool readable = static_cast<bool>(words >> uuid >> incarnation >> hex);
  const std::optional<NodeId> id = NodeId::Parse(uuid);
  const std::optional<Secret32> seed = FromHex(hex);
  if (!readable || !id || !seed || NodeKey(*seed).id() != *id) {
    return Fail(ErrorCode::kInvalidArgument,
                path + " is damaged: restore it, or delete it to start as a new node");
  }
  return Identity{*id, incarnation, true, *seed};
}

// Holds an advisory lock for the life of the process (the descriptor is closed by its end).
Status LockDirectory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kLockName;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
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
  if (data_dir.empty()) {
    Identity identity = DrawIdentity();
    identity.incarnation = wall;
    return identity;
  }

  const std::filesystem::path directory(data_dir);
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) {
    return Fail(ErrorCode::kIo, "--data-dir " + data_dir + ": " + failure.message());
  }
  if (Status locked = LockDirectory(directory); !locked) return tl::unexpected(locked.error());

  const std::string path = directory / kIdentityFile;
  Result<std::optional<Identity>> saved = Read(path);
  if (!saved) return tl::unexpected(saved.error());
  Identity identity = *saved ? **saved : DrawIdentity();
  identity.incarnation = std::max(identity.incarnation + 1, wall);

  std::ostringstream line;
  line << identity.id.ToString() << ' ' << identity.incarnation << ' ' << ToHex(identity.seed)
       << '\n';
  if (Status written = ReplaceFile(path, line.str()); !written) {
    return tl::unexpected(written.error());
  }
  return identity;
}

}  // namespace gyre
