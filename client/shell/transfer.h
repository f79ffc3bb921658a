// Records on their way from one place to another: what backup, restore, import and export share.
//
//   EntrySource --batch--> expired? prefix? --> Pace --> EntrySink      one batch after the other
//        |                                                  |
//        +------------------ TransferCounts ----------------+
//
// A source and a sink keep requests of their own under way, bounded in keys and bytes, so that both
// sides work at once; a sink that is slow holds up the source, because the next batch is read when
// the last one was taken.
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/shell/tool.h"
#include "gyre/client.h"

namespace gyre::client {

// One record.
struct Entry {
  std::string key;
  std::string value;
  std::uint32_t flags = 0;     // memcached's
  std::int64_t expiry_ms = 0;  // unix time in milliseconds; 0: never expires

  std::size_t bytes() const { return key.size() + value.size(); }
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What a batch may have; one entry may be larger than the bytes.
inline constexpr std::size_t kBatchKeysMax = 500;
inline constexpr std::size_t kBatchBytesMax = std::size_t{4} << 20;
// Of requests that a source or a sink has under way.
inline constexpr std::size_t kUnderWayBytesMax = std::size_t{32} << 20;
inline constexpr std::size_t kUnderWayBatchesMax = 8;

// What became of the records.
struct TransferCounts {
  std::uint64_t keys = 0;   // stored, and acknowledged
  std::uint64_t bytes = 0;  // of their keys and values
  std::uint64_t expired = 0;
  std::uint64_t skipped = 0;  // were there already (--if-absent)
  std::uint64_t failed = 0;   // were refused
  std::uint64_t bad_lines = 0;
  std::uint64_t damaged_blocks = 0;
  std::uint64_t flags_dropped = 0;                   // stored, but their flags have no place there
  std::map<std::string, std::uint64_t> unsupported;  // not taken, by their type
  std::string first_error;

  // Counts a record that was refused.
  void AddFailed(const std::string& why);
  void NoteError(const std::string& why);
  // Whether everything that was asked for was done.
  bool complete() const;
};

class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // Appends the next records; false: there are no more.
  virtual Result<bool> Read(std::vector<Entry>& batch) = 0;
  // How much of it was read, in whatever unit; `all` is 0 where it is not known.
  struct Extent {
    std::uint64_t read = 0;
    std::uint64_t all = 0;
  };
  virtual Extent extent() const = 0;
};

class EntrySink {
 public:
  virtual ~EntrySink() = default;
  // Counts what it has stored for good, now or later. An error ends the transfer.
  virtual std::optional<Error> Write(std::vector<Entry> batch) = 0;
  // Everything is stored, and will last, when it returns.
  virtual std::optional<Error> Finish() = 0;
  // The transfer ends early: waits for what is under way, and leaves nothing that looks whole.
  virtual void Abandon() = 0;
};

// Waits between tries of something that other nodes will do soon, for so long in all.
class Patience {
 public:
  static constexpr Milliseconds kInAll{60000};

  explicit Patience(Milliseconds in_all = kInAll)
      : end_(std::chrono::steady_clock::now() + in_all) {}
  // Pauses, longer each time. False: the time is up, or the user has interrupted.
  bool Pause();

 private:
  std::chrono::steady_clock::time_point end_;
  Milliseconds next_{50};
};

// Whether the same request may succeed later: nodes die, move and restart.
bool IsPassing(ErrorCode code);

struct TransferOptions {
  std::string prefix;                  // of the keys that are wanted
  std::uint64_t bytes_per_second = 0;  // 0: as fast as it goes
  bool output_is_data = false;         // then the summary goes to standard error
};

// Milliseconds of unix time.
std::int64_t UnixNow();

// Moves everything, shows progress on a terminal, prints the summary, and returns the exit status.
int RunTransfer(const ShellContext& shell, EntrySource& source, EntrySink& sink,
                TransferCounts& counts, const TransferOptions& options);

}  // namespace gyre::client
