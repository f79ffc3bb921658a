// A backup on disk: the folder, its files and the manifest (backup_format.h).
//
// Every function blocks on the disk. Errors are kIo and name the file and the system's reason, or
// kInvalidArgument for a folder that is not what was asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/shell/backup_format.h"
#include "client/shell/transfer.h"

namespace gyre::client {

// A file descriptor that is closed with it.
class OwnedFile {
 public:
  explicit OwnedFile(int descriptor = -1) : descriptor_(descriptor) {}
  ~OwnedFile();
  OwnedFile(OwnedFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OwnedFile& operator=(OwnedFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// What was written to the path, a file or a folder, is on the disk.
std::optional<Error> SyncPath(const std::string& path);

// Writes a backup.
class BackupWriter final : public EntrySink {
 public:
  // A file of data is ended once it has so many bytes.
  static constexpr std::uint64_t kFileBytes = std::uint64_t{1} << 30;

  // Makes the folder if there is none. One that has something in it is refused; `force`: an older
  // backup in it, finished or not, is removed, and nothing else.
  static Result<std::unique_ptr<BackupWriter>> Create(const std::string& folder, bool force,
                                                      std::string match, TransferCounts& counts,
                                                      std::uint64_t file_bytes = kFileBytes);
  ~BackupWriter() override;

  std::optional<Error> Write(std::vector<Entry> batch) override;
  std::optional<Error> Finish() override;
  // Removes what was written.
  void Abandon() override;

 private:
  BackupWriter(std::string folder, std::uint64_t file_bytes, TransferCounts& counts)
      : folder_(std::move(folder)), file_bytes_(file_bytes), counts_(counts) {}
  std::optional<Error> Append(std::string_view bytes);
  std::optional<Error> SealBlock();
  std::optional<Error> EndFile();

  const std::string folder_;
  const std::uint64_t file_bytes_;
  TransferCounts& counts_;
  BackupManifest manifest_;
  BackupBlock block_;
  OwnedFile file_;  // the last of the manifest's, while it is written
  bool finished_ = false;
};

// Reads a backup.
class BackupReader final : public EntrySource {
 public:
  // kInvalidArgument: there is none, it was not finished, or its manifest is damaged.
  // `skip_damaged`: Read counts damaged blocks and goes on, instead of giving an error.
  static Result<std::unique_ptr<BackupReader>> Open(const std::string& folder, bool skip_damaged,
                                                    TransferCounts& counts);

  // Reads everything, and stores nothing. kInvalidArgument: which blocks are damaged.
  std::optional<Error> Verify();

  Result<bool> Read(std::vector<Entry>& batch) override;
  Extent extent() const override { return {keys_read_, manifest_.keys}; }
  const BackupManifest& manifest() const { return manifest_; }

 private:
  BackupReader(std::string folder, BackupManifest manifest, bool skip_damaged,
               TransferCounts& counts)
      : folder_(std::move(folder)),
        manifest_(std::move(manifest)),
        skip_damaged_(skip_damaged),
        counts_(counts) {}
  // Of the file `index`. A file that is missing is one of no bytes.
  Result<BackupFileReader> OpenFile(std::size_t index);

  const std::string folder_;
  const BackupManifest manifest_;
  const bool skip_damaged_;
  TransferCounts& counts_;
  std::size_t next_file_ = 0;
  std::optional<BackupFileReader> file_;
  std::uint64_t keys_read_ = 0;
};

}  // namespace gyre::client
