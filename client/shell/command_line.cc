#include "client/shell/command_line.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <limits>
#include <sstream>
#include <thread>
#include <tuple>
#include <utility>

#include "client/shell/interrupt.h"
#include "client/wire.h"
#include "proto/command_schema.h"

namespace gyre::client {
namespace {

constexpr const char* kDescription =
    "The shell and the operator's tool of a Gyre cluster.\n"
    "Without a command: the interactive shell (or commands from a pipe, one a line). The commands "
    "are the same in both.";

constexpr const char* kFooter =
    "Exit status: 0 done, 1 not found or refused, 2 usage, 3 cannot connect; of commands from a "
    "pipe: the worst.\n"
    "Arguments that begin with '-' and are no number stand behind '--':  gyre set key -- -v\n"
    "More on a command: gyre help COMMAND; on a group: gyre help redis, gyre help operator.\n"
    "In the shell: \"...\" understands \\n \\r \\t \\\" \\\\ \\xHH, '...' is as it is, # begins a "
    "comment, quit leaves.\n"
    "Values are printed as they are, with a newline behind (--raw: without); on a terminal what is "
    "no plain text is quoted.\n"
    "In JSON, bytes that are not UTF-8 stand in base64: \"value_base64\": \"/w==\", or "
    "{\"base64\": "
    "\"/w==\"} in a list.";

constexpr std::size_t kWordsUnbounded = std::numeric_limits<std::size_t>::max();
// Of a word that is quoted in a message.
constexpr std::size_t kShownBytesMax = 64;
constexpr double kIntervalSecondsMax = 24 * 3600.0;

bool IsOption(const Word& word) {
  if (word.quoted || word.text.size() < 2 || word.text.front() != '-') return false;
  const char next = word.text[1];
  return !(std::isdigit(static_cast<unsigned char>(next)) || next == '.');
}

// "KEY VALUE [EX seconds]" -> 2 to 4; "KEY ..." -> 1 to many.
std::pair<std::size_t, std::size_t> WordBounds(const std::string& arguments) {
  std::size_t least = 0;
  std::size_t most = 0;
  bool optional = false;
  std::istringstream words(arguments);
  for (std::string word; words >> word;) {
    optional |= word.starts_with('[');
    if (word.starts_with("...")) {
      most = kWordsUnbounded;
    } else {
      least += optional ? 0 : 1;
      most += most == kWordsUnbounded ? 0 : 1;
    }
    if (word.ends_with(']')) optional = false;
  }
  return {least, most};
}

std::vector<std::string> SplitCommas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

// False: it was interrupted.
bool Sleep(double seconds) {
  constexpr std::chrono::milliseconds kLook{20};
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (Interrupted()) return false;
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(kLook, end - std::chrono::steady_clock::now()));
  }
  return !Interrupted();
}

Result<std::string> ReadAll(std::istream& input) {
  std::string bytes;
  char buffer[64 * 1024];
  while (input.read(buffer, sizeof buffer), input.gcount() > 0) {
    bytes.append(buffer, static_cast<std::size_t>(input.gcount()));
    if (bytes.size() > kReplyBytesMax) {
      return Error{ErrorCode::kTooLarge, "-x: standard input has more than the " +
                                             std::to_string(kReplyBytesMax) +
                                             " bytes that a request may have"};
    }
  }
  return bytes;
}

}  // namespace

// The usage line that CLI11 would write knows no arguments.
class CommandLine::Formatter : public CLI::Formatter {
 public:
  explicit Formatter(const CommandLine& line) : line_(line) {}
  std::string make_usage(const CLI::App* app, std::string) const override {
    if (app->get_parent() == nullptr) return "Usage: gyre [OPTIONS] [COMMAND ARGUMENT ...]\n\n";
    const std::string& arguments = line_.commands_.at(app->get_name()).description.arguments;
    return "Usage: gyre " + app->get_name() + (arguments.empty() ? "" : " " + arguments) +
           " [OPTIONS]\n\n";
  }

 private:
  const CommandLine& line_;
};

// Words told apart.
struct CommandLine::Sorted {
  bool has_command = false;
  std::string command;  // in lower case
  std::vector<std::string> arguments;
  std::vector<std::string> options;  // with their values
};

CommandLine::CommandLine() : app_(kDescription, "gyre") {
  app_.formatter(std::make_shared<Formatter>(*this));
  app_.set_version_flag("--version", "gyre " GYRE_VERSION);
  app_.add_option("--connect", common_.connect, "A node, HOST:PORT; several with commas")
      ->envname("GYRE_CONNECT")
      ->take_last()
      ->capture_default_str();
  app_.add_option("-o,--output", common_.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app_.add_option("--deadline", common_.deadline_ms, "Milliseconds that a request may take");
  app_.add_option("--write-acks", common_.write_acks, "Copies that must acknowledge each write");
  app_.add_flag("--raw", common_.raw, "Values byte for byte, without a newline behind");
  app_.add_flag("-x", common_.last_from_input,
                "The last argument is what standard input has, byte for byte:  gyre set -x key "
                "< file");
  auto* repeat = app_.add_option("-r,--repeat", common_.repeat.count,
                                 "Run the command so often; 0: until it is interrupted")
                     ->check(CLI::NonNegativeNumber);
  app_.add_option_function<double>(
          "-i,--pause",
          [this, repeat](double seconds) {
            common_.repeat.interval_seconds = seconds;
            if (repeat->count() == 0) common_.repeat.count = 0;
          },
          "Seconds from one run to the next (without -r: until it is interrupted)")
      ->check(CLI::Range(0.0, kIntervalSecondsMax));
  app_.add_flag("--stat", common_.stat, "As the command stat: a line of figures each second");
  app_.footer(kFooter);
  app_.fallthrough();  // the options above may stand behind the command
  app_.require_subcommand(0, 1);
  AddDataCommands(*this);
  AddKeySpaceCommands(*this);
  AddClusterCommands(*this);
  AddInspectionCommands(*this);
  AddTransferCommands(*this);
  AddBenchCommand(*this);
  AddCompletionCommand(*this);
  AddRedisCommands(*this);
}

CommandLine::Command& CommandLine::AddCommand(const Syntax& syntax, std::function<void()> reset) {
  Command& command = commands_[syntax.name];
  command.options = app_.add_subcommand(syntax.name, syntax.description);
  command.options->group(syntax.group);
  command.description = {syntax.arguments, syntax.description, syntax.group};
  std::tie(command.words_min, command.words_max) = WordBounds(syntax.arguments);
  command.reset = std::move(reset);
  return command;
}

void CommandLine::EnterShell() {
  in_shell_ = true;
  defaults_ = common_;
}

CallOptions CommandLine::call() const {
  return {Milliseconds{static_cast<std::int64_t>(common_.deadline_ms)}, common_.write_acks};
}

Options CommandLine::ClientOptions(const std::string& connect) const {
  Options options;
  options.seeds = SplitCommas(connect);
  options.write_acks = call().write_acks;
  // A person waits longer than a program, and would rather not be told "unknown".
  constexpr Milliseconds kPatience{5000};
  options.deadline = call().deadline.count() > 0 ? call().deadline : kPatience;
  return options;
}

const CommandLine::Description* CommandLine::Find(const std::string& name) const {
  const auto command = commands_.find(name);
  if (command != commands_.end()) return &command->second.description;
  const auto described = described_.find(name);
  return described == described_.end() ? nullptr : &described->second;
}

void CommandLine::Describe(const Syntax& syntax) {
  described_[syntax.name] = {syntax.arguments, syntax.description, syntax.group};
}

std::vector<std::string> CommandLine::OptionNames(const std::string& command) const {
  std::vector<std::string> names;
  const auto add = [&names](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
  };
  const auto known = commands_.find(command);
  if (known != commands_.end()) add(*known->second.options);
  add(app_);
  return names;
}

std::vector<std::string> CommandLine::names() const {
  std::vector<std::string> names;
  for (const auto& [name, command] : commands_) names.push_back(name);
  for (const auto& [name, description] : described_) names.push_back(name);
  return names;
}

int CommandLine::Fail(std::string message, const std::string& command) {
  message_ =
      std::move(message) + "\nsee: gyre " + (command.empty() ? "" : command + " ") + "--help\n";
  return kExitUsage;
}

int CommandLine::UnknownCommand(const std::string& word) {
  message_ = "there is no command '" + word.substr(0, kShownBytesMax) + "'";
  const std::vector<std::string> near = NearMatches(word, names());
  for (std::size_t i = 0; i < near.size(); ++i)
    message_ += (i == 0 ? "; did you mean " : ", ") + near[i];
  message_ += near.empty() ? "; all commands: gyre --help\n" : "?\n";
  return kExitUsage;
}

int CommandLine::Help(const std::vector<std::string>& words) {
  if (words.empty()) {
    message_ = app_.help();
    return kExitDone;
  }
  const std::string name = ToLower(words.front());
  const auto command = commands_.find(name);
  const auto described = described_.find(name);
  if (command != commands_.end()) {
    message_ = HelpOfCommand(name, command->second);
  } else if (described != described_.end()) {
    message_ = name + " " + described->second.arguments + "\n  " + described->second.text + "\n";
  } else {
    message_ = HelpOfGroup(name);
    if (message_.empty()) return UnknownCommand(words.front());
  }
  return kExitDone;
}

std::string CommandLine::HelpOfCommand(const std::string& name, const Command& command) const {
  std::string text = command.options->help();
  const RowIndex row = FindCommandRow(name);
  const std::size_t count = row == kNoRow ? 0 : CountSubcommandRows(row);
  if (count == 0) return text;
  text += "\nSubcommands of the servers:\n";
  for (std::size_t i = 0; i < count; ++i) {
    const CommandRow& sub = CommandRows()[row + 1 + i];
    std::string usage(sub.name.substr(sub.name.find('|') + 1));
    if (!sub.docs.arguments.empty()) usage += " " + std::string(sub.docs.arguments);
    constexpr std::size_t kUsageCells = 34;
    text += "  " + usage + std::string(kUsageCells - std::min(kUsageCells - 1, usage.size()), ' ') +
            std::string(sub.docs.summary) + "\n";
  }
  return text;
}

std::string CommandLine::HelpOfGroup(const std::string& word) const {
  std::map<std::string, std::string> groups;
  const auto add = [&](const std::string& name, const Description& one) {
    if (ToLower(one.group).find(word) == std::string::npos) return;
    // The first sentence; all of it: help NAME.
    const std::size_t end = one.text.find_first_of(":;.");
    constexpr std::size_t kUsageCells = 30;
    const std::string usage = name + (one.arguments.empty() ? "" : " " + one.arguments);
    const std::string gap = usage.size() < kUsageCells
                                ? std::string(kUsageCells - usage.size(), ' ')
                                : "\n" + std::string(kUsageCells + 2, ' ');
    groups[one.group] += "  " + usage + gap + one.text.substr(0, end) + "\n";
  };
  for (const auto& [name, command] : commands_) add(name, command.description);
  for (const auto& [name, one] : described_) add(name, one);
  std::string text;
  for (const auto& [group, lines] : groups) {
    text += (text.empty() ? "" : "\n") + group + ":\n" + lines;
  }
  return text;
}

CommandLine::Sorted CommandLine::Sort(const std::vector<Word>& words) const {
  Sorted sorted;
  const CLI::App* own = nullptr;  // the command's options, once it is known
  bool only_arguments = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Word& word = words[i];
    if (!only_arguments && !word.quoted && word.text == "--") {
      only_arguments = true;
    } else if (!only_arguments && !sorted.has_command && word.text == "--stat") {
      sorted.has_command = true;
      sorted.command = "stat";
      own = commands_.at(sorted.command).options;
    } else if (only_arguments || !IsOption(word)) {
      if (std::exchange(sorted.has_command, true)) {
        sorted.arguments.push_back(word.text);
        continue;
      }
      sorted.command = ToLower(word.text);
      const auto command = commands_.find(sorted.command);
      if (command != commands_.end()) own = command->second.options;
    } else {
      sorted.options.push_back(word.text);
      const CLI::Option* option = own != nullptr ? own->get_option_no_throw(word.text) : nullptr;
      if (option == nullptr) option = app_.get_option_no_throw(word.text);
      const bool has_value = option != nullptr && option->get_items_expected_min() > 0;
      if (has_value && i + 1 < words.size()) sorted.options.push_back(words[++i].text);
    }
  }
  return sorted;
}

int CommandLine::ParseOptions(const Sorted& sorted) {
  std::vector<std::string> reversed(sorted.options.rbegin(), sorted.options.rend());
  if (sorted.has_command) reversed.push_back(sorted.command);
  try {
    app_.parse(std::move(reversed));
    return kExitDone;
  } catch (const CLI::CallForVersion& version) {
    message_ = std::string(version.what()) + "\n";
    return kExitDone;
  } catch (const CLI::CallForHelp&) {
    message_ = app_.help();
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    return Fail(error.what(), sorted.command);
  }
}

int CommandLine::Accept(Command& command, const std::string& name, std::vector<std::string> words) {
  if (words.size() < command.words_min || words.size() > command.words_max) {
    return Fail(name + " takes " +
                    (command.description.arguments.empty() ? "no arguments"
                                                           : command.description.arguments) +
                    ", not " + std::to_string(words.size()) +
                    (words.size() == 1 ? " argument" : " arguments"),
                name);
  }
  const std::string wrong = command.accept(std::move(words));
  if (!wrong.empty()) return Fail(wrong, name);
  action_ = command.action;
  alone_ = command.alone;
  return kExitDone;
}

int CommandLine::Parse(const std::vector<Word>& words, std::istream* input) {
  action_ = nullptr;
  alone_ = nullptr;
  message_.clear();
  common_ = defaults_;
  Sorted sorted = Sort(words);
  if (sorted.command == "help") return Help(sorted.arguments);
  const auto command = commands_.find(sorted.command);
  if (command == commands_.end() && sorted.has_command) return UnknownCommand(sorted.command);
  if (command != commands_.end()) command->second.reset();
  // The environment names the node too, so a first parse is never left out.
  if (!in_shell_ || !sorted.options.empty()) {
    const int status = ParseOptions(sorted);
    if (status != kExitDone || !message_.empty()) return status;
  }
  if (common_.stat) return Fail("--stat stands for a command: gyre --stat", sorted.command);
  if (in_shell_) {
    const bool connects =
        std::any_of(sorted.options.begin(), sorted.options.end(),
                    [](const std::string& option) { return option.starts_with("--connect"); });
    if (connects) return Fail("the shell is connected; to another node: connect HOST[:PORT]", "");
    common_.connect = defaults_.connect;
  }
  if (common_.last_from_input) {
    if (input == nullptr) return Fail("-x: standard input has the commands here", sorted.command);
    Result<std::string> bytes = ReadAll(*input);
    if (!bytes) return Fail(bytes.error().message, sorted.command);
    sorted.arguments.push_back(std::move(*bytes));
  }
  if (command == commands_.end()) return kExitDone;
  return Accept(command->second, command->first, std::move(sorted.arguments));
}

int RunAction(const CommandLine& line, const ShellContext& shell) {
  const Repeat repeat = line.repeat();
  if (repeat.once()) return line.action()(shell);
  int worst = kExitDone;
  for (std::uint64_t run = 0; repeat.count == 0 || run < repeat.count; ++run) {
    if (run > 0 && !Sleep(repeat.interval_seconds)) break;
    worst = std::max(worst, line.action()(shell));
    shell.out.flush();
    if (Interrupted()) break;
  }
  return worst;
}

}  // namespace gyre::client
