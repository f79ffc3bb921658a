// Lines and words, as people type them. Pure.
#pragma once

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

// "1.5 GiB", "12 B".
std::string HumanBytes(double bytes);
// "1.5M", "12".
std::string HumanCount(double count);

}  // namespace gyre::client
