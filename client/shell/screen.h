// What a terminal can show, and small drawings for it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gyre::client {

// How output is drawn. Of a pipe or a file: no colours, at most UTF-8.
struct Screen {
  bool unicode = false;  // the locale's character set is UTF-8
  bool colours = false;  // a terminal that knows them, and NO_COLOR is not set
  std::size_t columns = 80;
  std::size_t rows = 24;

  // As the environment says (LC_ALL, LC_CTYPE, LANG; NO_COLOR, https://no-color.org; TERM; COLUMNS or
  // the terminal's size).
  static Screen OfEnvironment(bool terminal);

  std::string_view separator() const { return unicode ? " · " : " - "; }
};

enum class Colour { kNone, kGood, kWarning, kBad, kFaint };

// `text` in that colour, where the screen has colours.
std::string Coloured(const Screen& screen, Colour colour, std::string_view text);

// `width` cells of which `share` (0 to 1) are full.
std::string Bar(const Screen& screen, double share, std::size_t width);

// Cells of a terminal that the text takes: code points of UTF-8, colours not counted.
std::size_t DisplayWidth(std::string_view text);

}  // namespace gyre::client
