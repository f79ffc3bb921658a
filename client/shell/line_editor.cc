#include "client/shell/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <utility>
#include <vector>

#include "client/shell/interrupt.h"
#include "client/shell/screen.h"

namespace gyre::client {
namespace {

constexpr int kHistoryLinesMax = 1000;
constexpr int kLookForInterruptMs = 50;
// A hint is shown to who pauses, so that what is pasted is not interrupted by it.
constexpr int kHintDelayMs = 20;
// Where there is less room behind the cursor, no hint is worth it.
constexpr std::size_t kHintCellsMin = 4;

// The terminal's characters are the locale's; where that knows ASCII alone (LANG=C), or is not
// installed, they are UTF-8.
void UseLocaleOfTerminal() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::wstring Wide(std::string_view text) {
  std::wstring wide;
  std::mbstate_t state{};
  while (!text.empty()) {
    wchar_t character = 0;
    const std::size_t length = std::mbrtowc(&character, text.data(), text.size(), &state);
    if (length == 0 || length > text.size()) {
      text.remove_prefix(1);
      state = {};
      continue;
    }
    wide += character;
    text.remove_prefix(length);
  }
  return wide;
}

// Cells of the terminal; libedit shows a control character as two.
std::size_t CellsOf(std::string_view text) {
  std::size_t cells = 0;
  for (const wchar_t character : Wide(text)) {
    const int width = wcwidth(character);
    cells += width < 0 ? 2 : static_cast<std::size_t>(width);
  }
  return cells;
}

template <typename... Arguments>
int Remember(History* history_of, int operation, Arguments... arguments) {
  HistEvent event;
  return ::history(history_of, &event, operation, arguments...);
}

}  // namespace

LineEditor::LineEditor(Helpers helpers) : helpers_(std::move(helpers)) {
  UseLocaleOfTerminal();
  history_ = history_init();
  Remember(history_, H_SETSIZE, kHistoryLinesMax);
  Remember(history_, H_SETUNIQUE, 1);
  editor_ = el_init("gyre", stdin, stdout, stderr);
  el_set(editor_, EL_CLIENTDATA, this);
  el_set(editor_, EL_PROMPT, Prompt);
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_SIGNAL, 1);  // suspending and resizing
  el_set(editor_, EL_HIST, ::history, history_);
  el_wset(editor_, EL_GETCFN, NextCharacter);
  el_set(editor_, EL_ADDFN, "gyre-complete", "completes what is typed", OnTab);
  el_set(editor_, EL_BIND, "^I", "gyre-complete", nullptr);
  el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor_, nullptr);
}

LineEditor::~LineEditor() {
  el_end(editor_);
  history_end(history_);
}

LineEnd LineEditor::Read(std::string prompt, std::string& line, bool helps) {
  prompt_ = std::move(prompt);
  garbled_ = false;
  helps_ = helps;
  if (Interrupted()) return LineEnd::kInterrupted;
  // By itself libedit shows the prompt first: what is typed in between would meet the kernel's line
  // editing, and Ctrl-C or Ctrl-D there lose more than they should.
  el_set(editor_, EL_PREP_TERM, 1);
  int count = 0;
  const char* text = el_gets(editor_, &count);
  const bool entered = text != nullptr && count > 0 && text[count - 1] == '\n';
  if (Interrupted() && !entered) return LineEnd::kInterrupted;
  if (text == nullptr || count <= 0) return LineEnd::kEndOfInput;
  line.assign(text, static_cast<std::size_t>(count));
  while (line.ends_with('\n')) line.pop_back();
  return garbled_ ? LineEnd::kGarbled : LineEnd::kEntered;
}

void LineEditor::LoadHistory(const std::string& path) {
  const int file = open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return;
  fchmod(file, S_IRUSR | S_IWUSR);
  close(file);
  history_path_ = path;
  // Others may have added to it; only here it is made shorter.
  if (Remember(history_, H_LOAD, path.c_str()) > kHistoryLinesMax) {
    Remember(history_, H_SAVE, path.c_str());
  }
}

void LineEditor::AddToHistory(const std::string& line) {
  Remember(history_, H_ENTER, line.c_str());
  if (history_path_.empty()) return;
  std::FILE* file = std::fopen(history_path_.c_str(), "ae");
  if (file == nullptr) return;
  std::fseek(file, 0, SEEK_END);  // an empty file gets libedit's first line
  Remember(history_, H_NSAVE_FP, std::size_t{1}, file);
  std::fclose(file);
}

LineEditor& LineEditor::Of(EditLine* editor) {
  void* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return *static_cast<LineEditor*>(self);
}

char* LineEditor::Prompt(EditLine* editor) { return Of(editor).prompt_.data(); }

// libedit's own would drop bytes that are no characters, and the rest of the line would run.
int LineEditor::NextCharacter(EditLine* editor, wchar_t* character) {
  LineEditor& self = Of(editor);
  std::mbstate_t state{};
  bool hint_due = true;
  while (true) {
    // What was typed is read first. Ctrl-C may come between the look at it and the wait: so nobody
    // waits for long.
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&input, 1, hint_due ? kHintDelayMs : kLookForInterruptMs);
    if (ready == 0 && std::exchange(hint_due, false)) self.ShowHint();
    if (ready == 0 && !Interrupted()) continue;
    self.EraseHint();
    if (ready == 0) return -1;
    char byte = 0;
    const ssize_t count = ready < 0 ? -1 : read(STDIN_FILENO, &byte, 1);
    if (count == 0) return 0;
    if (count < 0) {
      if (errno != EINTR || Interrupted()) return -1;
      el_set(editor, EL_REFRESH);  // it was suspended
      continue;
    }
    const std::size_t length = std::mbrtowc(character, &byte, 1, &state);
    if (length == static_cast<std::size_t>(-2)) continue;  // the character goes on
    if (length == static_cast<std::size_t>(-1)) {
      self.garbled_ = true;
      *character = L'?';
    }
    return 1;
  }
}

// Drawn past libedit, behind the end of the line, where it believes the screen to be empty; and
// erased before libedit draws again.
void LineEditor::ShowHint() {
  if (!helps_) return;
  const LineInfo* const info = el_line(editor_);
  if (info->cursor != info->lastchar) return;
  const std::string_view line(info->buffer, static_cast<std::size_t>(info->cursor - info->buffer));
  // Beyond one line (and while the history is searched) the cursor's column is libedit's secret.
  if (line.empty() || line.find('\n') != std::string_view::npos) return;
  const Screen screen = Screen::OfEnvironment(/*terminal=*/true);
  if (!screen.colours) return;  // it would look typed
  const std::size_t column = (CellsOf(prompt_) + CellsOf(line)) % screen.columns;
  if (column == 0 || column + kHintCellsMin >= screen.columns) return;
  const std::size_t room = screen.columns - column - 1;
  std::string hint = helpers_.hint(line);
  if (hint.empty()) return;
  if (hint.size() > room) hint = hint.substr(0, room - 3) + "...";
  // Save the cursor, draw, go back.
  std::fprintf(stdout,
               "\x1b"
               "7%s\x1b"
               "8",
               Coloured(screen, Colour::kFaint, hint).c_str());
  std::fflush(stdout);
  hint_shown_ = true;
}

void LineEditor::EraseHint() {
  if (!std::exchange(hint_shown_, false)) return;
  std::fputs("\x1b[K", stdout);
  std::fflush(stdout);
}

unsigned char LineEditor::OnTab(EditLine* editor, int) { return Of(editor).CompleteLine(); }

unsigned char LineEditor::CompleteLine() {
  if (!helps_) return CC_ERROR;
  const LineInfo* const info = el_line(editor_);
  const std::string typed(info->buffer, info->cursor);
  const Completion completion = helpers_.complete(typed);
  if (completion.candidates.empty()) return CC_ERROR;
  const bool only = completion.candidates.size() == 1 && !completion.more;
  std::string common = completion.more ? completion.word : CommonPrefix(completion.candidates);
  if (only) common += ' ';
  if (common.starts_with(completion.word) && common.size() > completion.word.size()) {
    el_insertstr(editor_, common.c_str() + completion.word.size());
    return CC_REFRESH;
  }
  if (only) {  // it is spelled in another way: in quotes
    el_deletestr(editor_, static_cast<int>(Wide(completion.word).size()));
    el_insertstr(editor_, common.c_str());
    return CC_REFRESH;
  }
  const Screen screen = Screen::OfEnvironment(/*terminal=*/true);
  std::fprintf(stdout, "\n%s%s", InColumns(completion.candidates, screen.columns).c_str(),
               completion.more ? "... and more\n" : "");
  return CC_REDISPLAY;
}

}  // namespace gyre::client
