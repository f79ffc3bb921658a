// The one table of commands and the one grammar, of `gyre COMMAND ...` as of a line of the shell:
//
//   [--option ...] COMMAND argument ... [--option ...] [-- argument ...]
//
// A word that begins with '-' is an option, unless it is a number, was quoted (in the shell) or
// stands behind "--". Options are CLI11's; arguments are never shown to it, because it reads some of
// them in its own way ("[a,b]", "{}") and they may be any bytes.
//
// Parsing chooses an action; nothing runs while parsing.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/shell/tool.h"
#include "client/shell/words.h"

namespace gyre::client {

// What a row's own arguments derive from.
struct Arguments {
  std::vector<std::string> words;  // behind the command's name, options taken out
};

inline constexpr char kDataGroup[] = "Keys and values";
inline constexpr char kRedisGroup[] = "Redis's commands";
inline constexpr char kOperatorGroup[] = "Operator's commands";
inline constexpr char kShellGroup[] = "The shell";

// What stands in the table for people.
struct Syntax {
  std::string name;
  // "KEY VALUE [EX seconds]": [ ] may be left out, "..." goes on. Bounds the number of words.
  std::string arguments;
  std::string description;
  std::string group = kDataGroup;
};

// How often a command is run.
struct Repeat {
  std::uint64_t count = 1;  // 0: until it is interrupted
  double interval_seconds = 0;

  bool once() const { return count == 1; }
};

// The options that any command takes.
struct CommonOptions {
  std::string connect = "127.0.0.1:7700";
  std::string output = "text";
  std::uint64_t deadline_ms = 0;
  std::uint32_t write_acks = 0;
  bool raw = false;
  bool last_from_input = false;
  bool stat = false;
  Repeat repeat;
};

class CommandLine {
 public:
  using Action = std::function<int(const ShellContext&)>;
  // Runs without a client: it makes its own connections (bench).
  using Alone = std::function<int(const ToolStreams&)>;

  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // kExitDone and an action (or none: then the shell); or the exit status with what to print in
  // `message` (help: kExitDone, no action, a message; else what is wrong, without the program's
  // name). `input`: whence -x reads the last argument; null: it cannot (the shell).
  int Parse(const std::vector<Word>& words, std::istream* input);
  // From now on lines of the shell are parsed: the options given so far are the defaults of each.
  void EnterShell();
  // The shell is connected to another node.
  void ConnectedTo(const std::string& connect) { defaults_.connect = common_.connect = connect; }

  const std::string& message() const { return message_; }
  const Action& action() const { return action_; }
  const Alone& alone() const { return alone_; }
  const std::string& connect() const { return common_.connect; }
  bool json() const { return common_.output == "json"; }
  bool raw() const { return common_.raw; }
  CallOptions call() const;
  const Repeat& repeat() const { return common_.repeat; }
  // To connect to `connect`: "HOST[:PORT]", several with commas.
  Options ClientOptions(const std::string& connect) const;

  // What people are told of a command.
  struct Description {
    std::string arguments;
    std::string text;
    std::string group;
  };
  std::vector<std::string> names() const;
  // Null: there is no command of that name (in lower case).
  const Description* Find(const std::string& name) const;
  // "--ttl", "-o", ...: those of the command and those of all.
  std::vector<std::string> OptionNames(const std::string& command) const;
  // For the shell: adds what it alone understands to the help.
  void Describe(const Syntax& syntax);
  // Of all commands, each a subcommand with its own.
  const CLI::App& options() const { return app_; }

  // For the groups of commands: adds a row. `declare` adds its options, `check` returns what is
  // wrong with its words ("": nothing).
  template <typename Row>
  void Add(const Syntax& syntax, const std::function<void(CLI::App&, Row&)>& declare,
           std::function<int(const ShellContext&, const Row&)> run,
           std::function<std::string(Row&)> check = nullptr) {
    auto row = std::make_shared<Row>();
    Command& command = AddCommand(syntax, [row] { *row = Row{}; });
    if (declare) declare(*command.options, *row);
    command.accept = [row, check = std::move(check)](std::vector<std::string> words) {
      row->words = std::move(words);
      return check ? check(*row) : std::string();
    };
    if (!run) return;  // it runs alone
    command.action = [row, run = std::move(run)](const ShellContext& shell) {
      return run(shell, *row);
    };
  }
  // The last row added runs without a client.
  void RunsAlone(const std::string& name, Alone alone) {
    commands_.at(name).alone = std::move(alone);
  }

 private:
  struct Command {
    CLI::App* options = nullptr;
    Description description;
    std::size_t words_min = 0;
    std::size_t words_max = 0;
    std::function<void()> reset;
    std::function<std::string(std::vector<std::string>)> accept;
    Action action;
    Alone alone;
  };
  class Formatter;
  struct Sorted;

  Command& AddCommand(const Syntax& syntax, std::function<void()> reset);
  Sorted Sort(const std::vector<Word>& words) const;
  int ParseOptions(const Sorted& sorted);
  int Accept(Command& command, const std::string& name, std::vector<std::string> words);
  int Fail(std::string message, const std::string& command);
  int UnknownCommand(const std::string& word);
  int Help(const std::vector<std::string>& words);
  std::string HelpOfCommand(const std::string& name, const Command& command) const;
  // Of the groups whose name has that word; empty: there is none.
  std::string HelpOfGroup(const std::string& word) const;

  CLI::App app_;
  std::map<std::string, Command> commands_;
  std::map<std::string, Description> described_;  // see Describe
  CommonOptions common_;
  CommonOptions defaults_;
  bool in_shell_ = false;
  Action action_;
  Alone alone_;
  std::string message_;
};

// Runs the action that was parsed, as often as it is wanted; returns the worst exit status.
int RunAction(const CommandLine& line, const ShellContext& shell);

// The groups.
void AddDataCommands(CommandLine& line);
void AddKeySpaceCommands(CommandLine& line);
void AddRedisCommands(CommandLine& line);
void AddClusterCommands(CommandLine& line);
void AddInspectionCommands(CommandLine& line);
void AddBenchCommand(CommandLine& line);
void AddCompletionCommand(CommandLine& line);
void AddTransferCommands(CommandLine& line);

}  // namespace gyre::client
