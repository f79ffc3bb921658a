// The part of the shell that a person types into: lines and what stands around them. A command's own
// line is run as everywhere else (repl.h).
#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <utility>

#include "client/shell/hint.h"
#include "client/shell/interrupt.h"
#include "client/shell/line_editor.h"
#include "client/shell/live_screen.h"
#include "client/shell/paged_output.h"
#include "client/shell/repl.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

using std::chrono::steady_clock;

// Of a line that goes on in others.
constexpr std::size_t kLineBytesMax = std::size_t{64} << 20;
// How long the Tab key may look for keys, how many it lists, and how many a step looks at.
constexpr Milliseconds kFindKeysPatience{150};
constexpr std::size_t kFoundKeysMax = 100;
constexpr const char* kFindKeysStep = "1000";
// How long it is tried to reach a ring of which no node answers, and how often.
constexpr std::chrono::seconds kReconnectPatience{15};
constexpr Milliseconds kProbePatience{1000};
constexpr Milliseconds kReconnectPause{250};
constexpr double kWatchSeconds = 2;
constexpr double kWatchSecondsMax = 24 * 3600;

const Syntax kShellSyntax[] = {
    {"connect", "HOST[:PORT]", "Goes on with another node, or another cluster", kShellGroup},
    {"\\timing", "[on|off]", "Says of each command how long it took", kShellGroup},
    {"\\watch", "[SECONDS] COMMAND ...",
     "Runs a command again and again, and shows what it says; q ends it", kShellGroup},
    {"\\pager", "[on|off]",
     "Whether what is longer than the screen goes through $PAGER (less -R -F -X where it is not "
     "set)",
     kShellGroup},
    {"help", "[COMMAND|GROUP]", "Describes a command, or lists those of a group: help operator",
     kShellGroup},
    {"quit", "", "Leaves the shell, as Ctrl-D does", kShellGroup},
};

// A program that reads no more must not end the shell.
class IgnoreBrokenPipes {
 public:
  IgnoreBrokenPipes() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnoreBrokenPipes() { std::signal(SIGPIPE, before_); }
  IgnoreBrokenPipes(const IgnoreBrokenPipes&) = delete;
  IgnoreBrokenPipes& operator=(const IgnoreBrokenPipes&) = delete;

 private:
  void (*before_)(int);
};

// While it lives, an error is preceded by what was written to `out`.
class TieErrors {
 public:
  TieErrors(std::ostream& err, std::ostream& out) : err_(err), before_(err.tie(&out)) {}
  ~TieErrors() { err_.tie(before_); }
  TieErrors(const TieErrors&) = delete;
  TieErrors& operator=(const TieErrors&) = delete;

 private:
  std::ostream& err_;
  std::ostream* before_;
};

std::string EscapeGlob(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

FoundKeys FindKeysThatBegin(Client& client, const std::string& prefix) {
  FoundKeys found;
  const auto end = steady_clock::now() + kFindKeysPatience;
  std::string cursor = "0";
  do {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - steady_clock::now());
    if (left.count() <= 0) {
      found.more = true;
      return found;
    }
    const Result<Value> step =
        client.Execute({"SCAN", cursor, "MATCH", EscapeGlob(prefix) + "*", "COUNT", kFindKeysStep},
                       {.deadline = left});
    if (!step || step->elements.size() != 2) {
      found.more = true;
      return found;
    }
    const Value& next = step->elements[0];
    cursor = next.kind == Value::Kind::kUnsigned  ? std::to_string(next.unsigned_integer)
             : next.kind == Value::Kind::kInteger ? std::to_string(next.integer)
                                                  : next.text;
    for (const Value& key : step->elements[1].elements) {
      // A key may be told twice.
      if (std::find(found.keys.begin(), found.keys.end(), key.text) != found.keys.end()) continue;
      if (found.keys.size() == kFoundKeysMax) {
        found.more = true;
        return found;
      }
      found.keys.push_back(key.text);
    }
  } while (cursor != "0");
  return found;
}

// Those that may answer, of all.
std::pair<std::size_t, std::size_t> CountUp(const RingInfo& ring) {
  const auto up = std::count_if(ring.nodes.begin(), ring.nodes.end(), [](const NodeInfo& node) {
    return node.state != "dead" && node.state != "stopped";
  });
  return {static_cast<std::size_t>(up), ring.nodes.size()};
}

std::string SayUp(const RingInfo& ring) {
  const auto [up, all] = CountUp(ring);
  return std::to_string(up) + "/" + std::to_string(all) + " up";
}

// What is left behind the first `count` words, as it was typed.
std::string_view BehindWords(std::string_view line, std::size_t count) {
  constexpr std::string_view kBlanks = " \t\r\n";
  for (std::size_t i = 0; i <= count; ++i) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (i < count) line.remove_prefix(std::min(line.find_first_of(kBlanks), line.size()));
  }
  return line;
}

std::optional<double> ParseSeconds(const std::string& text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return seconds;
}

class InteractiveShell {
 public:
  InteractiveShell(CommandLine& commands, const ShellContext& shell)
      : commands_(commands),
        shell_(shell),
        editor_({.complete =
                     [this](std::string_view line) {
                       return Complete(commands_, line, [this](const std::string& prefix) {
                         return FindKeysThatBegin(shell_.client, prefix);
                       });
                     },
                 .hint = [this](std::string_view line) { return HintFor(commands_, line); }}),
        pager_(PagerOfEnvironment()) {
    for (const Syntax& syntax : kShellSyntax) commands_.Describe(syntax);
    shell_.ask = [this](const std::string& question) -> std::optional<std::string> {
      std::string answer;
      shell_.out.flush();
      if (editor_.Read(question, answer, /*helps=*/false) != LineEnd::kEntered) {
        return std::nullopt;
      }
      return answer;
    };
    shell_.failure = &failure_;
  }

  int Run() {
    const char* home = std::getenv("HOME");
    if (home != nullptr && *home != '\0') editor_.LoadHistory(std::string(home) + "/.gyre_history");
    shell_.out << "connected to " << shell_.connect << "; 'help' helps, 'quit' leaves\n";
    ring_said_ = SayUp(shell_.client.Ring());
    while (!quit_) {
      shell_.out.flush();
      std::string line;
      ForgetInterrupts();
      switch (ReadCommand(line)) {
        case LineEnd::kEntered:
          if (line.find_first_not_of(" \t\n") != std::string::npos) editor_.AddToHistory(line);
          RunEntered(line);
          break;
        case LineEnd::kInterrupted:
          shell_.out << "^C\n";
          break;
        case LineEnd::kGarbled:
          Complain(
              "the line has bytes that are no characters of this terminal, and was not run: "
              "write them as \\xHH in \"...\"");
          break;
        case LineEnd::kEndOfInput:
          shell_.out << "\n";
          quit_ = true;
          break;
      }
    }
    return kExitDone;
  }

 private:
  void Complain(const std::string& what) { shell_.err << ErrorPrefix(0) << what << "\n"; }

  std::string PromptText() {
    const RingInfo ring = shell_.client.Ring();
    const auto [up, all] = CountUp(ring);
    return shell_.connect + (up < all ? " (" + SayUp(ring) + ")" : "") + "> ";
  }

  // With the lines that it goes on in.
  LineEnd ReadCommand(std::string& line) {
    LineEnd end = editor_.Read(PromptText(), line, /*helps=*/true);
    while (end == LineEnd::kEntered && HasOpenQuote(line)) {
      std::string more;
      end = editor_.Read("... ", more, /*helps=*/false);
      // Ctrl-D: the line is given up, not the shell.
      if (end == LineEnd::kEndOfInput) end = LineEnd::kInterrupted;
      line += "\n" + more;
      if (line.size() > kLineBytesMax) {
        Complain("the line is longer than " + std::to_string(kLineBytesMax) +
                 " bytes: store large values with gyre set -x KEY < FILE");
        return LineEnd::kInterrupted;
      }
    }
    return end;
  }

  void RunEntered(const std::string& line) {
    shell_.screen = Screen::OfEnvironment(/*terminal=*/true);
    const Result<std::vector<Word>> words = SplitWords(line);
    const std::string name =
        words && !words->empty() && !words->front().quoted ? ToLower(words->front().text) : "";
    if (name == "connect") {
      Connect(*words);
    } else if (name == "\\timing") {
      Switch(*words, timing_, "timing");
    } else if (name == "\\pager") {
      Switch(*words, paged_, "the pager");
    } else if (name == "\\watch") {
      Watch(line, *words);
    } else if (name.starts_with('\\')) {
      Complain("there is no command '" + name + "'; those of the shell: help shell");
    } else {
      RunCommand(line);
    }
    NoticeRing();
  }

  void Switch(const std::vector<Word>& words, bool& what, const char* name) {
    const std::string to = words.size() > 1 ? ToLower(words[1].text) : "";
    if (words.size() > 2 || (!to.empty() && to != "on" && to != "off")) {
      return Complain(words[0].text + " takes on, off or nothing");
    }
    what = to.empty() ? !what : to == "on";
    shell_.out << name << " is " << (what ? "on" : "off") << "\n";
  }

  void RunCommand(const std::string& line) {
    failure_.reset();
    const auto begin = steady_clock::now();
    auto took = steady_clock::duration{};
    if (const std::optional<PipedLine> piped = SplitPipe(line)) {
      std::optional<FedProgram> program = FedProgram::Start(piped->program);
      if (!program) return Complain("cannot start '" + piped->program + "': too many processes?");
      {
        ProgramBuffer buffer(*program);
        std::ostream out(&buffer);
        ShellContext inner = shell_.With(out, shell_.err);
        inner.terminal = inner.interactive = false;
        inner.screen.colours = false;
        RunIt(piped->command, inner);
      }
      took = steady_clock::now() - begin;
      program->Finish();
    } else {
      PagedBuffer buffer(shell_.out, shell_.screen, paged_ ? pager_ : "");
      std::ostream out(&buffer);
      const TieErrors tie_errors(shell_.err, out);
      RunIt(line, shell_.With(out, shell_.err));
      took = steady_clock::now() - begin;
      buffer.Finish();
    }
    if (timing_) {
      const double seconds = std::chrono::duration<double>(took).count();
      shell_.out << "took " << HumanLatency(seconds) << "\n";
    }
    if (failure_) ReconnectIfLost();
  }

  void RunIt(const std::string& line, const ShellContext& shell) {
    const CancelWhenInterrupted cancel_when_interrupted(shell.client);
    RunLine(commands_, line, shell, quit_);
  }

  void Watch(const std::string& line, const std::vector<Word>& words) {
    const std::optional<double> given =
        words.size() > 1 ? ParseSeconds(words[1].text) : std::nullopt;
    const double seconds = given.value_or(kWatchSeconds);
    const std::string command(BehindWords(line, given ? 2 : 1));
    if (command.empty() || !(seconds > 0) || seconds > kWatchSecondsMax) {
      return Complain("\\watch takes seconds and a command: \\watch 1 status");
    }
    const auto interval = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000) + 1);
    LiveScreen live(shell_.out, shell_.interactive);
    const std::string title = "every " + HumanInterval(seconds);
    constexpr char kCtrlC = 3;
    constexpr char kCtrlD = 4;
    for (char key = 0; key != 'q' && key != kCtrlC && key != kCtrlD && !Interrupted();) {
      std::ostringstream shown;
      ShellContext inner = shell_.With(shown, shown);
      inner.interactive = false;
      inner.ask = nullptr;
      bool quit = false;
      RunLine(commands_, command, inner, quit);
      const std::string dot(shell_.screen.separator());
      live.Show(Coloured(shell_.screen, Colour::kFaint, title + dot + command + dot + "q quit") +
                "\n" + shown.str());
      key = live.WaitForKey(interval);
    }
  }

  void Connect(const std::vector<Word>& words) {
    if (words.size() != 2) return Complain("connect takes HOST[:PORT]");
    const std::string& where = words[1].text;
    Result<Client> client = Client::Connect(commands_.ClientOptions(where));
    if (!client) {
      shell_.Report(client.error());
      return Complain("still connected to " + shell_.connect);
    }
    shell_.client = std::move(*client);
    shell_.connect = where;
    commands_.ConnectedTo(where);
    ring_said_ = SayUp(shell_.client.Ring());
    shell_.out << "connected to " << where << ", " << ring_said_ << "\n";
  }

  // After an error: whether anybody is there. What failed is not done again, for it may have been
  // done.
  void ReconnectIfLost() {
    const bool may_be_lost = *failure_ == ErrorCode::kCannotConnect ||
                             *failure_ == ErrorCode::kUnavailable ||
                             *failure_ == ErrorCode::kTimeout || *failure_ == ErrorCode::kClosed ||
                             *failure_ == ErrorCode::kUnknownOutcome;
    if (!may_be_lost || shell_.client.RefreshRing({.deadline = kProbePatience})) return;
    Complain("no node answers; trying to reach one (Ctrl-C stops that)");
    const auto end = steady_clock::now() + kReconnectPatience;
    while (steady_clock::now() < end && !Interrupted()) {
      const CancelWhenInterrupted cancel_when_interrupted(shell_.client);
      const Result<RingInfo> ring = shell_.client.RefreshRing({.deadline = kProbePatience});
      if (ring) {
        ring_said_ = SayUp(*ring);
        shell_.out << "connected again, " << ring_said_ << "; the command was not repeated\n";
        return;
      }
      std::this_thread::sleep_for(kReconnectPause);
    }
    Complain("not connected: the next command tries again; to another node: connect HOST[:PORT]");
  }

  // Says once that nodes went or came back, as the client heard on its way.
  void NoticeRing() {
    const RingInfo ring = shell_.client.Ring();
    const std::string says = SayUp(ring);
    if (std::exchange(ring_said_, says) == says) return;
    std::string down;
    for (const NodeInfo& node : ring.nodes) {
      if (node.state != "dead" && node.state != "stopped") continue;
      down += (down.empty() ? "; " : ", ") + node.name + " " + node.state;
    }
    shell_.out << Coloured(shell_.screen, down.empty() ? Colour::kGood : Colour::kWarning,
                           "the ring has changed: " + says + down)
               << "\n";
  }

  CommandLine& commands_;
  ShellContext shell_;
  LineEditor editor_;
  const std::string pager_;
  bool paged_ = true;
  bool timing_ = false;
  bool quit_ = false;
  std::optional<ErrorCode> failure_;  // of the command that ran last
  std::string ring_said_;             // "4/5 up"
};

}  // namespace

int RunInteractive(CommandLine& commands, const ShellContext& shell) {
  const CatchInterrupts catch_interrupts;
  const IgnoreBrokenPipes ignore_broken_pipes;
  return InteractiveShell(commands, shell).Run();
}

}  // namespace gyre::client
