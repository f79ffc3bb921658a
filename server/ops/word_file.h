// The form of the small text files in --data-dir: lines of words with one blank between them. Words that
// hold anything but what names and addresses are made of are percent-encoded; an empty one is "%". The
// first line says what the file is, the last one how many are between, so that a half is told from a whole:
//
//   <magic> <version> <word>...
//   <word>...
//   end <lines>
//
// Private to this module.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "proto/result.h"

namespace gyre {

std::string EncodeWord(std::string_view text);
// Nothing: it is no such word.
std::optional<std::string> DecodeWord(std::string_view word);

// Without an empty last one.
std::vector<std::string_view> SplitAt(std::string_view text, char at);

// A decimal number and nothing else.
template <typename Number>
bool ParseWord(std::string_view word, Number& number) {
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), number);
  return failure == std::errc() && end == word.data() + word.size();
}

// What tells a kind of file from others, and bounds it.
struct WordFileForm {
  std::string_view magic;
  std::string_view version;
  std::size_t head_words = 0;  // behind those two
  std::size_t lines_max = 0;
  std::size_t bytes_max = 0;
};

// Views of the text that was parsed.
struct WordFile {
  std::vector<std::string_view> head;  // WordFileForm::head_words
  std::vector<std::vector<std::string_view>> lines;
};

// `head`: encoded words, with a blank between them. `lines` likewise, each with its newline.
std::string FormatWordFile(const WordFileForm& form, std::string_view head, std::string_view lines,
                           std::size_t line_count);
// The error says what is wrong with the text, and nothing of what stands in it.
Result<WordFile> ParseWordFile(std::string_view text, const WordFileForm& form);
// That the line with this index in WordFile::lines has other words than it should have.
tl::unexpected<Error> BadLine(std::size_t index);
// Likewise for the first line of the file.
tl::unexpected<Error> BadHead();

// The text of the file; nothing: there is none. A link is not followed. Blocks on the disk.
Result<std::optional<std::string>> ReadWordFile(const std::string& path, const WordFileForm& form);

}  // namespace gyre
