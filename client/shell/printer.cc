#include "client/shell/printer.h"

#include "client/shell/words.h"

namespace gyre::client {
namespace {

void PrintIndented(const Value& value, const std::string& indent, std::ostream& out);

void PrintList(const Value& list, const std::string& indent, std::ostream& out) {
  const bool is_map = list.kind == Value::Kind::kMap;
  const std::size_t step = is_map ? 2 : 1;
  if (list.elements.empty()) {
    out << (is_map ? "(empty map)\n" : "(empty list)\n");
    return;
  }
  const std::size_t count = list.elements.size() / step;
  const std::size_t digits = std::to_string(count).size();
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out << indent;
    const std::string number = std::to_string(i + 1);
    out << std::string(digits - number.size(), ' ') << number << ") ";
    std::string deeper = indent + std::string(digits + 2, ' ');
    if (is_map) {
      const std::string key = Quote(list.elements[2 * i].text);
      out << key << ": ";
      deeper += std::string(key.size() + 2, ' ');
    }
    PrintIndented(list.elements[step * i + step - 1], deeper, out);
  }
}

void PrintIndented(const Value& value, const std::string& indent, std::ostream& out) {
  switch (value.kind) {
    case Value::Kind::kNull:
      out << "(nil)\n";
      break;
    case Value::Kind::kWord:
    case Value::Kind::kText:
      out << value.text << "\n";
      break;
    case Value::Kind::kBulk:
    case Value::Kind::kRecord:
      out << Quote(value.text) << "\n";
      break;
    case Value::Kind::kInteger:
      out << "(integer) " << value.integer << "\n";
      break;
    case Value::Kind::kUnsigned:
      out << "(integer) " << value.unsigned_integer << "\n";
      break;
    case Value::Kind::kNumber:
      out << "(double) " << value.number << "\n";
      break;
    case Value::Kind::kBoolean:
      out << (value.boolean ? "(true)\n" : "(false)\n");
      break;
    case Value::Kind::kError:
      out << "(error) " << ErrorCodeName(value.error) << ": " << value.text << "\n";
      break;
    case Value::Kind::kArray:
    case Value::Kind::kMap:
    case Value::Kind::kSet:
      PrintList(value, indent, out);
      break;
  }
}

Json BytesToJson(std::string_view bytes) {
  if (IsUtf8(bytes)) return std::string(bytes);
  return {{"base64", Base64(bytes)}};
}

}  // namespace

void PrintValue(const Value& value, std::ostream& out) { PrintIndented(value, "", out); }

void PrintRaw(const Value& value, std::ostream& out) {
  switch (value.kind) {
    case Value::Kind::kNull:
      out << "(nil)\n";
      break;
    case Value::Kind::kInteger:
      out << value.integer << "\n";
      break;
    case Value::Kind::kUnsigned:
      out << value.unsigned_integer << "\n";
      break;
    case Value::Kind::kNumber:
      out << value.number << "\n";
      break;
    case Value::Kind::kBoolean:
      out << (value.boolean ? "true\n" : "false\n");
      break;
    case Value::Kind::kArray:
    case Value::Kind::kMap:
    case Value::Kind::kSet:
      for (const Value& element : value.elements) PrintRaw(element, out);
      break;
    default:
      out << value.text << "\n";
  }
}

void AddBytes(Json& object, const std::string& name, std::string_view bytes) {
  if (IsUtf8(bytes)) {
    object[name] = std::string(bytes);
  } else {
    object[name + "_base64"] = Base64(bytes);
  }
}

Json ToJson(const Error& error) {
  return {{"error", {{"code", ErrorCodeName(error.code)}, {"message", error.message}}}};
}

Json ToJson(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return nullptr;
    case Value::Kind::kWord:
    case Value::Kind::kText:
    case Value::Kind::kBulk:
    case Value::Kind::kRecord:
      return BytesToJson(value.text);
    case Value::Kind::kInteger:
      return value.integer;
    case Value::Kind::kUnsigned:
      return value.unsigned_integer;
    case Value::Kind::kNumber:
      return value.number;
    case Value::Kind::kBoolean:
      return value.boolean;
    case Value::Kind::kError:
      return ToJson(Error{value.error, value.text});
    case Value::Kind::kMap: {
      Json object = Json::object();
      for (std::size_t i = 0; i + 1 < value.elements.size(); i += 2) {
        const std::string& name = value.elements[i].text;
        object[IsUtf8(name) ? name : Quote(name)] = ToJson(value.elements[i + 1]);
      }
      return object;
    }
    case Value::Kind::kArray:
    case Value::Kind::kSet: {
      Json array = Json::array();
      for (const Value& element : value.elements) array.push_back(ToJson(element));
      return array;
    }
  }
  return nullptr;
}

}  // namespace gyre::client
