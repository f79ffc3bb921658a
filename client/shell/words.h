// Lines and words, as people type them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gyre/client.h"

namespace gyre::client {

struct Word {
  std::string text;
  bool quoted = false;  // at least in part: then it is no option

  friend bool operator==(const Word&, const Word&) = default;
};

// Cuts a line into words. Blanks separate; "..." understands \n \r \t \\ \" and \xHH; '...'
// understands \' alone. kInvalidArgument for a quote that does not end, or text that touches a
// closing quote.
Result<std::vector<Word>> SplitWords(std::string_view line);

// Whether a quote does not end, so that the line goes on in the next one. A comment has no quotes.
bool HasOpenQuote(std::string_view line);

// "keys item:* | less": cut at the first bar that is a word of its own, outside quotes.
struct PipedLine {
  std::string command;
  std::string program;  // for /bin/sh; not empty
};
// Nothing: there is no such bar, or nothing behind it.
std::optional<PipedLine> SplitPipe(std::string_view line);

// As SplitWords reads it back: as it is where that is possible, else as Quote writes it.
std::string AsWord(std::string_view bytes);

// Those of `known` that `typed` may have meant, best first: few edits away, or beginning with it.
std::vector<std::string> NearMatches(std::string_view typed, const std::vector<std::string>& known);

// Printable UTF-8 as it is, the rest as \n, \t, \", \\, \xHH; in double quotes. SplitWords gives
// the bytes back.
std::string Quote(std::string_view bytes);
// What a person reads on a terminal: plain text as it is, anything else (control characters, blanks
// at an end, nothing at all, what would look quoted) as Quote writes it.
std::string Readable(std::string_view bytes);
// ASCII alone.
std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);

bool IsUtf8(std::string_view bytes);
std::string Base64(std::string_view bytes);
// Nothing: it is none (RFC 4648 with padding, nothing else in it).
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace gyre::client
