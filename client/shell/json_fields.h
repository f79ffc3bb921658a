// Fields of a JSON object that another node wrote, of another release perhaps: one that is missing, or of
// another type, is as good as none. Of what is no object all are missing.
#pragma once

#include <cstdint>
#include <string>

#include "client/shell/printer.h"

namespace gyre::client {

// The null of JSON: there is none.
const Json& FieldAt(const Json& object, const char* name);
std::string TextAt(const Json& object, const char* name, const char* otherwise = "");
double NumberAt(const Json& object, const char* name);        // 0
std::uint64_t CountAt(const Json& object, const char* name);  // 0
bool FlagAt(const Json& object, const char* name);            // false

}  // namespace gyre::client
