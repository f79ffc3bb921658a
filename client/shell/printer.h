// Values for people and for scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string_view>

#include "gyre/client.h"

namespace gyre::client {

// Keeps the order in which members are added.
using Json = nlohmann::ordered_json;

// As the shell shows it: strings quoted and escaped, lists numbered, maps as `key: value`.
void PrintValue(const Value& value, std::ostream& out);
// As programs want it: bytes as they are, one element a line.
void PrintRaw(const Value& value, std::ostream& out);

// Adds `bytes` as `name`, or as `name`_base64 where JSON cannot hold them.
void AddBytes(Json& object, const std::string& name, std::string_view bytes);
// Bytes that JSON cannot hold become {"base64": "..."}.
Json ToJson(const Value& value);
Json ToJson(const Error& error);

}  // namespace gyre::client
