// Redis's commands that need nothing of the tool's: they go to the cluster as they are.
#include "client/shell/cluster_reply.h"
#include "client/shell/command_line.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

struct RedisCommand {
  const char* name;
  const char* arguments;
  const char* description;
  Shown shown = Shown::kAsValue;
};

constexpr RedisCommand kRedisCommands[] = {
    {"client", "SUBCOMMAND [ARGUMENT ...]", "LIST, INFO, ... of the node's connections",
     Shown::kAsText},
    {"cluster", "SUBCOMMAND [ARGUMENT ...]", "SLOTS, SHARDS, NODES, KEYSLOT, ... as Redis Cluster",
     Shown::kAsText},
    {"command", "[SUBCOMMAND [ARGUMENT ...]]", "LIST, COUNT, INFO, DOCS of the node's commands"},
    {"decrby", "KEY DELTA", "Subtracts from a number"},
    {"echo", "MESSAGE", "Prints what the node sends back"},
    {"expireat", "KEY SECONDS [NX|XX|GT|LT]", "Sets when a key expires, in unix time"},
    {"expiretime", "KEY", "Prints when a key expires, in unix time; -1 never, -2 no such key"},
    {"getdel", "KEY", "Prints a value and removes it"},
    {"getex", "KEY [EX seconds|PX ms|PERSIST ...]", "Prints a value and sets its expiry"},
    {"getrange", "KEY START END", "Prints a part of a value; -1 is its last byte"},
    {"getset", "KEY VALUE", "Stores a value and prints the old one"},
    {"incrby", "KEY DELTA", "Adds to a number"},
    {"incrbyfloat", "KEY DELTA", "Adds to a number that may have a fraction"},
    {"info", "[SECTION ...]", "Shows the node's figures as Redis does", Shown::kAsText},
    {"memory", "USAGE KEY", "Prints how many bytes a record takes in memory"},
    {"msetnx", "KEY VALUE ...", "Stores several values if none of the keys exists"},
    {"object", "SUBCOMMAND [ARGUMENT ...]", "ENCODING, IDLETIME, FREQ, REFCOUNT of a key"},
    {"pexpire", "KEY MS [NX|XX|GT|LT]", "Sets the time to live of a key, in milliseconds"},
    {"pexpireat", "KEY MS [NX|XX|GT|LT]", "Sets when a key expires, in unix milliseconds"},
    {"pexpiretime", "KEY", "Prints when a key expires, in unix milliseconds"},
    {"psetex", "KEY MS VALUE", "Stores a value that expires, in milliseconds"},
    {"pttl", "KEY", "Prints the milliseconds until a key expires; -1 never, -2 no such key"},
    {"randomkey", "", "Prints one of the keys"},
    {"setex", "KEY SECONDS VALUE", "Stores a value that expires"},
    {"setnx", "KEY VALUE", "Stores a value if there is none"},
    {"setrange", "KEY OFFSET VALUE", "Overwrites a part of a value"},
    {"substr", "KEY START END", "getrange, as it was called once"},
    {"time", "", "Prints the node's clock: seconds, microseconds"},
    {"type", "KEY", "Prints the type of a value"},
    {"unlink", "KEY ...", "Removes keys, as del does"},
    {"wait", "COPIES MS", "Waits until earlier writes have so many copies"},
};

}  // namespace

int RunOnCluster(const ShellContext& shell, const std::string& name,
                 const std::vector<std::string>& arguments, Shown shown) {
  std::vector<std::string> words = {ToUpper(name)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const Result<Value> reply = shell.client.Execute(words, shell.call);
  if (!reply) return shell.Report(reply.error());
  using Kind = Value::Kind;
  if (shell.json) {
    shell.PrintJson(ToJson(*reply));
  } else if (reply->is_null()) {
    return shell.Miss();
  } else if (reply->kind == Kind::kBulk || reply->kind == Kind::kRecord) {
    if (shown == Shown::kAsText && !shell.raw) {
      shell.out << reply->text << (reply->text.ends_with('\n') ? "" : "\n");
    } else {
      shell.PrintBytes(reply->text);
    }
  } else if (shell.terminal) {
    PrintValue(*reply, shell.out);
  } else {
    PrintRaw(*reply, shell.out);
  }
  return reply->is_null() ? kExitRefused : kExitDone;
}

void AddRedisCommands(CommandLine& line) {
  for (const RedisCommand& command : kRedisCommands) {
    line.Add<Arguments>({command.name, command.arguments, command.description, kRedisGroup},
                        nullptr, [&command](const ShellContext& shell, const Arguments& arguments) {
                          return RunOnCluster(shell, command.name, arguments.words, command.shown);
                        });
  }
}

}  // namespace gyre::client
