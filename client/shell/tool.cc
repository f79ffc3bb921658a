#include "client/shell/tool.h"

#include <algorithm>
#include <utility>

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
  options.write_acks = line.call().write_acks;
  // A person waits longer than a program, and would rather not be told "unknown".
  constexpr Milliseconds kPatience{5000};
  options.deadline = line.call().deadline.count() > 0 ? line.call().deadline : kPatience;
  return options;
}

// Without line editing: one question, one answer.
Ask AskOn(const ToolStreams& streams) {
  if (!streams.interactive) return nullptr;
  return [&streams](const std::string& question) -> std::optional<std::string> {
    streams.out << question << std::flush;
    std::string answer;
    if (!std::getline(streams.in, answer)) return std::nullopt;
    return answer;
  };
}

int RunConnected(CommandLine& line, const ToolStreams& streams) {
  Options options = OptionsOf(line);
  if (options.seeds.empty()) {
    streams.err << ErrorPrefix(0) << "--connect (or GYRE_CONNECT) names no node: write HOST:PORT\n";
    return kExitUsage;
  }
  Result<Client> client = Client::Connect(std::move(options));
  if (!client) {
    const bool bad_options = client.error().code == ErrorCode::kInvalidArgument;
    const int status = ReportError(client.error(), line.json(), streams.out, streams.err);
    return bad_options ? static_cast<int>(kExitUsage) : status;
  }
  const ShellContext shell{.client = *client,
                           .json = line.json(),
                           .out = streams.out,
                           .err = streams.err,
                           .connect = line.connect(),
                           .call = line.call(),
                           .raw = line.raw(),
                           .terminal = streams.terminal,
                           .ask = AskOn(streams)};
  if (line.action()) return line.action()(shell);
  line.EnterShell();
  return streams.interactive ? RunInteractive(line, shell) : RunPiped(line, shell, streams.in);
}

}  // namespace

void ShellContext::PrintJson(const Json& json_value) const {
  out << json_value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void ShellContext::PrintBytes(std::string_view bytes) const {
  if (raw) {
    out << bytes;
  } else if (terminal) {
    out << Readable(bytes) << "\n";
  } else {
    out << bytes << "\n";
  }
}

int ShellContext::Miss() const {
  err << (line == 0 ? "" : ErrorPrefix(line)) << "(nil)\n";
  return kExitRefused;
}

std::string ErrorPrefix(std::uint64_t line) {
  return line == 0 ? "gyre: " : "gyre: line " + std::to_string(line) + ": ";
}

int ReportError(const Error& error, bool json, std::ostream& out, std::ostream& err) {
  if (json) {
    out << ToJson(error).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    err << ErrorPrefix(0) << ErrorCodeName(error.code) << ": " << error.message << "\n";
  }
  if (error.code == ErrorCode::kCannotConnect) return kExitCannotConnect;
  return kExitRefused;
}

int ShellContext::Report(const Error& error) const {
  if (line == 0) return ReportError(error, json, out, err);
  if (json) {
    Json with_line = ToJson(error);
    with_line["error"]["line"] = line;
    PrintJson(with_line);
  } else {
    err << ErrorPrefix(line) << ErrorCodeName(error.code) << ": " << error.message << "\n";
  }
  return kExitRefused;
}

int RunTool(const std::vector<std::string>& args, const ToolStreams& streams) {
  CommandLine line;
  std::vector<Word> words;
  words.reserve(args.size());
  for (const std::string& arg : args) words.push_back({arg});
  int status = line.Parse(words, &streams.in);
  if (status != kExitDone) {
    streams.err << ErrorPrefix(0) << line.message();
    return status;
  }
  if (!line.message().empty()) {
    streams.out << line.message();
  } else {
    status = line.alone() ? line.alone()(streams) : RunConnected(line, streams);
  }
  if (!streams.out.flush()) {
    streams.err << ErrorPrefix(0) << "cannot write to standard output: is the disk full?\n";
    return kExitRefused;
  }
  return status;
}

}  // namespace gyre::client
