#include "client/shell/status_view.h"

#include <algorithm>

#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

constexpr int kDepthMax = 4;

bool EndsWith(const std::string& text, std::string_view suffix) {
  return std::string_view(text).ends_with(suffix);
}

// "memory_limit_bytes" -> "memory limit".
std::string Title(const std::string& name) {
  std::string title = name;
  for (const std::string_view unit : {"_bytes_per_second", "_bytes", "_percent", "_seconds"}) {
    if (EndsWith(title, unit)) title.resize(title.size() - unit.size());
  }
  std::replace(title.begin(), title.end(), '_', ' ');
  return title;
}

// A scalar as text; "-" for null.
std::string Scalar(const std::string& name, const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number()) {
    const double number = value.get<double>();
    if (EndsWith(name, "_bytes")) return HumanBytes(number);
    if (EndsWith(name, "bytes_per_second")) return HumanBytes(number) + "/s";
    if (EndsWith(name, "_seconds")) return value.dump() + " s";
    if (EndsWith(name, "_ratio")) return HumanPercent(number);
    if (EndsWith(name, "_percent")) return HumanPercent(number / 100);
    return value.dump();
  }
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    return text.empty() ? "-" : text;
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsTable(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& row) { return row.is_object(); });
}

// What a person looking at a table of nodes does not need: it is in the JSON.
bool IsDetail(const std::string& name) {
  return name == "id" || name == "incarnation" || EndsWith(name, "_port");
}

// "host" and "port" become one "address".
Json WithAddress(const Json& row) {
  if (!row.contains("host") || !row.contains("port") || !row["host"].is_string()) return row;
  Json joined = Json::object();
  for (const auto& [name, value] : row.items()) {
    if (name == "host") {
      joined["address"] = row["host"].get<std::string>() + ":" + Scalar("port", row["port"]);
    } else if (name != "port") {
      joined[name] = value;
    }
  }
  return joined;
}

// The columns are all scalar members that any row has, in the order of their first appearance.
void PrintRows(const Json& given, std::ostream& out) {
  Json rows = Json::array();
  for (const Json& row : given) rows.push_back(WithAddress(row));
  std::vector<std::string> names;
  for (const Json& row : rows) {
    for (const auto& [name, value] : row.items()) {
      if (value.is_structured() || IsDetail(name)) continue;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::vector<std::string> header;
  header.reserve(names.size());
  for (const std::string& name : names) header.push_back(Title(name));
  TextTable table(header);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    cells.reserve(names.size());
    for (const std::string& name : names) {
      cells.push_back(row.contains(name) ? Scalar(name, row[name]) : "-");
    }
    table.AddRow(std::move(cells));
  }
  table.Print(out);
}

void PrintObject(const Json& object, int depth, std::ostream& out) {
  const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
  for (const auto& [name, value] : object.items()) {
    if (!value.is_structured()) out << indent << Title(name) << ": " << Scalar(name, value) << "\n";
  }
  for (const auto& [name, value] : object.items()) {
    if (IsTable(value)) {
      out << "\n";
      PrintRows(value, out);
    } else if (value.is_object() && !value.empty() && depth < kDepthMax) {
      out << indent << Title(name) << ":\n";
      PrintObject(value, depth + 1, out);
    } else if (value.is_array() && !value.empty()) {
      out << indent << Title(name) << ": " << Scalar(name, value) << "\n";
    }
  }
}

}  // namespace

void PrintStatus(const Json& status, std::ostream& out) {
  if (!status.is_object()) {
    out << Scalar("", status) << "\n";
    return;
  }
  PrintObject(status, 0, out);
}

}  // namespace gyre::client
