// The part of the shell that a person types into, over libedit.
//
// A signal handler has no context, which is why what it needs is static; there is one terminal.
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "client/shell/interrupt.h"
#include "client/shell/repl.h"

namespace gyre::client {
namespace {

constexpr int kHistoryLinesMax = 1000;

// ---- Ctrl-C ------------------------------------------------------------------------------------

// Since the last prompt. Whoever entered a line means its command by what comes after, even where
// the command has not begun yet.
std::atomic<bool> interrupted{false};

static_assert(std::atomic<bool>::is_always_lock_free, "it is used in a signal handler");

// While it lives, Ctrl-C does not end the process.
class CatchInterrupts {
 public:
  CatchInterrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before_);  // without SA_RESTART: reading a line ends
  }
  ~CatchInterrupts() { sigaction(SIGINT, &before_, nullptr); }
  CatchInterrupts(const CatchInterrupts&) = delete;
  CatchInterrupts& operator=(const CatchInterrupts&) = delete;

 private:
  struct sigaction before_ {};
};

// While it lives, Ctrl-C ends what the client has in flight, and what the command begins after it.
class CancelWhenInterrupted {
 public:
  explicit CancelWhenInterrupted(Client& client)
      : thread_([&client](const std::stop_token& command_ended) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any ended;
          while (!command_ended.stop_requested()) {
            if (interrupted) client.CancelAll();
            ended.wait_for(lock, command_ended, kPoll, [] { return false; });
          }
        }) {}

 private:
  static constexpr std::chrono::milliseconds kPoll{20};

  std::jthread thread_;
};

// ---- Lines -------------------------------------------------------------------------------------

// The terminal's characters are the locale's; where that knows ASCII alone (LANG=C), or is not
// installed, they are UTF-8.
void UseLocaleOfTerminal() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

enum class LineEnd {
  kEntered,
  kInterrupted,  // Ctrl-C
  kGarbled,      // it has bytes that are no characters
  kEndOfInput,   // Ctrl-D
};

class LineEditor {
 public:
  explicit LineEditor(const CommandLine& commands) : commands_(commands) {
    UseLocaleOfTerminal();
    history_ = history_init();
    Remember(H_SETSIZE, kHistoryLinesMax);
    Remember(H_SETUNIQUE, 1);
    editor_ = el_init("gyre", stdin, stdout, stderr);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, Prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_SIGNAL, 1);  // suspending and resizing
    el_set(editor_, EL_HIST, history, history_);
    el_wset(editor_, EL_GETCFN, NextCharacter);
    el_set(editor_, EL_ADDFN, "gyre-complete", "completes a command's name", Complete);
    el_set(editor_, EL_BIND, "^I", "gyre-complete", nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(editor_, nullptr);
  }
  ~LineEditor() {
    el_end(editor_);
    history_end(history_);
  }
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  LineEnd Read(std::string prompt, std::string& line) {
    prompt_ = std::move(prompt);
    garbled_ = false;
    if (interrupted) return LineEnd::kInterrupted;
    int count = 0;
    const char* text = el_gets(editor_, &count);
    const bool entered = text != nullptr && count > 0 && text[count - 1] == '\n';
    if (interrupted && !entered) return LineEnd::kInterrupted;
    if (text == nullptr || count <= 0) return LineEnd::kEndOfInput;
    line.assign(text, static_cast<std::size_t>(count));
    while (line.ends_with('\n')) line.pop_back();
    return garbled_ ? LineEnd::kGarbled : LineEnd::kEntered;
  }

  // Values may be secrets: nobody else reads the file, from its creation on.
  void LoadHistory(const std::string& path) {
    const int file = open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) return;
    fchmod(file, S_IRUSR | S_IWUSR);
    close(file);
    history_path_ = path;
    // Others may have added to it; only here it is made shorter.
    if (Remember(H_LOAD, path.c_str()) > kHistoryLinesMax) Remember(H_SAVE, path.c_str());
  }
  // In the file at once, however the shell ends.
  void AddToHistory(const std::string& line) {
    Remember(H_ENTER, line.c_str());
    if (history_path_.empty()) return;
    std::FILE* file = std::fopen(history_path_.c_str(), "ae");
    if (file == nullptr) return;
    std::fseek(file, 0, SEEK_END);  // an empty file gets libedit's first line
    Remember(H_NSAVE_FP, std::size_t{1}, file);
    std::fclose(file);
  }

 private:
  static LineEditor& Of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<LineEditor*>(self);
  }

  template <typename... Arguments>
  int Remember(int operation, Arguments... arguments) {
    HistEvent event;
    return history(history_, &event, operation, arguments...);
  }

  static char* Prompt(EditLine* editor) { return Of(editor).prompt_.data(); }

  // libedit's own would drop bytes that are no characters, and the rest of the line would run.
  static int NextCharacter(EditLine* editor, wchar_t* character) {
    std::mbstate_t state{};
    while (true) {
      char byte = 0;
      const ssize_t count = read(STDIN_FILENO, &byte, 1);
      if (count == 0) return 0;
      if (count < 0) {
        if (errno != EINTR || interrupted) return -1;
        el_set(editor, EL_REFRESH);  // it was suspended
        continue;
      }
      const std::size_t length = std::mbrtowc(character, &byte, 1, &state);
      if (length == static_cast<std::size_t>(-2)) continue;  // the character goes on
      if (length == static_cast<std::size_t>(-1)) {
        Of(editor).garbled_ = true;
        *character = L'?';
      }
      return 1;
    }
  }

  static unsigned char Complete(EditLine* editor, int) {
    const LineInfo* line = el_line(editor);
    const std::string typed(line->buffer, line->cursor);
    if (typed.find(' ') != std::string::npos) return CC_ERROR;
    const std::vector<std::string> names = Completions(Of(editor).commands_, typed);
    if (names.empty()) return CC_ERROR;
    std::string common = names.front();
    for (const std::string& name : names) {
      while (!name.starts_with(common)) common.pop_back();
    }
    if (names.size() == 1) common += ' ';
    if (common.size() > typed.size()) {
      el_insertstr(editor, common.c_str() + typed.size());
      return CC_REFRESH;
    }
    std::fputc('\n', stdout);
    for (const std::string& name : names) std::fprintf(stdout, "%s  ", name.c_str());
    std::fputc('\n', stdout);
    return CC_REDISPLAY;
  }

  const CommandLine& commands_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string history_path_;
  std::string prompt_;
  bool garbled_ = false;
};

void RunOne(CommandLine& commands, const std::string& line, const ShellContext& shell, bool& quit) {
  const CancelWhenInterrupted cancel_when_interrupted(shell.client);
  RunLine(commands, line, shell, quit);
}

}  // namespace

bool Interrupted() { return interrupted; }

int RunInteractive(CommandLine& commands, const ShellContext& shell) {
  const CatchInterrupts catch_interrupts;
  LineEditor editor(commands);
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') editor.LoadHistory(std::string(home) + "/.gyre_history");
  ShellContext asking = shell;
  asking.ask = [&editor](const std::string& question) -> std::optional<std::string> {
    std::string answer;
    if (editor.Read(question, answer) != LineEnd::kEntered) return std::nullopt;
    return answer;
  };
  shell.out << "connected to " << shell.connect << "; 'help' helps, 'quit' leaves\n";
  bool quit = false;
  while (!quit) {
    shell.out.flush();
    std::string line;
    interrupted = false;
    switch (editor.Read(shell.connect + "> ", line)) {
      case LineEnd::kEntered:
        if (line.find_first_not_of(" \t") != std::string::npos) editor.AddToHistory(line);
        RunOne(commands, line, asking, quit);
        break;
      case LineEnd::kInterrupted:
        shell.out << "^C\n";
        break;
      case LineEnd::kGarbled:
        shell.err << ErrorPrefix(0)
                  << "the line has bytes that are no characters of this terminal, and was not run: "
                     "write them as \\xHH in \"...\"\n";
        break;
      case LineEnd::kEndOfInput:
        shell.out << "\n";
        quit = true;
        break;
    }
  }
  return kExitDone;
}

}  // namespace gyre::client
