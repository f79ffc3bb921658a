#include "client/shell/transfer.h"

#include <algorithm>
#include <cstdio>
#include <thread>
#include <utility>

#include "client/shell/interrupt.h"
#include "client/shell/screen.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

double SecondsSince(SteadyTime begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Holds the transfer down to so many bytes a second.
class Pace {
 public:
  explicit Pace(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // How long to wait now that so many more bytes are about to go.
  Milliseconds Take(std::uint64_t bytes) {
    if (bytes_per_second_ == 0) return Milliseconds{0};
    const double due = static_cast<double>(taken_) / static_cast<double>(bytes_per_second_);
    taken_ += bytes;
    const double wait = due - SecondsSince(begin_);
    return Milliseconds{static_cast<std::int64_t>(std::max(0.0, wait) * 1000)};
  }

 private:
  const std::uint64_t bytes_per_second_;
  const SteadyTime begin_ = std::chrono::steady_clock::now();
  std::uint64_t taken_ = 0;
};

// One line on standard error, drawn again and again.
class TransferProgress {
 public:
  TransferProgress(const ShellContext& shell, const EntrySource& source,
                   const TransferCounts& counts)
      : shell_(shell), source_(source), counts_(counts) {}
  ~TransferProgress() { Clear(); }
  TransferProgress(const TransferProgress&) = delete;
  TransferProgress& operator=(const TransferProgress&) = delete;

  void Show() {
    constexpr double kIntervalSeconds = 0.2;
    if (!shell_.error_terminal || shell_.json) return;
    if (drawn_ && SecondsSince(last_) < kIntervalSeconds) return;
    last_ = std::chrono::steady_clock::now();
    drawn_ = true;
    shell_.err << "\r" << Line() << "\x1b[K" << std::flush;
  }
  void Clear() {
    if (std::exchange(drawn_, false)) shell_.err << "\r\x1b[K" << std::flush;
  }

 private:
  std::string Line() const {
    constexpr std::size_t kBarCells = 20;
    const double seconds = std::max(SecondsSince(begin_), 1e-3);
    const EntrySource::Extent extent = source_.extent();
    std::string line;
    if (extent.all > 0) {
      const double share =
          std::min(1.0, static_cast<double>(extent.read) / static_cast<double>(extent.all));
      line += Bar(shell_.screen, share, kBarCells) + " " +
              std::to_string(static_cast<int>(share * 100)) + "%  ";
    }
    const auto keys = static_cast<double>(counts_.keys);
    line += HumanCount(keys) + " keys  " + HumanBytes(static_cast<double>(counts_.bytes)) + "  " +
            HumanCount(keys / seconds) + " keys/s";
    if (extent.all > 0 && extent.read > 0) {
      const double all = static_cast<double>(extent.all);
      const double left = std::max(0.0, all - static_cast<double>(extent.read));
      line += "  ETA " + HumanDuration(seconds * left / static_cast<double>(extent.read));
    }
    return line;
  }

  const ShellContext& shell_;
  const EntrySource& source_;
  const TransferCounts& counts_;
  const SteadyTime begin_ = std::chrono::steady_clock::now();
  SteadyTime last_;
  bool drawn_ = false;
};

// Takes out what is not wanted or has expired.
void Sift(std::vector<Entry>& batch, const std::string& prefix, TransferCounts& counts) {
  const std::int64_t now = UnixNow();
  std::erase_if(batch, [&](const Entry& entry) {
    if (!entry.key.starts_with(prefix)) return true;
    const bool expired = entry.expiry_ms != 0 && entry.expiry_ms <= now;
    counts.expired += expired ? 1 : 0;
    return expired;
  });
}

// What goes at once: so much that a transfer held down to a rate keeps it from one second to the next.
std::vector<std::vector<Entry>> Portions(std::vector<Entry> batch, std::uint64_t bytes_per_second) {
  constexpr std::uint64_t kPortionsInSecond = 10;
  constexpr std::uint64_t kPortionBytesMin = 4096;
  std::vector<std::vector<Entry>> portions;
  if (bytes_per_second == 0) {
    portions.push_back(std::move(batch));
    return portions;
  }
  const std::uint64_t most = std::max(bytes_per_second / kPortionsInSecond, kPortionBytesMin);
  std::uint64_t bytes = most;  // the first entry begins the first portion
  for (Entry& entry : batch) {
    if (bytes >= most) {
      portions.emplace_back();
      bytes = 0;
    }
    bytes += entry.bytes();
    portions.back().push_back(std::move(entry));
  }
  return portions;
}

// False: it was interrupted.
bool WaitFor(Milliseconds wait, TransferProgress& progress) {
  constexpr Milliseconds kSlice{100};
  for (; wait.count() > 0; wait -= kSlice) {
    if (Interrupted()) return false;
    std::this_thread::sleep_for(std::min(wait, kSlice));
    progress.Show();
  }
  return !Interrupted();
}

std::optional<Error> Move(EntrySource& source, EntrySink& sink, TransferCounts& counts,
                          const TransferOptions& options, TransferProgress& progress) {
  Pace pace(options.bytes_per_second);
  bool more = true;
  while (more) {
    std::vector<Entry> batch;
    const Result<bool> read = source.Read(batch);
    if (!read) return read.error();
    more = *read;
    Sift(batch, options.prefix, counts);
    for (std::vector<Entry>& portion : Portions(std::move(batch), options.bytes_per_second)) {
      std::uint64_t bytes = 0;
      for (const Entry& entry : portion) bytes += entry.bytes();
      if (!WaitFor(pace.Take(bytes), progress)) {
        return Error{ErrorCode::kCancelled, "interrupted"};
      }
      if (std::optional<Error> error = sink.Write(std::move(portion))) return error;
      progress.Show();
    }
  }
  return sink.Finish();
}

Json SummaryJson(const TransferCounts& counts, const std::optional<Error>& error, double seconds) {
  Json unsupported = Json::object();
  for (const auto& [type, count] : counts.unsupported) unsupported[type] = count;
  Json json = {{"complete", !error && counts.complete()},
               {"keys", counts.keys},
               {"bytes", counts.bytes},
               {"expired", counts.expired},
               {"skipped", counts.skipped},
               {"failed", counts.failed},
               {"bad_lines", counts.bad_lines},
               {"damaged_blocks", counts.damaged_blocks},
               {"flags_dropped", counts.flags_dropped},
               {"unsupported", unsupported},
               {"seconds", seconds},
               {"keys_per_second", static_cast<double>(counts.keys) / seconds}};
  json["first_error"] = counts.first_error.empty() ? Json(nullptr) : Json(counts.first_error);
  if (error) json["error"] = ToJson(*error)["error"];
  return json;
}

std::string SummaryText(const TransferCounts& counts, double seconds) {
  char duration[32];
  std::snprintf(duration, sizeof duration, "%.1f", seconds);
  std::string text = std::to_string(counts.keys) + (counts.keys == 1 ? " key, " : " keys, ") +
                     HumanBytes(static_cast<double>(counts.bytes)) + ", in " + duration + " s (" +
                     HumanCount(static_cast<double>(counts.keys) / seconds) + " keys/s)\n";
  const auto add = [&text](std::uint64_t count, const std::string& what) {
    if (count > 0) text += std::to_string(count) + " " + what + "\n";
  };
  add(counts.expired, "expired meanwhile, left out");
  add(counts.skipped, "were there already, left as they are");
  add(counts.flags_dropped, "stored without their flags, which the target cannot keep");
  for (const auto& [type, count] : counts.unsupported) {
    add(count, "of type " + type + ", not taken: only strings are");
  }
  add(counts.bad_lines, "bad lines, left out");
  add(counts.damaged_blocks, "damaged blocks, left out");
  add(counts.failed, "failed");
  if (!counts.first_error.empty()) text += "the first error: " + counts.first_error + "\n";
  return text;
}

}  // namespace

void TransferCounts::NoteError(const std::string& why) {
  if (first_error.empty()) first_error = why;
}

void TransferCounts::AddFailed(const std::string& why) {
  ++failed;
  NoteError(why);
}

bool TransferCounts::complete() const {
  return failed == 0 && bad_lines == 0 && damaged_blocks == 0 && unsupported.empty();
}

bool Patience::Pause() {
  constexpr Milliseconds kLongest{1000};
  if (Interrupted() || std::chrono::steady_clock::now() >= end_) return false;
  std::this_thread::sleep_for(next_);
  next_ = std::min(2 * next_, kLongest);
  return true;
}

bool IsPassing(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotOwner:
    case ErrorCode::kMoved:
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kUnknownOutcome:
    case ErrorCode::kTooFewReplicas:
    case ErrorCode::kIo:
    case ErrorCode::kClosed:
    case ErrorCode::kCannotConnect:
    case ErrorCode::kOverloaded:
      return true;
    default:
      return false;
  }
}

std::int64_t UnixNow() {
  return std::chrono::duration_cast<Milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int RunTransfer(const ShellContext& shell, EntrySource& source, EntrySink& sink,
                TransferCounts& counts, const TransferOptions& options) {
  const SteadyTime begin = std::chrono::steady_clock::now();
  TransferProgress progress(shell, source, counts);
  const std::optional<Error> error = Move(source, sink, counts, options, progress);
  if (error) sink.Abandon();
  progress.Clear();
  const double seconds = std::max(SecondsSince(begin), 1e-3);
  std::ostream& summary = options.output_is_data ? shell.err : shell.out;
  if (shell.json) {
    summary
        << SummaryJson(counts, error, seconds).dump(-1, ' ', false, Json::error_handler_t::replace)
        << "\n";
  } else {
    if (error) {
      shell.err << ErrorPrefix(shell.line) << ErrorCodeName(error->code) << ": " << error->message
                << "\n";
    }
    summary << (error ? "until then " : "") << SummaryText(counts, seconds);
  }
  return !error && counts.complete() ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
