#include "client/shell/paged_output.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "client/shell/interrupt.h"

extern char** environ;

namespace gyre::client {
namespace {

// -R: our colours are shown; -F: what fits ends at once; -X: what was read stays on the screen.
constexpr char kLess[] = "less -R -F -X";

// The prompt needs a line, too.
constexpr std::size_t kRowsKept = 1;

bool IsInstalled(const std::string& program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0;
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const std::string file = std::string(rest.substr(0, colon)) + "/" + program;
    if (access(file.c_str(), X_OK) == 0) return true;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return false;
}

}  // namespace

std::optional<FedProgram> FedProgram::Start(const std::string& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO);
  // What this process ignores a program would ignore, too.
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::string shell = "/bin/sh";
  std::string option = "-c";
  std::string text = command;
  char* arguments[] = {shell.data(), option.data(), text.data(), nullptr};
  pid_t process = 0;
  const int failed = posix_spawn(&process, shell.c_str(), &files, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(ends[0]);
  if (failed != 0) {
    close(ends[1]);
    return std::nullopt;
  }
  return FedProgram(process, ends[1]);
}

FedProgram::FedProgram(FedProgram&& other) noexcept
    : process_(std::exchange(other.process_, 0)),
      input_(std::exchange(other.input_, -1)),
      status_(other.status_) {}

void FedProgram::Write(std::string_view bytes) {
  while (!bytes.empty() && input_ >= 0) {
    const ssize_t count = write(input_, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR || Interrupted()) {
      // It has seen enough; or it does not read, and the person is tired of it.
      close(std::exchange(input_, -1));
    }
  }
}

int FedProgram::Finish() {
  if (input_ >= 0) close(std::exchange(input_, -1));
  if (process_ == 0) return status_;
  int status = 0;
  pid_t ended = 0;
  do {
    ended = waitpid(process_, &status, 0);
  } while (ended < 0 && errno == EINTR);
  process_ = 0;
  constexpr int kSignalled = 128;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
  return status_;
}

int ProgramBuffer::overflow(int c) {
  if (c != traits_type::eof()) {
    const char byte = traits_type::to_char_type(c);
    program_.Write({&byte, 1});
  }
  return traits_type::not_eof(c);
}

std::streamsize ProgramBuffer::xsputn(const char* bytes, std::streamsize count) {
  program_.Write({bytes, static_cast<std::size_t>(count)});
  return count;
}

std::string PagerOfEnvironment() {
  const char* const chosen = std::getenv("PAGER");
  if (chosen == nullptr) return IsInstalled("less") ? kLess : "";
  const std::string_view pager = chosen;
  const std::string program(pager.substr(0, pager.find(' ')));
  if (program.empty() || program == "cat" || !IsInstalled(program)) return {};
  return program == "less" && pager == "less" ? kLess : std::string(pager);
}

void PagedBuffer::Take(std::string_view bytes) {
  if (program_) return program_->Write(bytes);
  if (passes_) {
    out_ << bytes;
    return;
  }
  gathered_ += bytes;
  for (const char c : bytes) {
    if (c == '\n' || ++cells_ > screen_.columns) {
      ++rows_;
      cells_ = c == '\n' ? 0 : 1;
    }
  }
  if (rows_ + kRowsKept < screen_.rows) return;
  if (!pager_.empty()) {
    std::optional<FedProgram> started = FedProgram::Start(pager_);
    if (started) program_.emplace(std::move(*started));
  }
  passes_ = !program_;
  Take(std::exchange(gathered_, {}));
}

int PagedBuffer::overflow(int c) {
  if (c != traits_type::eof()) {
    const char byte = traits_type::to_char_type(c);
    Take({&byte, 1});
  }
  return traits_type::not_eof(c);
}

std::streamsize PagedBuffer::xsputn(const char* bytes, std::streamsize count) {
  Take({bytes, static_cast<std::size_t>(count)});
  return count;
}

int PagedBuffer::sync() {
  if (program_) return 0;
  passes_ = true;
  out_ << std::exchange(gathered_, {}) << std::flush;
  return 0;
}

void PagedBuffer::Finish() {
  if (program_) {
    program_->Finish();
  } else {
    sync();
  }
}

}  // namespace gyre::client
