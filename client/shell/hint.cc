#include "client/shell/hint.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>

#include "client/shell/repl.h"
#include "client/shell/screen.h"
#include "proto/command_schema.h"

namespace gyre::client {
namespace {

// Of candidates that are listed.
constexpr std::size_t kColumnGap = 2;

// The line as far as it is typed.
struct Typed {
  std::vector<std::string> words;  // the open one last, if there is one
  bool open = false;               // no blank stands behind the last
  bool quoted = false;             // and that one is quoted
};

Typed ReadTyped(std::string_view line) {
  Typed typed;
  // A quote that does not end yet holds the rest of the line.
  const bool open_quote = HasOpenQuote(line);
  std::string closed(line);
  if (open_quote) {
    for (const char quote : {'"', '\''}) {
      if (!HasOpenQuote(std::string(line) + quote)) closed = std::string(line) + quote;
    }
  }
  const Result<std::vector<Word>> words = SplitWords(closed);
  if (!words) return typed;
  for (const Word& word : *words) typed.words.push_back(word.text);
  typed.open =
      !words->empty() &&
      (open_quote || !std::isspace(static_cast<unsigned char>(line.empty() ? ' ' : line.back())));
  typed.quoted = typed.open && words->back().quoted;
  return typed;
}

bool IsOptional(std::string_view part) { return part.starts_with('['); }

// "[EX seconds|PX ms]" -> EX, PX.
std::vector<std::string> KeywordsOf(std::string_view part) {
  std::vector<std::string> keywords;
  std::string inner(part.substr(1, part.size() - 2));
  std::istringstream alternatives(inner);
  for (std::string one; std::getline(alternatives, one, '|');) {
    keywords.push_back(ToLower(one.substr(0, one.find(' '))));
  }
  return keywords;
}

const CommandRow* SubcommandRow(const std::string& command, const std::string& word) {
  const RowIndex row = FindCommandRow(command);
  if (row == kNoRow) return nullptr;
  const RowIndex sub = FindSubcommandRow(row, word);
  return sub == kNoRow ? nullptr : &CommandRows()[sub];
}

std::vector<std::string> SubcommandsOf(const std::string& command) {
  std::vector<std::string> words;
  const RowIndex row = FindCommandRow(command);
  if (row == kNoRow) return words;
  for (std::size_t i = 0; i < CountSubcommandRows(row); ++i) {
    const std::string_view name = CommandRows()[row + 1 + i].name;
    words.emplace_back(name.substr(name.find('|') + 1));
  }
  return words;
}

// Whether the word at `index` (the command being 0) is a key.
bool IsKeyPlace(const std::vector<std::string>& words, std::size_t index) {
  // Our own commands of one key, which the servers do not know as such.
  if (words.front() == "locate") return index == 1;
  std::vector<std::string_view> args(words.begin(), words.end());
  if (args.size() <= index) args.emplace_back();
  const CommandRow* const row = FindRequestRow(args);
  if (row == nullptr || row->keys.first == 0 || index < row->keys.first) return false;
  const KeyPositions keys = row->keys;
  if (keys.last >= 0 && index > static_cast<std::size_t>(keys.last)) return false;
  return (index - keys.first) % std::max<std::size_t>(keys.step, 1) == 0;
}

void KeepThoseThatBegin(std::vector<std::string>& words, std::string_view prefix) {
  const std::string wanted = ToLower(prefix);
  std::erase_if(words, [&](const std::string& word) { return !ToLower(word).starts_with(wanted); });
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

}  // namespace

std::vector<std::string> SplitSyntax(std::string_view arguments) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (const char c : arguments) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c != ' ' || depth > 0) {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
    }
  }
  if (!part.empty()) parts.push_back(part);
  return parts;
}

std::string ArgumentsLeft(std::string_view arguments, const std::vector<std::string>& typed) {
  std::vector<std::string> given;
  for (const std::string& word : typed) given.push_back(ToLower(word));
  const std::vector<std::string> parts = SplitSyntax(arguments);
  std::size_t required = 0;
  for (const std::string& part : parts) required += !IsOptional(part) && part != "..." ? 1 : 0;
  // Those behind the required ones: keywords are taken wherever they stand, other words in order.
  std::vector<std::string> extra(
      given.begin() + static_cast<std::ptrdiff_t>(std::min(required, given.size())), given.end());
  std::string left;
  std::size_t index = 0;
  for (const std::string& part : parts) {
    bool taken = false;
    if (part == "...") {
      taken = false;
    } else if (!IsOptional(part)) {
      taken = index++ < given.size();
    } else {
      const std::vector<std::string> keywords = KeywordsOf(part);
      const auto keyword =
          std::find_first_of(extra.begin(), extra.end(), keywords.begin(), keywords.end());
      if (keyword != extra.end()) {
        taken = true;
      } else if (part.find_first_of(" |") == std::string::npos && !extra.empty()) {
        // "[DELTA]": any word may be it.
        taken = true;
        extra.erase(extra.begin());
      }
    }
    if (!taken) left += (left.empty() ? "" : " ") + part;
  }
  return left;
}

std::string HintFor(const CommandLine& commands, std::string_view line) {
  const Typed typed = ReadTyped(line);
  if (typed.words.empty()) return {};
  const std::string command = ToLower(typed.words.front());
  const CommandLine::Description* const known = commands.Find(command);
  if (known == nullptr) return {};
  std::vector<std::string> words;
  for (std::size_t i = 1; i < typed.words.size(); ++i) {
    if (!typed.words[i].starts_with('-')) words.push_back(typed.words[i]);
  }
  std::string arguments = known->arguments;
  if (!words.empty()) {
    if (const CommandRow* const row = SubcommandRow(command, words.front()); row != nullptr) {
      arguments = row->docs.arguments;
      words.erase(words.begin());
    }
  }
  const std::string left = ArgumentsLeft(arguments, words);
  return left.empty() ? left : (typed.open ? " " : "") + left;
}

Completion Complete(const CommandLine& commands, std::string_view line, const FindKeys& find_keys) {
  const Typed typed = ReadTyped(line);
  Completion completion;
  if (typed.quoted) return completion;
  if (typed.open) completion.word = typed.words.back();
  std::vector<std::string> words = typed.words;
  if (!typed.open) words.emplace_back();
  const std::size_t index = words.size() - 1;
  if (index == 0) {
    completion.candidates = Completions(commands, completion.word);
    return completion;
  }
  words.front() = ToLower(words.front());
  if (words.front() == "help") {
    completion.candidates = Completions(commands, completion.word);
    return completion;
  }
  if (completion.word.starts_with('-')) {
    completion.candidates = commands.OptionNames(words.front());
    KeepThoseThatBegin(completion.candidates, completion.word);
    return completion;
  }
  if (index == 1) {
    completion.candidates = SubcommandsOf(words.front());
    if (!completion.candidates.empty()) {
      KeepThoseThatBegin(completion.candidates, completion.word);
      return completion;
    }
  }
  if (find_keys == nullptr || !IsKeyPlace(words, index)) return completion;
  FoundKeys found = find_keys(completion.word);
  for (const std::string& key : found.keys) completion.candidates.push_back(AsWord(key));
  std::sort(completion.candidates.begin(), completion.candidates.end());
  completion.more = found.more;
  return completion;
}

std::string CommonPrefix(const std::vector<std::string>& words) {
  if (words.empty()) return {};
  std::string common = words.front();
  for (const std::string& word : words) {
    while (!word.starts_with(common)) common.pop_back();
  }
  // Never a part of a character.
  while (!common.empty() && !IsUtf8(common)) common.pop_back();
  return common;
}

std::string InColumns(const std::vector<std::string>& words, std::size_t columns) {
  std::size_t sum = 0;
  std::size_t widest = 0;
  for (const std::string& word : words) {
    sum += DisplayWidth(word) + kColumnGap;
    widest = std::max(widest, DisplayWidth(word));
  }
  const bool one_line = sum <= columns + kColumnGap;
  const std::size_t cell = widest + kColumnGap;
  const std::size_t across = one_line ? words.size() : std::max<std::size_t>(1, columns / cell);
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += words[i];
    const bool last = (i + 1) % across == 0 || i + 1 == words.size();
    if (last) {
      text += '\n';
    } else {
      text += std::string(one_line ? kColumnGap : cell - DisplayWidth(words[i]), ' ');
    }
  }
  return text;
}

}  // namespace gyre::client
