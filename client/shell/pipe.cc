#include "client/shell/pipe.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>
#include <vector>

#include "client/shell/interrupt.h"
#include "client/shell/progress_line.h"
#include "client/shell/screen.h"
#include "client/wire.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

// One batch is on its way while the next one is read: more would let commands of one key overtake
// each other.
constexpr std::size_t kBatchCommandsMax = 2048;
constexpr std::size_t kPipeBatchBytesMax = std::size_t{1} << 20;
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
// A file of nothing but errors says enough with these.
constexpr std::uint64_t kErrorsShownMax = 10;
// A batch waits as long as a node that restarts may take.
constexpr Milliseconds kBatchPatience{30000};

struct Numbered {
  std::uint64_t number;  // of the command, from 1
  std::string name;
};

class PipeRun {
 public:
  PipeRun(const ShellContext& shell, std::istream& in) : shell_(shell), in_(in) {}

  int Run() {
    struct stat file {};
    if (fstat(STDIN_FILENO, &file) == 0 && S_ISREG(file.st_mode)) {
      all_bytes_ = static_cast<std::uint64_t>(file.st_size);
    }
    std::string buffer(kPieceBytes, '\0');
    std::optional<Error> broken;
    while (!broken && !Interrupted() && in_.good()) {
      in_.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      parser_.Feed({buffer.data(), static_cast<std::size_t>(in_.gcount())});
      if (!in_.good()) parser_.End();
      broken = TakeCommands();
      ShowProgress();
    }
    if (!broken) Send();
    Await();
    progress_.Clear();
    if (broken) Complain(commands_ + 1, "", *broken);
    return Summary(!broken && !Interrupted());
  }

 private:
  // What makes it impossible to go on.
  std::optional<Error> TakeCommands() {
    while (true) {
      Result<std::optional<PipeParser::Item>> next = parser_.Next();
      if (!next) return next.error();
      if (!*next) return std::nullopt;
      PipeParser::Item& item = **next;
      if (item.error) {
        Complain(++commands_, "", *item.error);
        continue;
      }
      if (item.command.empty()) continue;  // an empty line, a comment
      batch_names_.push_back({++commands_, item.command.front()});
      batch_bytes_ += item.bytes;
      batch_.push_back(std::move(item.command));
      if (batch_.size() == kBatchCommandsMax || batch_bytes_ >= kPipeBatchBytesMax) Send();
      if (Interrupted()) return std::nullopt;
    }
  }

  void Send() {
    if (batch_.empty()) return;
    Await();
    CallOptions call = shell_.call;
    if (call.deadline.count() == 0) call.deadline = kBatchPatience;
    call.wait_for_room = true;
    under_way_.emplace(shell_.client.ExecuteManyAsync(batch_, call));
    under_way_names_ = std::exchange(batch_names_, {});
    batch_.clear();
    batch_bytes_ = 0;
  }

  void Await() {
    if (!under_way_) return;
    const std::vector<Result<Value>> results = under_way_->Get();
    under_way_.reset();
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i]) continue;
      Complain(under_way_names_[i].number, under_way_names_[i].name, results[i].error());
    }
    done_ += results.size();
    ShowProgress();
  }

  void Complain(std::uint64_t number, const std::string& name, const Error& error) {
    if (++errors_ > kErrorsShownMax) return;
    progress_.Clear();
    if (shell_.json) return;
    shell_.err << ErrorPrefix(0) << "command " << number << (name.empty() ? "" : " (" + name + ")")
               << ": " << ErrorCodeName(error.code) << ": " << error.message << "\n";
    if (errors_ == kErrorsShownMax) {
      shell_.err << ErrorPrefix(0) << "further errors are counted, not shown\n";
    }
  }

  double Seconds() const {
    return std::max(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(), 1e-6);
  }

  void ShowProgress() {
    if (!progress_.Due()) return;
    std::string text = HumanCount(static_cast<double>(done_)) + " commands" +
                       std::string(shell_.screen.separator()) +
                       HumanBytes(static_cast<double>(parser_.bytes()));
    if (all_bytes_ > 0) {
      constexpr std::size_t kCells = 12;
      const double share =
          std::min(1.0, static_cast<double>(parser_.bytes()) / static_cast<double>(all_bytes_));
      text = "[" + Bar(shell_.screen, share, kCells) + "] " + text + " of " +
             HumanBytes(static_cast<double>(all_bytes_));
    }
    progress_.Show(text + std::string(shell_.screen.separator()) +
                   HumanCount(static_cast<double>(done_) / Seconds()) + "/s" +
                   std::string(shell_.screen.separator()) +
                   HumanCount(static_cast<double>(errors_)) + " errors");
  }

  int Summary(bool complete) {
    const double rate = static_cast<double>(done_) / Seconds();
    if (shell_.json) {
      shell_.PrintJson({{"commands", done_},
                        {"errors", errors_},
                        {"bytes", parser_.bytes()},
                        {"seconds", Seconds()},
                        {"commands_per_second", rate},
                        {"complete", complete}});
    } else {
      shell_.out << done_ << " commands, " << errors_ << (errors_ == 1 ? " error, " : " errors, ")
                 << HumanBytes(static_cast<double>(parser_.bytes())) << " in "
                 << HumanLatency(Seconds()) << ": " << HumanCount(rate) << "/s"
                 << (complete ? "" : "; not all was sent") << "\n";
    }
    return errors_ == 0 && complete ? kExitDone : kExitRefused;
  }

  const ShellContext& shell_;
  std::istream& in_;
  PipeParser parser_;
  ProgressLine progress_{shell_.err, shell_.error_terminal && !shell_.json};
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::uint64_t all_bytes_ = 0;  // of the file; 0: not known
  std::uint64_t commands_ = 0;   // read
  std::uint64_t done_ = 0;       // answered
  std::uint64_t errors_ = 0;
  std::vector<Command> batch_;
  std::vector<Numbered> batch_names_;
  std::size_t batch_bytes_ = 0;
  std::optional<Operation<std::vector<Result<Value>>>> under_way_;
  std::vector<Numbered> under_way_names_;
};

}  // namespace

PipeParser::Item PipeParser::Take(std::size_t bytes, Command command, std::optional<Error> error) {
  begin_ += bytes;
  taken_ += bytes;
  // Moving what is left costs no more than what was read.
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  return {std::move(command), std::move(error), bytes};
}

Result<std::optional<PipeParser::Item>> PipeParser::Next() {
  if (begin_ == buffer_.size()) return std::optional<Item>();
  if (buffer_[begin_] == '*') return NextArray();
  std::optional<Item> line = NextLine();
  if (!line && buffer_.size() - begin_ > kReplyBytesMax) {
    return Error{ErrorCode::kTooLarge, "a line is longer than " + std::to_string(kReplyBytesMax) +
                                           " bytes; nothing behind it was sent"};
  }
  return line;
}

std::optional<PipeParser::Item> PipeParser::NextLine() {
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  const std::size_t newline = rest.find('\n');
  if (newline == std::string_view::npos && !ended_) return std::nullopt;
  const std::string line(rest.substr(0, newline));
  const std::size_t bytes = std::min(newline, rest.size() - 1) + 1;
  Result<std::vector<Word>> words = SplitWords(line);
  if (!words) return Take(bytes, {}, words.error());
  Command command;
  const bool comment =
      !words->empty() && !words->front().quoted && words->front().text.starts_with('#');
  if (!comment) {
    for (Word& word : *words) command.push_back(std::move(word.text));
  }
  return Take(bytes, std::move(command));
}

Result<std::optional<std::size_t>> PipeParser::ReadNumber(char mark, std::size_t most,
                                                          std::size_t& at) const {
  constexpr std::size_t kNumberBytesMax = 24;
  const std::string_view rest = std::string_view(buffer_).substr(at);
  const Error garbage{ErrorCode::kProtocol,
                      "at byte " + std::to_string(taken_ + (at - begin_)) + " stands no RESP " +
                          (mark == '*' ? "array" : "bulk string") + "; nothing behind it was sent"};
  if (!rest.empty() && rest.front() != mark) return garbage;
  const std::size_t end = rest.find("\r\n");
  if (end == std::string_view::npos) {
    if (rest.size() > kNumberBytesMax || ended_) return garbage;
    return std::optional<std::size_t>();
  }
  std::size_t number = 0;
  const auto [last, error] = std::from_chars(rest.data() + 1, rest.data() + end, number);
  if (error != std::errc() || last != rest.data() + end || number > most) return garbage;
  at += end + 2;
  return std::optional<std::size_t>(number);
}

Result<std::optional<PipeParser::Item>> PipeParser::NextArray() {
  std::size_t at = begin_;
  const Result<std::optional<std::size_t>> count = ReadNumber('*', kArgumentsMax, at);
  if (!count) return count.error();
  if (!*count) return std::optional<Item>();
  Command command;
  for (std::size_t i = 0; i < **count; ++i) {
    const Result<std::optional<std::size_t>> length = ReadNumber('$', kReplyBytesMax, at);
    if (!length) return length.error();
    if (!*length) return std::optional<Item>();
    if (buffer_.size() - at < **length + 2) {
      if (ended_) {
        return Error{ErrorCode::kProtocol, "the last command is not whole and was not sent"};
      }
      return std::optional<Item>();
    }
    if (buffer_.compare(at + **length, 2, "\r\n") != 0) {
      return Error{ErrorCode::kProtocol, "the string at byte " +
                                             std::to_string(taken_ + (at - begin_)) +
                                             " is not as long as it says; nothing behind it was "
                                             "sent"};
    }
    command.push_back(buffer_.substr(at, **length));
    at += **length + 2;
  }
  return std::optional<Item>(Take(at - begin_, std::move(command)));
}

int Pipe(const ShellContext& shell, const Arguments&) {
  if (shell.in == nullptr) {
    shell.err << ErrorPrefix(shell.line)
              << "pipe reads commands from standard input: gyre pipe < FILE\n";
    return kExitUsage;
  }
  return PipeRun(shell, *shell.in).Run();
}

}  // namespace gyre::client
