#include "client/shell/json_fields.h"

namespace gyre::client {

const Json& FieldAt(const Json& object, const char* name) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

std::string TextAt(const Json& object, const char* name, const char* otherwise) {
  const Json& field = FieldAt(object, name);
  return field.is_string() ? field.get<std::string>() : otherwise;
}

double NumberAt(const Json& object, const char* name) {
  const Json& field = FieldAt(object, name);
  return field.is_number() ? field.get<double>() : 0;
}

std::uint64_t CountAt(const Json& object, const char* name) {
  const Json& field = FieldAt(object, name);
  return field.is_number_unsigned() ? field.get<std::uint64_t>() : 0;
}

bool FlagAt(const Json& object, const char* name) {
  const Json& field = FieldAt(object, name);
  return field.is_boolean() && field.get<bool>();
}

}  // namespace gyre::client
