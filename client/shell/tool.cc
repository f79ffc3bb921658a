#include "client/shell/tool.h"

#include <utility>

#include "client/shell/command_line.h"
#include "client/shell/repl.h"

namespace gyre::client {
namespace {

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
  Options options = line.ClientOptions(line.connect());
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
                           .interactive = streams.interactive,
                           .screen = Screen::OfEnvironment(streams.terminal),
                           .ask = AskOn(streams),
                           .in = line.action() ? &streams.in : nullptr,
                           .error_terminal = streams.error_terminal};
  if (line.action()) return RunAction(line, shell);
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

ShellContext ShellContext::With(std::ostream& new_out, std::ostream& new_err) const {
  return {client,      json,   new_out, new_err, connect, call,           raw,    terminal,
          interactive, screen, line,    ask,     in,      error_terminal, failure};
}

int ShellContext::Report(const Error& error) const {
  if (failure != nullptr) *failure = error.code;
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
