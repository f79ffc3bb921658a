#include "history/event.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace gyre::history {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kWhats = {"issue", "ack",  "unknown", "refuse",
                                                    "read",  "late", "cut",     "heal"};
constexpr std::array<std::string_view, 5> kKinds = {"get", "set", "delete", "incr", "cas"};

template <typename Enum, std::size_t kSize>
bool Find(const std::array<std::string_view, kSize>& names, const std::string& name, Enum& value) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return false;
  value = static_cast<Enum>(found - names.begin());
  return true;
}

}  // namespace

std::string ToLine(const Event& event) {
  Json line;
  line["event"] = kWhats[static_cast<std::size_t>(event.what)];
  if (event.is_cut()) {
    line["start"] = event.start;
    if (event.is_divided) line["divided"] = true;
    return line.dump();
  }
  line["kind"] = kKinds[static_cast<std::size_t>(event.kind)];
  line["client"] = event.client;
  line["key"] = event.key;
  if (event.number) line["number"] = *event.number;
  if (event.token != 0) line["token"] = event.token;
  if (event.previous != 0) line["previous"] = event.previous;
  if (event.result != 0) line["result"] = event.result;
  line["start"] = event.start;
  if (event.what != What::kIssue) line["end"] = event.end;
  if (event.partition) line["partition"] = *event.partition;
  if (event.group != 0) line["group"] = event.group;
  if (event.is_final) line["final"] = true;
  if (!event.note.empty()) line["note"] = event.note;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Event> FromLine(const std::string& line, std::string& error) {
  const auto refuse = [&error](std::string why) {
    error = std::move(why);
    return std::nullopt;
  };
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return refuse("not a JSON object");
  Event event;
  try {
    const std::string what = json.value("event", "");
    if (!Find(kWhats, what, event.what)) return refuse("no such event: '" + what + "'");
    if (event.is_cut()) {
      event.kind = Kind::kGet;
      event.start = json.at("start").get<std::int64_t>();
      event.is_divided = json.value("divided", false);
      return event;
    }
    const std::string kind = json.value("kind", event.what == What::kRead ? "get" : "");
    if (!Find(kKinds, kind, event.kind)) return refuse("no such kind: '" + kind + "'");
    event.client = json.value("client", event.client);
    event.key = json.at("key").get<std::string>();
    if (json.contains("number") && !json.at("number").is_null()) {
      event.number = json.at("number").get<std::uint64_t>();
    }
    event.token = json.value("token", event.token);
    event.previous = json.value("previous", event.previous);
    event.result = json.value("result", event.result);
    event.start = json.at("start").get<std::int64_t>();
    event.end = event.what == What::kIssue ? 0 : json.at("end").get<std::int64_t>();
    event.is_final = json.value("final", false);
    if (json.contains("partition")) event.partition = json.at("partition").get<std::uint32_t>();
    event.group = json.value("group", event.group);
    event.note = json.value("note", "");
  } catch (const Json::exception& exception) {
    return refuse(exception.what());
  }
  const bool is_read = event.what == What::kRead;
  if (is_read != (event.kind == Kind::kGet)) return refuse("a get is a read and nothing else is");
  if (!is_read && event.number.value_or(0) == 0) return refuse("a write without its number");
  if (event.what != What::kIssue && event.end < event.start)
    return refuse("it ends before it starts");
  return event;
}

std::optional<std::vector<Event>> ReadEvents(std::istream& in, std::string& error) {
  std::vector<Event> events;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::optional<Event> event = FromLine(line, error);
    if (!event) {
      error = "line " + std::to_string(number) + ": " + error;
      return std::nullopt;
    }
    events.push_back(std::move(*event));
  }
  return events;
}

}  // namespace gyre::history
