#include "client/shell/command_line.h"

#include <algorithm>
#include <sstream>

#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr const char* kDescription =
    "The shell and the operator's tool of a Gyre cluster.\n"
    "Without a command: the interactive shell (or commands from a pipe, one a line).";

constexpr const char* kFooter =
    "Exit status: 0 done, 1 not found or refused, 2 usage, 3 cannot connect.\n"
    "Arguments that begin with '-' stand behind '--':  gyre set key -- -5";

}  // namespace

CommandLine::CommandLine() : app_(kDescription, "gyre") {
  app_.set_version_flag("--version", "gyre " GYRE_VERSION);
  app_.add_option("--connect", connect_, "A node, HOST:PORT; several with commas")
      ->envname("GYRE_CONNECT")
      ->take_last()
      ->capture_default_str();
  app_.add_option("-o,--output", output_, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app_.add_option("--deadline", deadline_ms_, "Milliseconds that a request may take");
  app_.add_option("--write-acks", write_acks_, "Copies that must acknowledge each write");
  app_.footer(kFooter);
  app_.fallthrough();  // the options above may stand behind the command
  app_.require_subcommand(0, 1);
  AddDataCommands(*this);
  AddKeySpaceCommands(*this);
  AddClusterCommands(*this);
  AddBenchCommand(*this);
}

std::vector<std::string> CommandLine::names() const {
  std::vector<std::string> names;
  for (const CLI::App* command : app_.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::string CommandLine::CommandWord(const std::vector<std::string>& args) const {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") return {};
    if (!arg.starts_with('-')) return arg;
    const bool has_value = arg == "--connect" || arg == "-o" || arg == "--output" ||
                           arg == "--deadline" || arg == "--write-acks";
    if (has_value) ++i;
  }
  return {};
}

int CommandLine::UnknownCommand(const std::string& word) {
  message_ = "gyre: there is no command '" + word + "'";
  const std::vector<std::string> near = NearMatches(word, names());
  for (std::size_t i = 0; i < near.size(); ++i)
    message_ += (i == 0 ? "; did you mean " : ", ") + near[i];
  message_ += near.empty() ? "; all commands: gyre --help\n" : "?\n";
  return kExitUsage;
}

int CommandLine::Parse(const std::vector<std::string>& args) {
  action_ = nullptr;
  alone_ = nullptr;
  message_.clear();
  const std::string word = CommandWord(args);
  const std::vector<std::string> known = names();
  if (!word.empty() && std::find(known.begin(), known.end(), word) == known.end()) {
    return UnknownCommand(word);
  }
  try {
    app_.parse(std::vector<std::string>(args.rbegin(), args.rend()));
    return kExitDone;
  } catch (const CLI::CallForVersion& version) {
    message_ = std::string(version.what()) + "\n";
    return kExitDone;
  } catch (const CLI::CallForHelp&) {
    message_ = app_.help();
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    message_ = "gyre: " + std::string(error.what()) + "\nsee: gyre " +
               (word.empty() ? "" : word + " ") + "--help\n";
    return kExitUsage;
  }
}

}  // namespace gyre::client
