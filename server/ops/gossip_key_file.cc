#include "ops/gossip_key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gyre {
namespace {

tl::unexpected<Error> Refused(const std::string& path, const std::string& why) {
  return Fail(ErrorCode::kInvalidArgument, "--gossip-key " + path + ": " + why);
}

// Closes it at the end of the scope.
struct File {
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  int descriptor;
};

// What is checked is what is read: the open file, whatever its name points to a moment later.
Status CheckMode(int descriptor, const std::string& path) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return Refused(path, std::strerror(errno));
  if (S_ISDIR(facts.st_mode)) return Refused(path, "it is a directory, not a file with a key");
  if ((facts.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
    return Refused(path, "others can read or change it: chmod 600 " + path);
  }
  return {};
}

}  // namespace

Result<std::vector<GossipKey>> ReadGossipKeyFile(const std::string& path) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.descriptor < 0) return Refused(path, std::strerror(errno));
  if (Status allowed = CheckMode(file.descriptor, path); !allowed) {
    return tl::unexpected(allowed.error());
  }
  std::string text(kGossipKeyFileBytesMax + 1, '\0');
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const ssize_t count = ::read(file.descriptor, text.data() + bytes, text.size() - bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Refused(path, std::strerror(errno));
    if (count == 0) break;
    bytes += static_cast<std::size_t>(count);
  }
  if (bytes > kGossipKeyFileBytesMax) return Refused(path, "it is too long for a file of keys");
  Result<std::vector<GossipKey>> keys = ParseGossipKeys(std::string_view(text).substr(0, bytes));
  sodium_memzero(text.data(), text.size());
  if (!keys) return Refused(path, keys.error().message);
  return keys;
}

}  // namespace gyre
