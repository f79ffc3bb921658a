// gyre completion: scripts that teach a shell (of the system) the commands and options of gyre. They
// are written from the table of commands, so that they know what it knows.
//
//   source <(gyre completion bash)
//   gyre completion zsh > /usr/share/zsh/vendor-completions/_gyre
#include <memory>
#include <sstream>

#include "client/shell/command_line.h"

namespace gyre::client {
namespace {

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& app) {
  return app.get_options([](const CLI::Option*) { return true; });
}

bool HasValue(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

// As they are typed: "-o", "--output".
std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::vector<std::string> AllNamesOf(const CLI::App& app, bool only_with_value) {
  std::vector<std::string> all;
  for (const CLI::Option* option : OptionsOf(app)) {
    if (only_with_value && !HasValue(*option)) continue;
    for (std::string& name : NamesOf(*option)) all.push_back(std::move(name));
  }
  return all;
}

// Names are letters, digits and dashes: nothing in them wants quoting.
std::string BashScript(const CLI::App& app) {
  std::vector<std::string> commands = {"help"};
  for (const CLI::App* command : CommandsOf(app)) commands.push_back(command->get_name());
  std::ostringstream out;
  out << "# bash completion for gyre, written by: gyre completion bash\n"
         "_gyre() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} command='' index\n"
         "  local commands='"
      << Joined(commands, " ") << "'\n  local options='" << Joined(AllNamesOf(app, false), " ")
      << "'\n"
         "  for ((index = 1; index < COMP_CWORD; ++index)); do\n"
         "    case ${COMP_WORDS[index]} in\n"
         "      "
      << Joined(AllNamesOf(app, true), " | ")
      << ") ((++index)) ;;\n"
         "      -*) ;;\n"
         "      *)\n"
         "        command=${COMP_WORDS[index]}\n"
         "        break\n"
         "        ;;\n"
         "    esac\n"
         "  done\n"
         "  case $command in\n"
         "    '') options+=\" $commands\" ;;\n"
         "    help) options=$commands ;;\n";
  for (const CLI::App* command : CommandsOf(app)) {
    out << "    " << command->get_name() << ") options+=' "
        << Joined(AllNamesOf(*command, false), " ") << "' ;;\n";
  }
  out << "  esac\n"
         "  COMPREPLY=()\n"
         "  if [[ -z $command || $command == help || $word == -* ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
         "  fi\n"
         "}\n"
         "complete -o default -F _gyre gyre\n";
  return out.str();
}

// A word in quotes, in which zsh's _arguments and _describe find no sign of theirs.
std::string ZshText(const std::string& text) {
  std::string quoted;
  for (const char c : text.substr(0, text.find('\n'))) {
    if (c == '\'') {
      quoted += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      quoted += std::string("\\") + c;
    } else {
      quoted += c;
    }
  }
  return quoted;
}

// One argument of _arguments for each name.
std::string ZshOptions(const CLI::App& app, const char* before) {
  std::string text;
  for (const CLI::Option* option : OptionsOf(app)) {
    for (const std::string& name : NamesOf(*option)) {
      const bool is_long = name.starts_with("--");
      text += before + ("'" + name) + (HasValue(*option) ? (is_long ? "=" : "+") : "") + "[" +
              ZshText(option->get_description()) + "]" + (HasValue(*option) ? ":value:" : "") + "'";
    }
  }
  return text;
}

std::string ZshScript(const CLI::App& app) {
  std::ostringstream out;
  out << "#compdef gyre\n"
         "# zsh completion for gyre, written by: gyre completion zsh\n"
         "_gyre() {\n"
         "  local -a commands options\n"
         "  local curcontext=$curcontext state line\n"
         "  commands=(\n    'help:Explains a command'\n";
  for (const CLI::App* command : CommandsOf(app)) {
    out << "    '" << command->get_name() << ":" << ZshText(command->get_description()) << "'\n";
  }
  out << "  )\n  options=(" << ZshOptions(app, "\n    ")
      << "\n  )\n"
         "  _arguments -C $options '1: :->command' '*:: :->argument'\n"
         "  if [[ $state == command ]]; then\n"
         "    _describe command commands\n"
         "    return\n"
         "  fi\n"
         "  [[ $state == argument ]] || return\n"
         "  case $words[1] in\n"
         "    help) _describe command commands ;;\n";
  for (const CLI::App* command : CommandsOf(app)) {
    out << "    " << command->get_name() << ") _arguments $options"
        << ZshOptions(*command, " \\\n      ") << " '*: :_files' ;;\n";
  }
  out << "  esac\n}\n_gyre \"$@\"\n";
  return out.str();
}

}  // namespace

void AddCompletionCommand(CommandLine& line) {
  const std::string name = "completion";
  auto shell = std::make_shared<std::string>();
  line.Add<Arguments>(
      {name, "SHELL", "Writes a script that teaches bash or zsh these commands and options",
       "Operator's commands"},
      nullptr, nullptr, [shell](const Arguments& arguments) -> std::string {
        *shell = arguments.words.front();
        if (*shell == "bash" || *shell == "zsh") return "";
        return "there is no completion for '" + *shell + "': bash and zsh have one";
      });
  line.RunsAlone(name, [&line, shell](const ToolStreams& streams) -> int {
    streams.out << (*shell == "bash" ? BashScript(line.options()) : ZshScript(line.options()));
    return kExitDone;
  });
}

}  // namespace gyre::client
