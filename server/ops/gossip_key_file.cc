#include "ops/gossip_key_file.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/file.h"

namespace gyre {
namespace {

tl::unexpected<Error> Refused(const std::string& path, const std::string& why) {
  return Fail(ErrorCode::kInvalidArgument, "--gossip-key " + path + ": " + why);
}

// As ssh judges its keys: a file of our own is for us alone. One of root, which packages and
// Kubernetes let a group read, may be read by the group that this process is in.
Status CheckMode(const File& file, const std::string& path) {
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return Refused(path, std::strerror(errno));
  const bool ours = facts.st_uid == ::geteuid();
  if (!ours && facts.st_uid != 0) {
    return Refused(path, "it belongs to another user: chown it to the one that gyred runs as");
  }
  const mode_t others = ours ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO;
  if ((facts.st_mode & others) != 0) {
    return Refused(path, "others can read or change it: chmod 600 " + path);
  }
  return {};
}

}  // namespace

Result<std::vector<GossipKey>> ReadGossipKeyFile(const std::string& path) {
  // A link is followed: Kubernetes mounts secrets as links.
  Result<std::optional<File>> file = OpenToRead(path, Links::kFollow);
  if (!file) return Refused(path, file.error().message);
  if (!*file) return Refused(path, std::strerror(ENOENT));
  if (Status allowed = CheckMode(**file, path); !allowed) return tl::unexpected(allowed.error());
  Result<std::string> text = ReadAll(**file, path, kGossipKeyFileBytesMax);
  if (!text && text.error().code == ErrorCode::kTooLarge) {
    return Refused(path, "it is too long for a file of keys");
  }
  if (!text) return Refused(path, text.error().message);
  Result<std::vector<GossipKey>> keys = ParseGossipKeys(*text);
  sodium_memzero(text->data(), text->size());
  if (!keys) return Refused(path, keys.error().message);
  return keys;
}

}  // namespace gyre
