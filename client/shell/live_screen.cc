#include "client/shell/live_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>

#include "client/shell/interrupt.h"

namespace gyre::client {
namespace {

constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;

constexpr char kEnter[] = "\x1b[?1049h\x1b[?25l";  // the alternate screen, no cursor
constexpr char kLeave[] = "\x1b[?25h\x1b[?1049l";

// Whoever is ended by one of these leaves a terminal that can be used.
constexpr int kFatalSignals[] = {SIGTERM, SIGHUP, SIGQUIT};

// What the handler puts back; null: nothing. A handler has no context; there is one terminal.
std::atomic<const termios*> put_back{nullptr};

static_assert(std::atomic<const termios*>::is_always_lock_free, "it is used in a signal handler");

void PutBackAndEnd(int signal) {
  const termios* const before = put_back.exchange(nullptr);
  if (before != nullptr) {
    [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, kLeave, std::strlen(kLeave));
    tcsetattr(STDIN_FILENO, TCSANOW, before);
  }
  raise(signal);  // SA_RESETHAND: it ends the process once this returns
}

// The first `columns` cells of a line; colours take none.
std::string Cut(std::string_view line, std::size_t columns) {
  std::string cut;
  std::size_t width = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      const std::size_t end = line.find('m', i);
      if (end == std::string_view::npos) break;
      cut += line.substr(i, end + 1 - i);
      i = end;
      continue;
    }
    const bool begins = (static_cast<unsigned char>(line[i]) & 0xC0) != 0x80;
    if (begins && width++ == columns) {
      cut += "\x1b[0m";
      break;
    }
    cut += line[i];
  }
  return cut;
}

}  // namespace

struct LiveScreen::Terminal {
  termios before{};
  struct sigaction handlers[std::size(kFatalSignals)]{};
};

LiveScreen::LiveScreen(std::ostream& out, bool terminal) : out_(out) {
  if (!terminal) return;
  auto saved = std::make_unique<Terminal>();
  if (tcgetattr(STDIN_FILENO, &saved->before) != 0) return;
  termios raw = saved->before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  terminal_ = std::move(saved);
  put_back = &terminal_->before;
  struct sigaction action {};
  action.sa_handler = PutBackAndEnd;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < std::size(kFatalSignals); ++i) {
    sigaction(kFatalSignals[i], &action, &terminal_->handlers[i]);
  }
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  out_ << kEnter << std::flush;
}

LiveScreen::~LiveScreen() {
  if (terminal_ == nullptr) return;
  out_ << kLeave << std::flush;
  tcsetattr(STDIN_FILENO, TCSANOW, &terminal_->before);
  put_back = nullptr;
  for (std::size_t i = 0; i < std::size(kFatalSignals); ++i) {
    sigaction(kFatalSignals[i], &terminal_->handlers[i], nullptr);
  }
}

void LiveScreen::Show(const std::string& frame) {
  if (terminal_ == nullptr) {
    out_ << frame << std::flush;
    return;
  }
  winsize size{};
  std::size_t rows = 24;
  std::size_t columns = 80;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
    rows = size.ws_row;
    columns = size.ws_col;
  }
  // Each line clears its own rest, so that nothing flickers.
  std::string drawn = "\x1b[H";
  std::string_view rest = frame;
  for (std::size_t row = 0; row < rows && !rest.empty(); ++row) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    drawn += (row == 0 ? "" : "\r\n") + Cut(rest.substr(0, end), columns) + "\x1b[K";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out_ << drawn << "\x1b[J" << std::flush;
}

char LiveScreen::WaitForKey(std::chrono::milliseconds patience) {
  if (terminal_ == nullptr) {
    const auto end = std::chrono::steady_clock::now() + patience;
    constexpr std::chrono::milliseconds kLook{20};
    while (std::chrono::steady_clock::now() < end) {
      if (Interrupted()) return kCtrlC;
      std::this_thread::sleep_for(std::min(kLook, patience));
    }
    return 0;
  }
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const int ready = poll(&input, 1, static_cast<int>(patience.count()));
  if (ready <= 0) return 0;  // or a signal: the next frame comes early
  char key = 0;
  const ssize_t count = read(STDIN_FILENO, &key, 1);
  if (count == 1) return key;
  return (input.revents & (POLLHUP | POLLERR)) != 0 || count == 0 ? kCtrlD : 0;
}

}  // namespace gyre::client
