// Where a snapshot stands on disk, and how it comes and goes: plain files in the data directory.
//
//   snapshot           a whole one, not yet used. It appears by a rename, after everything is on
//                      the disk, and goes, durably, before anything is done with what it held.
//   snapshot.new       one that is being written, or what a crash has left of it
//   snapshot.refused   the last one that could not be used, for whoever wants to see why
//
// So a snapshot is used once at most: a crash before it is removed finds it again, whole, and
// nobody knows yet of the life in between; a crash after that finds none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proto/result.h"
#include "storage/snapshot_format.h"

namespace gyre {

class SnapshotFile {
 public:
  // `directory` exists.
  explicit SnapshotFile(const std::string& directory);

  const std::string& path() const { return path_; }
  const std::string& refused_path() const { return refused_path_; }

  // Calls `produce`, which passes everything to its sink, and returns how many bytes that were. An
  // older snapshot is replaced. After an error none of the new one is left. `bytes_least` is what
  // it will have at least: where the disk has less, nothing is begun.
  Result<std::uint64_t> Write(
      std::uint64_t bytes_least,
      const std::function<Status(const SnapshotWriter::Sink&)>& produce) const;

  // One that is open for reading; `source` reads it from the front to the end, once.
  struct Opened {
    std::uint64_t bytes = 0;
    SnapshotReader::Source source;
  };
  // Null if there is none.
  Result<std::unique_ptr<Opened>> Open() const;

  // Removes the snapshot for good.
  Status Remove() const;
  // Gives it the name for refused ones, in the place of an older one.
  Status SetAside() const;
  // Removes what a crash left of one that was being written. True: there was something.
  bool RemoveHalf() const;

 private:
  const std::string directory_;
  const std::string path_;
  const std::string new_path_;
  const std::string refused_path_;
};

}  // namespace gyre
