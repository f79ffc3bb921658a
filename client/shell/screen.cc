#include "client/shell/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace gyre::client {
namespace {

constexpr std::size_t kColumnsMin = 40;
constexpr std::size_t kColumnsMax = 1000;

// The value of the first of these variables that says something, as POSIX orders them.
std::string CharacterSetOfLocale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

bool NamesUtf8(std::string_view locale) {
  return locale.find("UTF-8") != std::string_view::npos ||
         locale.find("utf8") != std::string_view::npos ||
         locale.find("UTF8") != std::string_view::npos ||
         locale.find("utf-8") != std::string_view::npos;
}

bool IsSet(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::size_t Columns(bool terminal) {
  winsize size{};
  std::size_t columns = 80;
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    columns = size.ws_col;
  } else if (const char* const text = std::getenv("COLUMNS"); text != nullptr) {
    columns = static_cast<std::size_t>(std::strtoul(text, nullptr, 10));
    if (columns == 0) columns = 80;
  }
  return std::clamp(columns, kColumnsMin, kColumnsMax);
}

std::size_t Rows(bool terminal) {
  winsize size{};
  constexpr std::size_t kRows = 24;
  constexpr std::size_t kRowsMin = 4;
  if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kRows;
  return std::max<std::size_t>(size.ws_row, kRowsMin);
}

}  // namespace

Screen Screen::OfEnvironment(bool terminal) {
  const char* const type = std::getenv("TERM");
  const std::string_view term = type == nullptr ? "" : type;
  Screen screen;
  screen.unicode = NamesUtf8(CharacterSetOfLocale());
  screen.colours = terminal && !IsSet("NO_COLOR") && !term.empty() && term != "dumb";
  screen.columns = Columns(terminal);
  screen.rows = Rows(terminal);
  return screen;
}

std::string Coloured(const Screen& screen, Colour colour, std::string_view text) {
  if (!screen.colours || colour == Colour::kNone) return std::string(text);
  const char* code = "";
  switch (colour) {
    case Colour::kGood:
      code = "\x1b[32m";
      break;
    case Colour::kWarning:
      code = "\x1b[33m";
      break;
    case Colour::kBad:
      code = "\x1b[1;31m";
      break;
    case Colour::kFaint:
      code = "\x1b[2m";
      break;
    case Colour::kNone:
      break;
  }
  return code + std::string(text) + "\x1b[0m";
}

std::string Bar(const Screen& screen, double share, std::size_t width) {
  const double full = std::clamp(share, 0.0, 1.0) * static_cast<double>(width);
  // What there is a little of is seen.
  auto cells = static_cast<std::size_t>(std::lround(full));
  if (share > 0 && cells == 0) cells = 1;
  if (share < 1 && cells == width && width > 0) cells = width - 1;
  std::string bar;
  for (std::size_t i = 0; i < width; ++i) {
    bar += i < cells ? (screen.unicode ? "█" : "#") : (screen.unicode ? "░" : ".");
  }
  return bar;
}

std::size_t DisplayWidth(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) ++width;
  }
  return width;
}

}  // namespace gyre::client
