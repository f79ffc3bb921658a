#include "protocol/resp_inline.h"

#include <cstddef>

#include "proto/hex.h"

namespace gyre {
namespace {

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }

char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

class Splitter {
 public:
  Splitter(std::string_view line, std::string& unescaped) : line_(line), unescaped_(unescaped) {}

  bool Split(std::vector<std::string_view>& arguments) {
    while (true) {
      while (at_ < line_.size() && IsBlank(line_[at_])) ++at_;
      if (at_ == line_.size()) return true;
      const std::size_t begin = unescaped_.size();
      if (!ReadArgument()) return false;
      arguments.emplace_back(unescaped_.data() + begin, unescaped_.size() - begin);
    }
  }

 private:
  bool ReadArgument() {
    for (; at_ < line_.size() && !IsBlank(line_[at_]); ++at_) {
      const char c = line_[at_];
      if (c == '"' || c == '\'') return ReadQuoted(c);
      unescaped_.push_back(c);
    }
    return true;
  }

  // From the opening quote to behind the closing one, where the argument must end.
  bool ReadQuoted(char quote) {
    for (++at_; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (c == quote) {
        ++at_;
        return at_ == line_.size() || IsBlank(line_[at_]);
      }
      if (c == '\\' && at_ + 1 < line_.size() && (quote == '"' || line_[at_ + 1] == '\'')) {
        ReadEscape(quote);
      } else {
        unescaped_.push_back(c);
      }
    }
    return false;
  }

  // At a backslash with something behind it; leaves `at_` on the last character of the escape.
  void ReadEscape(char quote) {
    ++at_;
    if (quote == '"' && line_[at_] == 'x' && at_ + 2 < line_.size()) {
      const int high = HexDigit(line_[at_ + 1]);
      const int low = HexDigit(line_[at_ + 2]);
      if (high >= 0 && low >= 0) {
        unescaped_.push_back(static_cast<char>(high * 16 + low));
        at_ += 2;
        return;
      }
    }
    unescaped_.push_back(quote == '"' ? Unescape(line_[at_]) : line_[at_]);
  }

  std::string_view line_;
  std::string& unescaped_;
  std::size_t at_ = 0;
};

// The common case: no quotes, so the arguments are pieces of the line itself.
void SplitPlain(std::string_view line, std::vector<std::string_view>& arguments) {
  std::size_t at = 0;
  while (true) {
    while (at < line.size() && IsBlank(line[at])) ++at;
    if (at == line.size()) return;
    const std::size_t begin = at;
    while (at < line.size() && !IsBlank(line[at])) ++at;
    arguments.push_back(line.substr(begin, at - begin));
  }
}

}  // namespace

bool SplitInline(std::string_view line, std::string& unescaped,
                 std::vector<std::string_view>& arguments) {
  if (line.find_first_of("\"'") == std::string_view::npos) {
    SplitPlain(line, arguments);
    return true;
  }
  unescaped.clear();
  unescaped.reserve(line.size());  // undoing never makes longer: the arguments' views stay valid
  return Splitter(line, unescaped).Split(arguments);
}

}  // namespace gyre
