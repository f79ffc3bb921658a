#include "ops/config_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "ops/config_options.h"

namespace gyre {
namespace {

const char* Expected(OptionKind kind) {
  switch (kind) {
    case OptionKind::kText:
      return "a string in quotes";
    case OptionKind::kNumber:
      return "an integer";
    case OptionKind::kAmount:
      return "a string with its unit, e.g. \"256MiB\" or \"5m\"";
    case OptionKind::kFlag:
      return "true or false";
    case OptionKind::kList:
      return "an array of strings, e.g. [\"127.0.0.1:7700\"]";
  }
  return "another type";
}

// The value as the command line would hold it; nothing if it has the wrong type.
std::optional<std::string> TextOf(const toml::node& node, OptionKind kind) {
  const auto* text = node.as_string();
  const auto* number = node.as_integer();
  const auto* list = node.as_array();
  const auto* flag = node.as_boolean();
  if (kind == OptionKind::kFlag) {
    if (flag == nullptr) return std::nullopt;
    return flag->get() ? "true" : "false";
  }
  if (text != nullptr && kind != OptionKind::kNumber) return text->get();
  if (number != nullptr && (kind == OptionKind::kNumber || kind == OptionKind::kAmount)) {
    return std::to_string(number->get());
  }
  if (list == nullptr || kind != OptionKind::kList) return std::nullopt;
  std::string joined;
  for (const toml::node& element : *list) {
    if (element.as_string() == nullptr) return std::nullopt;
    joined += element.as_string()->get() + ',';
  }
  return joined;
}

// The option whose name is nearest, for a typing error; nothing if none is near.
std::string Suggestion(const std::string& key) {
  std::string swapped = key;
  std::replace(swapped.begin(), swapped.end(), '_', '-');
  for (const Option& option : ConfigOptions()) {
    if (swapped == option.name) return ": did you mean " + swapped + "?";
  }
  return ": see gyred --help for the names";
}

}  // namespace

Result<std::vector<FileEntry>> ReadConfigFile(const std::string& path) {
  const auto fail = [&path](const std::string& why) {
    return Fail(ErrorCode::kInvalidArgument, "cannot read --config " + path + ": " + why);
  };
  Result<std::optional<File>> file = OpenToRead(path, Links::kFollow);
  if (!file) return fail(file.error().message);
  if (!*file) return fail(std::strerror(ENOENT));
  const Result<std::string> text = ReadAll(**file, path, kConfigFileBytesMax);
  if (!text) return fail(text.error().message);
  return ParseConfigText(*text, path);
}

Result<std::vector<FileEntry>> ParseConfigText(std::string_view text, const std::string& path) {
  const auto fail = [&path](int line, const std::string& what) {
    return Fail(ErrorCode::kInvalidArgument, path + ':' + std::to_string(line) + ": " + what);
  };
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return fail(static_cast<int>(error.source().begin.line), std::string(error.description()));
  }
  std::vector<FileEntry> entries;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const int line = static_cast<int>(key.source().begin.line);
    const auto& options = ConfigOptions();
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&name](const Option& o) { return name == o.name; });
    if (option == options.end()) return fail(line, "unknown key '" + name + "'" + Suggestion(name));
    const std::optional<std::string> text = TextOf(node, option->kind);
    if (!text) return fail(line, name + " must be " + Expected(option->kind));
    entries.push_back({name, *text, line});
  }
  return entries;
}

}  // namespace gyre
