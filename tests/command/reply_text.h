// Requests and replies as short texts, for tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/reply.h"

namespace gyre::testing {

// Splits at spaces; "..." keeps them and knows \0 \n \" \\.
inline std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (quoted && c == '\\' && i + 1 < line.size()) {
      const char next = line[++i];
      word += next == 'n' ? '\n' : next == '0' ? '\0' : next;
    } else if (c == ' ' && !quoted) {
      if (any || !word.empty()) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  if (any || !word.empty()) words.push_back(word);
  return words;
}

// nil, OK, STORED, "bulk", 42, (text), [list], {map: pairs}, and an error as its code and message:
// "invalid_argument: syntax error". A record shows its value, as RESP does.
inline std::string TextOf(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kNull:
      return "nil";
    case Reply::Kind::kOutcome:
      return std::string(OutcomeWord(reply.outcome));
    case Reply::Kind::kText:
      return "(" + reply.bytes + ")";
    case Reply::Kind::kBulk:
    case Reply::Kind::kRecord:
      return "\"" + reply.bytes + "\"";
    case Reply::Kind::kInteger:
      return std::to_string(reply.integer);
    case Reply::Kind::kUnsigned:
      return std::to_string(reply.unsigned_integer);
    case Reply::Kind::kDouble:
      return std::to_string(reply.number);
    case Reply::Kind::kBoolean:
      return reply.boolean ? "true" : "false";
    case Reply::Kind::kError:
      return std::string(ErrorCodeName(reply.error)) + ": " + reply.bytes;
    case Reply::Kind::kList:
      break;
  }
  const bool is_map = reply.shape == ListShape::kMap;
  std::string text(is_map ? "{" : "[");
  for (std::size_t i = 0; i < reply.elements.size(); ++i) {
    if (i > 0) text += is_map && i % 2 == 1 ? ": " : ", ";
    text += TextOf(reply.elements[i]);
  }
  return text + (is_map ? "}" : "]");
}

}  // namespace gyre::testing
