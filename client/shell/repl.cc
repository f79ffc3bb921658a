#include "client/shell/repl.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

int RunWords(CommandLine& commands, const std::vector<Word>& words, const ShellContext& shell) {
  const int status = commands.Parse(words, nullptr);
  if (status != kExitDone) {
    shell.err << ErrorPrefix(shell.line) << commands.message();
    return status;
  }
  shell.out << commands.message();
  if (commands.alone()) {
    std::istringstream nothing;
    return commands.alone()(
        {nothing, shell.out, shell.err, false, shell.terminal, shell.error_terminal});
  }
  if (!commands.action()) return kExitDone;
  ShellContext inner = shell;
  inner.json = commands.json();
  inner.raw = commands.raw();
  inner.call = commands.call();
  return RunAction(commands, inner);
}

}  // namespace

std::vector<std::string> Completions(const CommandLine& commands, std::string_view prefix) {
  const std::string wanted = ToLower(prefix);
  const bool upper = !prefix.empty() && std::isupper(static_cast<unsigned char>(prefix.front()));
  std::vector<std::string> names = commands.names();
  names.insert(names.end(), {"help", "quit"});
  std::sort(names.begin(), names.end());
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(wanted); });
  if (upper) std::transform(names.begin(), names.end(), names.begin(), ToUpper);
  return names;
}

int RunLine(CommandLine& commands, const std::string& line, const ShellContext& shell, bool& quit) {
  quit = false;
  const Result<std::vector<Word>> words = SplitWords(line);
  if (!words) {
    shell.Report(words.error());
    return kExitUsage;
  }
  if (words->empty() || (!words->front().quoted && words->front().text.starts_with('#'))) {
    return kExitDone;
  }
  const std::string name = ToLower(words->front().text);
  quit = name == "quit" || name == "exit";
  return quit ? static_cast<int>(kExitDone) : RunWords(commands, *words, shell);
}

int RunPiped(CommandLine& commands, const ShellContext& shell, std::istream& in) {
  int worst = kExitDone;
  std::string line;
  bool quit = false;
  ShellContext at_line = shell;
  while (!quit && std::getline(in, line)) {
    if (++at_line.line == 1 && line.starts_with(kByteOrderMark))
      line.erase(0, kByteOrderMark.size());
    worst = std::max(worst, RunLine(commands, line, at_line, quit));
  }
  return worst;
}

}  // namespace gyre::client
