// Files on disk, opened so that whoever else can write into the same directory cannot lead this
// process to another file: a new file is never opened through a link that stands in its place, a
// file that is read is a regular one, and opening never waits (a FIFO would).
//
// Every function blocks on the disk: not for the threads that serve or gossip. Errors are kIo and
// name the path and the system's reason.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proto/result.h"

namespace gyre {

// Owns a file descriptor.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() { (void)Close(); }
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&&) = delete;

  int descriptor() const { return descriptor_; }
  // Gives the descriptor away: it stays open.
  int Release() { return std::exchange(descriptor_, -1); }
  // Closes it. The error is one that the file system kept until now.
  Status Close();

 private:
  int descriptor_;
};

// What to do with a symbolic link as the last part of a path.
enum class Links { kFollow, kRefuse };

// Opens an existing regular file for reading; empty if there is none.
Result<std::optional<File>> OpenToRead(const std::string& path, Links links);
// Creates a file of mode 0600 for writing. What stood there, a link or the rest of an earlier
// attempt, is removed first.
Result<File> CreateNew(const std::string& path);

// Up to `bytes_max` bytes from where the file stands; more is an error (kTooLarge).
Result<std::string> ReadAll(const File& file, const std::string& path, std::size_t bytes_max);
// One read, continued where a signal cut it short: the number of bytes, 0 at the end.
Result<std::size_t> ReadSome(const File& file, char* to, std::size_t size);
Status WriteAll(const File& file, std::string_view bytes);
// The file's data are on the disk.
Status Sync(const File& file);
// The names in it are on the disk.
Status SyncDirectory(const std::string& directory);

// Renames `from` to `to`, and sees to it that this lasts.
Status RenameDurably(const std::string& from, const std::string& to);
// Writes `text` to `path` by way of `path`.new: a crash leaves the old file or the new one, never
// half of one.
Status ReplaceFile(const std::string& path, std::string_view text);

}  // namespace gyre
