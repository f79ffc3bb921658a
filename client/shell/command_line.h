// The command line as a tree of CLI11 subcommands. Parsing chooses an action; nothing runs while
// parsing.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "client/shell/tool.h"

namespace gyre::client {

class CommandLine {
 public:
  using Action = std::function<int(const Session&)>;

  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // kExitDone and an action (or none: then the shell); or the exit status with what to print in
  // `message` (help: kExitDone, no action, a message).
  int Parse(const std::vector<std::string>& args);

  const std::string& message() const { return message_; }
  const Action& action() const { return action_; }
  // Runs without a client: it makes its own connections (bench).
  const std::function<int(const ToolStreams&)>& alone() const { return alone_; }
  const std::string& connect() const { return connect_; }
  bool json() const { return output_ == "json"; }
  Milliseconds deadline() const { return Milliseconds{deadline_ms_}; }
  std::uint32_t write_acks() const { return write_acks_; }
  std::vector<std::string> names() const;

  // For the groups of commands: declares `name`; its arguments' storage lives as long as the
  // command line.
  template <typename Arguments>
  CLI::App* Add(const std::string& name, const std::string& description,
                std::function<void(CLI::App&, Arguments&)> declare,
                std::function<int(const Session&, const Arguments&)> run) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app_.add_subcommand(name, description);
    declare(*command, *arguments);
    command->callback([this, arguments, run = std::move(run)] {
      action_ = [arguments, run](const Session& session) { return run(session, *arguments); };
    });
    return command;
  }
  void SetAlone(std::function<int(const ToolStreams&)> alone) { alone_ = std::move(alone); }
  CLI::App& app() { return app_; }

 private:
  // The first word that is neither an option nor an option's value; empty if there is none.
  std::string CommandWord(const std::vector<std::string>& args) const;
  int UnknownCommand(const std::string& word);

  CLI::App app_;
  std::string connect_ = "127.0.0.1:7700";
  std::string output_ = "text";
  std::uint64_t deadline_ms_ = 0;
  std::uint32_t write_acks_ = 0;
  Action action_;
  std::function<int(const ToolStreams&)> alone_;
  std::string message_;
};

// The groups.
void AddDataCommands(CommandLine& line);
void AddKeySpaceCommands(CommandLine& line);
void AddClusterCommands(CommandLine& line);
void AddBenchCommand(CommandLine& line);

}  // namespace gyre::client
