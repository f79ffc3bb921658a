// The part of the shell that edits lines, over libedit. Its callbacks are C functions without a
// context, which is why the completion state below is static; there is one terminal.
#include <editline/readline.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "client/shell/repl.h"

namespace gyre::client {
namespace {

constexpr int kHistoryLinesMax = 1000;

// Called again and again for one prefix, `state` counting from 0, until it returns null. libedit
// frees the text.
char* NextCompletion(const char* prefix, int state) {
  static std::vector<std::string> names;
  static std::size_t next = 0;
  if (state == 0) {
    names = Completions(prefix);
    next = 0;
  }
  return next < names.size() ? strdup(names[next++].c_str()) : nullptr;
}

char** Complete(const char* prefix, int begin, int) {
  rl_attempted_completion_over = 1;  // never file names
  return begin == 0 ? rl_completion_matches(prefix, NextCompletion) : nullptr;
}

// Values may be secrets: nobody else reads the file, from its creation on.
class HistoryFile {
 public:
  HistoryFile() {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') return;
    path_ = std::string(home) + "/.gyre_history";
    const int file = open(path_.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file >= 0) {
      fchmod(file, S_IRUSR | S_IWUSR);
      close(file);
    }
    using_history();
    stifle_history(kHistoryLinesMax);
    read_history(path_.c_str());
  }
  ~HistoryFile() {
    if (path_.empty()) return;
    const mode_t old_mask = umask(S_IRWXG | S_IRWXO);
    write_history(path_.c_str());
    umask(old_mask);
  }
  HistoryFile(const HistoryFile&) = delete;
  HistoryFile& operator=(const HistoryFile&) = delete;

 private:
  std::string path_;
};

}  // namespace

int RunInteractive(const Session& session, const std::string& host) {
  rl_readline_name = const_cast<char*>("gyre");
  rl_initialize();
  rl_attempted_completion_function = Complete;
  const HistoryFile history;
  const std::string prompt = host + "> ";
  session.out << "connected to " << host << "; 'help' helps, 'quit' leaves\n";
  bool quit = false;
  while (!quit) {
    session.out.flush();
    const std::unique_ptr<char, decltype(&std::free)> line(readline(prompt.c_str()), &std::free);
    if (line == nullptr) {
      session.out << "\n";
      break;
    }
    if (*line != '\0') add_history(line.get());
    RunLine(line.get(), session, quit);
  }
  return kExitDone;
}

}  // namespace gyre::client
