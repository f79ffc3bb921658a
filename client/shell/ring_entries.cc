#include "client/shell/ring_entries.h"

#include <algorithm>
#include <utility>

#include "client/shell/interrupt.h"

namespace gyre::client {
namespace {

// PEXPIRETIME's answers that are no time.
constexpr std::int64_t kNoExpiry = -1;
constexpr std::int64_t kNoKey = -2;

Error Given(const std::string& what, const Error& why) {
  return {why.code, what + ": " + why.message};
}

Error BadAnswer(const std::string& command) {
  return {ErrorCode::kProtocol, "the node's answer to " + command + " makes no sense"};
}

Entry EntryOf(std::string key, Value& record, std::int64_t expiry_ms) {
  return {std::move(key), std::move(record.text), record.flags,
          expiry_ms == kNoExpiry ? 0 : expiry_ms};
}

const std::string& KeyOf(const Command& command) { return command[1]; }

// SET key value ...; mc.set key flags exptime value
const std::string& ValueOf(const Command& command) {
  return command[0] == "SET" ? command[2] : command.back();
}

// SET knows no flags; mc.set does, but counts its expiry in seconds: rounded up.
Command StoreCommand(Entry entry, bool if_absent) {
  constexpr std::int64_t kMillisInSecond = 1000;
  if (entry.flags != 0) {
    const std::int64_t seconds = (entry.expiry_ms + kMillisInSecond - 1) / kMillisInSecond;
    return {if_absent ? "mc.add" : "mc.set", std::move(entry.key), std::to_string(entry.flags),
            std::to_string(seconds), std::move(entry.value)};
  }
  Command command = {"SET", std::move(entry.key), std::move(entry.value)};
  if (if_absent) command.emplace_back("NX");
  if (entry.expiry_ms != 0) {
    command.emplace_back("PXAT");
    command.push_back(std::to_string(entry.expiry_ms));
  }
  return command;
}

}  // namespace

std::string PatternOfPrefix(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^') pattern += '\\';
    pattern += c;
  }
  return pattern + "*";
}

// ---- Reading ----------------------------------------------------------------------------------

RingReader::RingReader(Client& client, const CallOptions& call, std::string match,
                       TransferCounts& counts)
    : client_(client), call_(call), match_(std::move(match)), counts_(counts) {
  // Only for the progress: without an answer there is no share.
  if (match_ != "*") return;
  const Result<Value> size = client_.Execute({"DBSIZE"}, call_);
  if (size && size->integer > 0) keys_all_ = static_cast<std::uint64_t>(size->integer);
}

void RingReader::StartScan() {
  const bool far_ahead = keys_ahead_ >= kKeysAheadMax || key_bytes_ahead_ >= kKeyBytesAheadMax;
  if (walked_ || scan_ || far_ahead) return;
  scan_.emplace(client_.ExecuteAsync(
      {"SCAN", cursor_, "MATCH", match_, "COUNT", std::to_string(kScanCount)}, call_));
}

std::optional<Error> RingReader::TakeScan() {
  Result<Value> page = scan_->Get();
  scan_.reset();
  Patience patience;
  while (!page && IsPassing(page.error().code) && patience.Pause()) {
    page = client_.Execute({"SCAN", cursor_, "MATCH", match_, "COUNT", std::to_string(kScanCount)},
                           call_);
  }
  if (!page) return Given("the walk over the keys has stopped", page.error());
  if (page->elements.size() != 2) return BadAnswer("SCAN");
  cursor_ = page->elements[0].text;
  walked_ = cursor_ == "0";
  for (Value& key : page->elements[1].elements) {
    ++keys_ahead_;
    key_bytes_ahead_ += key.text.size();
    keys_.push_back(std::move(key.text));
  }
  return std::nullopt;
}

void RingReader::StartMeasures() {
  while (!keys_.empty() && measures_.size() < kMeasuresMax) {
    const std::size_t count = std::min(keys_.size(), kBatchKeysMax);
    std::vector<std::string> keys(
        std::make_move_iterator(keys_.begin()),
        std::make_move_iterator(keys_.begin() + static_cast<std::ptrdiff_t>(count)));
    keys_.erase(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(count));
    std::vector<Command> commands;
    commands.reserve(2 * count);
    for (const std::string& key : keys) {
      commands.push_back({"PEXPIRETIME", key});
      commands.push_back({"STRLEN", key});
    }
    measures_.push_back({std::move(keys), client_.ExecuteManyAsync(commands, call_)});
  }
}

// One that could not be measured counts as if it had expired: whoever fetches it sees that.
void RingReader::TakeMeasure() {
  Measure measure = std::move(measures_.front());
  measures_.pop_front();
  const std::vector<Result<Value>> replies = measure.replies.Get();
  for (std::size_t i = 0; i < measure.keys.size(); ++i) {
    const Result<Value>& expiry = replies[2 * i];
    const Result<Value>& bytes = replies[2 * i + 1];
    measured_.push_back({std::move(measure.keys[i]), expiry ? expiry->integer : kNoKey,
                         bytes ? static_cast<std::size_t>(bytes->integer) : 0});
  }
}

void RingReader::StartFetches() {
  while (!measured_.empty() && fetches_.size() < kUnderWayBatchesMax) {
    std::vector<Measured> keys;
    std::vector<Command> commands;
    std::size_t bytes = 0;
    while (!measured_.empty() && keys.size() < kBatchKeysMax) {
      const std::size_t more = bytes + measured_.front().bytes + measured_.front().key.size();
      if (!keys.empty() && more > kBatchBytesMax) break;
      bytes = more;
      keys.push_back(std::move(measured_.front()));
      measured_.pop_front();
    }
    if (!fetches_.empty() && fetch_bytes_ + bytes > kUnderWayBytesMax) {
      measured_.insert(measured_.begin(), std::make_move_iterator(keys.begin()),
                       std::make_move_iterator(keys.end()));
      return;
    }
    commands.reserve(2 * keys.size());
    keys_ahead_ -= keys.size();
    for (const Measured& measured : keys) {
      key_bytes_ahead_ -= measured.key.size();
      commands.push_back({"GET", measured.key});
      commands.push_back({"PEXPIRETIME", measured.key});
    }
    fetch_bytes_ += bytes;
    fetches_.push_back({std::move(keys), bytes, client_.ExecuteManyAsync(commands, call_)});
  }
}

std::optional<Error> RingReader::TakeFetch(std::vector<Entry>& batch) {
  Fetch fetch = std::move(fetches_.front());
  fetches_.pop_front();
  std::vector<Result<Value>> replies = fetch.replies.Get();
  fetch_bytes_ -= fetch.bytes;
  keys_read_ += fetch.keys.size();
  batch.reserve(batch.size() + fetch.keys.size());
  for (std::size_t i = 0; i < fetch.keys.size(); ++i) {
    const Measured& measured = fetch.keys[i];
    Result<Value>& value = replies[2 * i];
    const Result<Value>& expiry = replies[2 * i + 1];
    // Gone, since the walk saw it.
    if (value && value->is_null()) continue;
    if (value && expiry && expiry->integer == measured.expiry_ms &&
        value->kind == Value::Kind::kRecord) {
      batch.push_back(EntryOf(measured.key, *value, measured.expiry_ms));
      continue;
    }
    if (std::optional<Error> error = FetchAlone(measured.key, batch)) return error;
  }
  return std::nullopt;
}

std::optional<Error> RingReader::FetchAlone(const std::string& key, std::vector<Entry>& batch) {
  // Of a key whose expiry changes all the time; then the one behind the value is taken.
  constexpr int kTriesMax = 10;
  Patience patience;
  int tries = 0;
  while (true) {
    std::vector<Result<Value>> replies =
        client_.ExecuteMany({{"PEXPIRETIME", key}, {"GET", key}, {"PEXPIRETIME", key}}, call_);
    const auto failed = std::find_if(replies.begin(), replies.end(),
                                     [](const Result<Value>& reply) { return !reply.ok(); });
    if (failed != replies.end()) {
      const Error error = failed->error();
      if (!IsPassing(error.code)) {
        counts_.AddFailed(std::string(ErrorCodeName(error.code)) + ": " + error.message);
        return std::nullopt;
      }
      if (!patience.Pause()) return Given("a key cannot be read", error);
      continue;
    }
    Value& value = *replies[1];
    if (value.is_null()) return std::nullopt;
    if (value.kind != Value::Kind::kRecord) return BadAnswer("GET");
    const std::int64_t before = replies[0]->integer;
    const std::int64_t behind = replies[2]->integer;
    const bool torn = before != behind || behind == kNoKey;
    if (torn && ++tries < kTriesMax) continue;
    if (behind == kNoKey) return std::nullopt;
    batch.push_back(EntryOf(key, value, behind));
    return std::nullopt;
  }
}

// What is complete is taken along, so that the steps before it go on while the oldest fetch is
// waited for.
Result<bool> RingReader::Read(std::vector<Entry>& batch) {
  while (true) {
    if (Interrupted()) return Error{ErrorCode::kCancelled, "interrupted"};
    if (scan_ && scan_->WaitFor(Milliseconds{0})) {
      if (std::optional<Error> error = TakeScan()) return *std::move(error);
    }
    while (!measures_.empty() && measures_.front().replies.WaitFor(Milliseconds{0})) TakeMeasure();
    StartScan();
    StartMeasures();
    StartFetches();
    if (!fetches_.empty()) {
      if (std::optional<Error> error = TakeFetch(batch)) return *std::move(error);
      StartFetches();
      return true;
    }
    if (!measures_.empty()) {
      TakeMeasure();
    } else if (scan_) {
      if (std::optional<Error> error = TakeScan()) return *std::move(error);
    } else if (walked_ && keys_.empty()) {
      return false;
    }
  }
}

// ---- Writing ----------------------------------------------------------------------------------

RingWriter::RingWriter(Client& client, const CallOptions& call, bool if_absent,
                       TransferCounts& counts)
    : client_(client), call_(call), if_absent_(if_absent), counts_(counts) {}

std::optional<Error> RingWriter::Write(std::vector<Entry> batch) {
  for (Entry& entry : batch) {
    if (keys_.contains(entry.key)) {
      if (std::optional<Error> error = Finish()) return error;
    }
    keys_.insert(entry.key);
    bytes_ += entry.bytes();
    commands_.push_back(StoreCommand(std::move(entry), if_absent_));
    if (commands_.size() < kBatchKeysMax && bytes_ < kBatchBytesMax) continue;
    if (std::optional<Error> error = Send()) return error;
  }
  return std::nullopt;
}

std::optional<Error> RingWriter::Send() {
  if (commands_.empty()) return std::nullopt;
  if (given_up_) {
    counts_.failed += std::exchange(commands_, {}).size();
    return std::nullopt;
  }
  while (!flights_.empty() &&
         (flights_.size() >= kUnderWayBatchesMax || flight_bytes_ + bytes_ > kUnderWayBytesMax)) {
    if (std::optional<Error> error = Settle()) return error;
  }
  CallOptions call = call_;
  call.wait_for_room = true;
  auto replies = client_.ExecuteManyAsync(commands_, call);
  flight_bytes_ += bytes_;
  flights_.push_back({std::exchange(commands_, {}), std::exchange(bytes_, 0), std::move(replies)});
  return std::nullopt;
}

std::optional<Error> RingWriter::Settle() {
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  const std::vector<Result<Value>> replies = flight.replies.Get();
  flight_bytes_ -= flight.bytes;
  std::optional<Error> fatal;
  for (std::size_t i = 0; i < flight.commands.size(); ++i) {
    const Command& command = flight.commands[i];
    if (replies[i]) {
      CountAnswer(command, *replies[i]);
    } else if (fatal) {
      counts_.AddFailed(fatal->message);
    } else {
      fatal = StoreAgain(command, replies[i].error());
    }
    keys_.erase(KeyOf(command));
  }
  return fatal;
}

void RingWriter::CountStored(const Command& command) {
  ++counts_.keys;
  counts_.bytes += KeyOf(command).size() + ValueOf(command).size();
}

void RingWriter::CountAnswer(const Command& command, const Value& answer) {
  if (answer.kind == Value::Kind::kWord && (answer.text == "OK" || answer.text == "STORED")) {
    CountStored(command);
  } else if (if_absent_) {
    ++counts_.skipped;
  } else {
    counts_.AddFailed("a node did not store a record, and gave no reason");
  }
}

// An error: the ring does not come back. `first` is what the first try gave.
std::optional<Error> RingWriter::StoreAgain(const Command& command, Error first) {
  Patience patience;
  bool perhaps_done = false;
  Error error = std::move(first);
  while (true) {
    perhaps_done |= error.code == ErrorCode::kUnknownOutcome;
    if (!IsPassing(error.code)) {
      counts_.AddFailed(std::string(ErrorCodeName(error.code)) + ": " + error.message);
      return std::nullopt;
    }
    if (given_up_ || !patience.Pause()) {
      given_up_ = true;
      counts_.AddFailed(std::string(ErrorCodeName(error.code)) + ": " + error.message);
      return Given("the ring does not take records", error);
    }
    const Result<Value> again = client_.Execute(command, call_);
    if (!again) {
      error = again.error();
      continue;
    }
    // Where an earlier try may have been carried out, what is there may be ours.
    const bool refused = again->kind != Value::Kind::kWord || again->text == "NOT_STORED";
    if (if_absent_ && refused && perhaps_done) {
      const Result<std::optional<Record>> there = client_.Get(KeyOf(command), call_);
      if (!there) {
        error = there.error();
        continue;
      }
      const bool ours = *there && (*there)->value == ValueOf(command);
      ours ? CountStored(command) : void(++counts_.skipped);
      return std::nullopt;
    }
    CountAnswer(command, *again);
    return std::nullopt;
  }
}

std::optional<Error> RingWriter::Finish() {
  std::optional<Error> error = Send();
  while (!flights_.empty()) {
    std::optional<Error> settled = Settle();
    if (!error) error = std::move(settled);
  }
  return error;
}

}  // namespace gyre::client
