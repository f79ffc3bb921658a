#include "client/shell/advice.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "client/shell/cluster_picture.h"
#include "client/shell/json_fields.h"
#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

std::string Percent(const Json& object, const char* name, int digits) {
  const Json& field = FieldAt(object, name);
  return field.is_number() ? HumanPercent(field.get<double>(), digits) : "-";
}

std::string Headline(const Json& advice, const Screen& screen) {
  const std::uint64_t nodes = CountAt(advice, "nodes");
  const std::uint64_t advised = CountAt(advice, "advised_nodes");
  const std::string dot(screen.separator());
  std::string line;
  if (nodes == 0) {
    line = Coloured(screen, Colour::kWarning, "UNKNOWN");
  } else if (advised > nodes) {
    line = Coloured(screen, Colour::kBad, "SCALE OUT");
  } else if (advised < nodes) {
    line = Coloured(screen, Colour::kWarning, "SCALE IN");
  } else {
    line = Coloured(screen, Colour::kGood, "STAY");
  }
  line += "  cluster " + TextAt(advice, "cluster") + dot + std::to_string(nodes) +
          (nodes == 1 ? " node" : " nodes");
  if (advised != nodes) line += dot + std::to_string(advised) + " advised";
  const std::uint64_t wanted = CountAt(advice, "wanted_nodes");
  if (wanted != advised) line += dot + std::to_string(wanted) + " asked for now";
  return line;
}

// What the signal does: asks for more, has nothing against fewer, is not known, or keeps what is.
std::string Mark(const Json& signal, std::uint64_t nodes, const Screen& screen) {
  if (CountAt(signal, "nodes") > nodes) return Coloured(screen, Colour::kBad, "+");
  if (!FlagAt(signal, "known")) return Coloured(screen, Colour::kFaint, "?");
  return FlagAt(signal, "allows_in") ? Coloured(screen, Colour::kFaint, "-") : "=";
}

}  // namespace

void PrintAdvice(const Json& advice, const Screen& screen, std::ostream& out) {
  out << Headline(advice, screen) << "\n";
  const std::uint64_t nodes = CountAt(advice, "nodes");
  if (nodes > 0) {
    const Json& signals = FieldAt(advice, "signals");
    for (const char* name : {"memory", "busy", "network"}) {
      const Json& signal = FieldAt(signals, name);
      std::string padded = name;
      padded.resize(std::string_view("network").size(), ' ');
      out << " " << Mark(signal, nodes, screen) << " " << padded << "  " << TextAt(signal, "text")
          << "\n";
    }
  }
  const Json& against = FieldAt(advice, "against");
  for (const Json& each : against.is_array() ? against : Json::array()) {
    out << " " << Coloured(screen, Colour::kWarning, "!") << " " << TextAt(each, "text") << "\n";
  }
  const Json& forecasts = FieldAt(advice, "forecasts");
  if (!forecasts.is_array() || forecasts.empty()) return;
  TextTable table({"NODES", "HIT", "BUSY", "NETWORK", "MEM", ""});
  for (const Json& each : forecasts) {
    const std::uint64_t count = CountAt(each, "nodes");
    table.AddRow({std::to_string(count), Percent(each, "hit_ratio", 1),
                  Percent(each, "busy_ratio", 0), Percent(each, "network_ratio", 0),
                  Percent(each, "memory_ratio", 0), count == nodes ? "now" : ""});
  }
  table.Print(out);
}

int Advise(const ShellContext& shell, const Arguments&) {
  const Result<Json> advice = ReadDocument(shell.client.Execute({"ADVISE"}, shell.call));
  if (!advice) return shell.Report(advice.error());
  if (shell.json) {
    shell.PrintJson(*advice);
  } else {
    PrintAdvice(*advice, shell.screen, shell.out);
  }
  const std::uint64_t nodes = CountAt(*advice, "nodes");
  return nodes > 0 && CountAt(*advice, "advised_nodes") == nodes ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
