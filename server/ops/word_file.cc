#include "ops/word_file.h"

#include <cctype>
#include <utility>

#include "base/file.h"
#include "proto/hex.h"

namespace gyre {
namespace {

tl::unexpected<Error> Damaged(std::string what) {
  return Fail(ErrorCode::kInvalidArgument, std::move(what));
}

tl::unexpected<Error> LacksItsEnd() { return Damaged("its end is missing"); }

}  // namespace

std::string EncodeWord(std::string_view text) {
  if (text.empty()) return "%";
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("._-:[]").find(c) != std::string_view::npos) {
      word += c;
    } else {
      word += '%';
      AppendHex(byte, word);
    }
  }
  return word;
}

std::optional<std::string> DecodeWord(std::string_view word) {
  std::string text;
  if (word == "%") return text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%') {
      text += word[i];
      continue;
    }
    if (i + 2 >= word.size()) return std::nullopt;
    const std::size_t high = kHexDigits.find(word[i + 1]);
    const std::size_t low = kHexDigits.find(word[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    text += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return text;
}

std::vector<std::string_view> SplitAt(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::string FormatWordFile(const WordFileForm& form, std::string_view head, std::string_view lines,
                           std::size_t line_count) {
  std::string text;
  text.append(form.magic).append(" ").append(form.version).append(" ").append(head).append("\n");
  return text.append(lines).append("end ").append(std::to_string(line_count)).append("\n");
}

Result<WordFile> ParseWordFile(std::string_view text, const WordFileForm& form) {
  if (text.empty() || text.back() != '\n') return LacksItsEnd();
  const std::vector<std::string_view> lines = SplitAt(text, '\n');
  WordFile file{.head = SplitAt(lines.front(), ' '), .lines = {}};
  constexpr std::size_t kMagicAndVersion = 2;
  if (file.head.size() != kMagicAndVersion + form.head_words || file.head[0] != form.magic) {
    return Damaged("it does not begin as such a file");
  }
  if (file.head[1] != form.version) return Damaged("it is of another version");
  file.head.erase(file.head.begin(), file.head.begin() + kMagicAndVersion);
  if (lines.size() < 2) return LacksItsEnd();
  const std::size_t count = lines.size() - 2;
  if (count > form.lines_max) return Damaged("it has too many lines");
  if (lines.back() != "end " + std::to_string(count)) return LacksItsEnd();
  for (std::size_t i = 1; i <= count; ++i) file.lines.push_back(SplitAt(lines[i], ' '));
  return file;
}

tl::unexpected<Error> BadLine(std::size_t index) {
  return Damaged("line " + std::to_string(index + 2) + " cannot be read");
}

tl::unexpected<Error> BadHead() { return Damaged("line 1 cannot be read"); }

Result<std::optional<std::string>> ReadWordFile(const std::string& path, const WordFileForm& form) {
  Result<std::optional<File>> file = OpenToRead(path, Links::kRefuse);
  if (!file) return tl::unexpected(file.error());
  if (!*file) return std::nullopt;
  Result<std::string> text = ReadAll(**file, path, form.bytes_max);
  if (!text) return tl::unexpected(text.error());
  return std::move(*text);
}

}  // namespace gyre
