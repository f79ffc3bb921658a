#include "client/shell/tool.h"

#include <algorithm>
#include <iostream>

#include "client/shell/command_line.h"
#include "client/shell/repl.h"

namespace gyre::client {
namespace {

std::vector<std::string> SplitCommas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

Options OptionsOf(const CommandLine& line) {
  Options options;
  options.seeds = SplitCommas(line.connect());
  options.write_acks = line.write_acks();
  // A person waits longer than a program, and would rather not be told "unknown".
  constexpr Milliseconds kPatience{5000};
  options.deadline = line.deadline().count() > 0 ? line.deadline() : kPatience;
  return options;
}

}  // namespace

void Session::PrintJson(const Json& json_value) const {
  out << json_value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

int ReportError(const Error& error, bool json, std::ostream& out, std::ostream& err) {
  if (json) {
    out << ToJson(error).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    err << "gyre: " << ErrorCodeName(error.code) << ": " << error.message << "\n";
  }
  if (error.code == ErrorCode::kCannotConnect) return kExitCannotConnect;
  return kExitRefused;
}

int Session::Report(const Error& error) const { return ReportError(error, json, out, err); }

const std::vector<std::string>& ToolCommands() {
  static const std::vector<std::string> names = CommandLine().names();
  return names;
}

std::optional<int> RunWords(const std::vector<std::string>& words, const Session& session,
                            std::string& usage) {
  CommandLine line;
  std::vector<std::string> args = {"--connect", session.connect};
  args.insert(args.end(), words.begin(), words.end());
  const int status = line.Parse(args);
  usage = line.message();
  if (status != kExitDone) return std::nullopt;
  if (!usage.empty()) {  // --help
    session.out << usage;
    return kExitDone;
  }
  if (line.alone()) return line.alone()({std::cin, session.out, session.err});
  if (!line.action()) return std::nullopt;
  Session inner = session;
  inner.json = session.json || line.json();
  return line.action()(inner);
}

int RunTool(const std::vector<std::string>& args, const ToolStreams& streams) {
  CommandLine line;
  const int parsed = line.Parse(args);
  if (!line.message().empty()) (parsed == kExitDone ? streams.out : streams.err) << line.message();
  if (parsed != kExitDone || !line.message().empty()) return parsed;
  if (line.alone()) return line.alone()(streams);

  Result<Client> client = Client::Connect(OptionsOf(line));
  if (!client) {
    const bool bad_address = client.error().code == ErrorCode::kInvalidArgument;
    const int status = ReportError(client.error(), line.json(), streams.out, streams.err);
    return bad_address ? static_cast<int>(kExitUsage) : status;
  }
  const Session session{*client, line.json(), streams.out, streams.err, line.connect()};
  if (line.action()) return line.action()(session);
  return streams.interactive ? RunInteractive(session, line.connect())
                             : RunPiped(session, streams.in);
}

}  // namespace gyre::client
