#include "client/shell/ring_config.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "client/shell/drain.h"
#include "client/shell/json_fields.h"
#include "client/shell/table.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr Milliseconds kRingPatience{2000};
// How long a change is watched on its way to all nodes, and how often they are asked.
constexpr std::chrono::seconds kSpreadPatience{5};
constexpr std::chrono::milliseconds kSpreadInterval{50};

// "2026-11-30 03:20:11", in UTC.
std::string TimeText(std::uint64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  char text[32] = "-";
  if (gmtime_r(&seconds, &parts) != nullptr) {
    (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  }
  return text;
}

std::string NodeName(const RingInfo& ring, const std::string& id) {
  const NodeInfo* const node = FindNode(ring, id);
  return node == nullptr ? id : node->name;
}

// What a node that has the newest state makes of it; empty: it counts there.
std::string Complaint(const RingParameter& parameter) {
  if (parameter.standing == "refused") return "refused: " + parameter.reason;
  if (parameter.standing == "overridden") return "CONFIG SET there: " + parameter.value_here;
  return {};
}

const RingParameter* FindIn(const RingAnswer& answer, const std::string& name) {
  const auto found = std::find_if(answer.parameters.begin(), answer.parameters.end(),
                                  [&](const RingParameter& each) { return each.name == name; });
  return found == answer.parameters.end() ? nullptr : &*found;
}

std::vector<RingAnswer> AskRing(const ShellContext& shell, const RingInfo& ring,
                                const std::string& pattern) {
  std::vector<RingAnswer> answers;
  for (const NodeAnswer& answer :
       AskNodes(shell, ByName(ring), {"RINGCONFIG", "GET", pattern}, kRingPatience)) {
    std::string trouble = Trouble(answer);
    std::optional<RingAnswer> read;
    if (trouble.empty()) {
      read = ReadRingAnswer(answer.node.name, (*answer.reply)->text);
      if (!read) trouble = "its answer makes no sense";
    }
    answers.push_back(read ? std::move(*read) : RingAnswer{answer.node.name, trouble, {}, {}});
  }
  return answers;
}

Json RowJson(const RingConfigRow& row, const RingInfo& ring,
             const std::vector<RingAnswer>& answers) {
  Json nodes = Json::array();
  for (const RingAnswer& answer : answers) {
    if (!answer.trouble.empty()) continue;
    const RingParameter* const own = FindIn(answer, row.newest.name);
    const bool has = own != nullptr && own->stamp() == row.newest.stamp();
    Json one = {{"name", answer.node}, {"standing", has ? own->standing : "not yet"}};
    if (has && !own->reason.empty()) one["reason"] = own->reason;
    if (has && !own->value_here.empty()) one["value_here"] = own->value_here;
    nodes.push_back(std::move(one));
  }
  return {{"name", row.newest.name},
          {"value", row.newest.value},
          {"set_by", NodeName(ring, row.newest.set_by)},
          {"set_at_ms", row.newest.set_at_ms},
          {"everywhere", row.everywhere},
          {"nodes", std::move(nodes)}};
}

int Get(const ShellContext& shell, const RingInfo& ring, const std::string& pattern) {
  const std::vector<RingAnswer> answers = AskRing(shell, ring, pattern);
  const std::vector<RingConfigRow> rows = RingConfigRows(answers);
  bool good = std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.everywhere; });
  Json silent = Json::array();
  for (const RingAnswer& answer : answers) {
    if (answer.trouble.empty()) continue;
    silent.push_back({{"name", answer.node}, {"error", answer.trouble}});
    if (!shell.json) {
      shell.err << ErrorPrefix(shell.line) << answer.node << ": " << answer.trouble << "\n";
    }
  }
  good = good && silent.empty();
  if (shell.json) {
    Json list = Json::array();
    for (const RingConfigRow& row : rows) list.push_back(RowJson(row, ring, answers));
    shell.PrintJson({{"parameters", std::move(list)}, {"silent", std::move(silent)}});
  } else if (rows.empty()) {
    shell.err << ErrorPrefix(shell.line)
              << (pattern == "*" ? "the ring sets no parameter\n"
                                 : "the ring sets no parameter of such a name\n");
  } else {
    TextTable table({"PARAMETER", "VALUE", "SET BY", "SET AT (UTC)", "NODES"});
    for (const RingConfigRow& row : rows) {
      table.AddRow({row.newest.name, row.newest.value.empty() ? "-" : row.newest.value,
                    NodeName(ring, row.newest.set_by), TimeText(row.newest.set_at_ms), row.nodes});
    }
    table.Print(shell.out);
  }
  return good && (pattern == "*" || !rows.empty()) ? kExitDone : kExitRefused;
}

bool Agree(const std::vector<RingAnswer>& answers) {
  std::set<std::string> digests;
  for (const RingAnswer& answer : answers) {
    if (answer.trouble.empty()) digests.insert(answer.digest);
  }
  return digests.size() < 2;
}

// What a node makes of a change of `names`; empty: all is as it should be.
std::string Outcome(const RingAnswer& answer, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    const RingParameter* const own = FindIn(answer, name);
    const std::string complaint = own == nullptr ? std::string() : Complaint(*own);
    if (!complaint.empty()) text += (text.empty() ? "" : "; ") + name + " " + complaint;
  }
  return text;
}

// Watches until all nodes that answer have the change, and says what they make of it.
int Watch(const ShellContext& shell, const RingInfo& ring, const std::vector<std::string>& names) {
  const auto end = std::chrono::steady_clock::now() + kSpreadPatience;
  std::vector<RingAnswer> answers = AskRing(shell, ring, "*");
  while (!Agree(answers) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kSpreadInterval);
    answers = AskRing(shell, ring, "*");
  }
  const bool agree = Agree(answers);
  bool all = agree;
  Json list = Json::array();
  for (const RingAnswer& answer : answers) {
    const std::string text = !answer.trouble.empty() ? answer.trouble : Outcome(answer, names);
    all = all && text.empty();
    Json one = {{"name", answer.node}, {"ok", text.empty()}};
    if (!text.empty()) one["error"] = text;
    list.push_back(std::move(one));
    if (!shell.json) shell.out << answer.node << "  " << (text.empty() ? "OK" : text) << "\n";
  }
  if (shell.json) {
    shell.PrintJson({{"parameters", names}, {"spread", agree}, {"nodes", std::move(list)}});
  } else if (!agree) {
    shell.err << ErrorPrefix(shell.line)
              << "the ring has it, but not all nodes yet: gyre config get --ring shows which\n";
  }
  return all ? kExitDone : kExitRefused;
}

}  // namespace

std::optional<RingAnswer> ReadRingAnswer(const std::string& node, const std::string& json) {
  const Json read = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!read.is_object()) return std::nullopt;
  RingAnswer answer{node, {}, TextAt(read, "digest"), {}};
  const auto list = read.find("parameters");
  if (list == read.end() || !list->is_array()) return std::nullopt;
  for (const Json& each : *list) {
    if (!each.is_object()) return std::nullopt;
    answer.parameters.push_back({TextAt(each, "name"), TextAt(each, "value"),
                                 TextAt(each, "set_by"), CountAt(each, "set_at_ms"),
                                 CountAt(each, "set_count"), TextAt(each, "standing"),
                                 TextAt(each, "reason"), TextAt(each, "value_here")});
  }
  return answer;
}

std::vector<RingConfigRow> RingConfigRows(const std::vector<RingAnswer>& answers) {
  std::map<std::string, RingParameter> newest;
  std::size_t answered = 0;
  for (const RingAnswer& answer : answers) {
    answered += answer.trouble.empty() ? 1 : 0;
    for (const RingParameter& parameter : answer.parameters) {
      RingParameter& known = newest[parameter.name];
      if (known.name.empty() || parameter.stamp() > known.stamp()) known = parameter;
    }
  }
  std::vector<RingConfigRow> rows;
  for (const auto& [name, parameter] : newest) {
    std::string trouble;
    for (const RingAnswer& answer : answers) {
      if (!answer.trouble.empty()) continue;
      const RingParameter* const own = FindIn(answer, name);
      const bool has = own != nullptr && own->stamp() == parameter.stamp();
      const std::string complaint = has ? Complaint(*own) : "not yet";
      if (complaint.empty()) continue;
      trouble += (trouble.empty() ? "" : "; ") + answer.node + ": " + complaint;
    }
    const bool everywhere = trouble.empty();
    rows.push_back({parameter, everywhere ? "all " + std::to_string(answered) : std::move(trouble),
                    everywhere});
  }
  return rows;
}

int RingConfigCommand(const ShellContext& shell, const ConfigArguments& arguments) {
  const Result<RingInfo> ring = shell.client.RefreshRing(shell.call);
  if (!ring) return shell.Report(ring.error());
  if (ToLower(arguments.words[0]) == "get") {
    return Get(shell, *ring, arguments.words.size() > 1 ? arguments.words[1] : "*");
  }
  Command command = {"RINGCONFIG"};
  command.insert(command.end(), arguments.words.begin(), arguments.words.end());
  const Result<Value> changed = shell.client.Execute(command, shell.call);
  if (!changed) return shell.Report(changed.error());
  // Their names, each behind the kind of setting that it is: "config/log-level".
  std::vector<std::string> names;
  for (const Value& name : changed->elements) {
    names.push_back(name.text.substr(name.text.find('/') + 1));
  }
  return Watch(shell, *ring, names);
}

}  // namespace gyre::client
