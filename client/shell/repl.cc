#include "client/shell/repl.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "client/shell/words.h"

namespace gyre::client {
namespace {

// Commands that the shell itself or the tool runs, whatever their arguments.
constexpr std::array<std::string_view, 7> kToolOnly = {"status", "ring",      "locate", "drain",
                                                       "remove", "rebalance", "bench"};

// Redis-style commands worth completing.
constexpr std::array<std::string_view, 48> kClusterCommands = {
    "append",    "client",      "cluster",   "command",     "config",   "dbsize",   "decr",
    "decrby",    "del",         "echo",      "exists",      "expire",   "expireat", "expiretime",
    "flushall",  "get",         "getdel",    "getex",       "getrange", "getset",   "incr",
    "incrby",    "incrbyfloat", "info",      "keys",        "mget",     "mset",     "msetnx",
    "persist",   "pexpire",     "pexpireat", "pexpiretime", "ping",     "psetex",   "pttl",
    "randomkey", "scan",        "set",       "setex",       "setnx",    "setrange", "strlen",
    "time",      "touch",       "ttl",       "type",        "unlink",   "wait"};

constexpr std::string_view kHelp =
    "Operator's commands:  status  ring  locate KEY  drain NODE  remove NODE  "
    "rebalance  bench  (COMMAND --help)\n"
    "Everything else goes to the cluster, in Redis's words:  set k v ex 10   get k   incr n   keys "
    "*\n"
    "Quoting: \"...\" with \\n \\r \\t \\\" \\\\ \\xHH; '...' as it is.  # begins a comment.\n"
    "help  quit\n";

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool IsForTool(const std::vector<std::string>& words) {
  if (std::find(kToolOnly.begin(), kToolOnly.end(), words.front()) != kToolOnly.end()) return true;
  const std::vector<std::string>& known = ToolCommands();
  if (std::find(known.begin(), known.end(), words.front()) == known.end()) return false;
  return std::any_of(words.begin() + 1, words.end(), [](const std::string& word) {
    return word.size() > 2 && word.starts_with("--");
  });
}

int RunOnCluster(const std::vector<std::string>& words, const Session& session) {
  const Result<Value> reply = session.client.Execute(words);
  if (!reply) {
    const int status = session.Report(reply.error());
    if (reply.error().code == ErrorCode::kUnknownCommand && !session.json) {
      std::string near;
      for (const std::string& name : NearMatches(Lower(words.front()), Completions(""))) {
        near += " " + name;
      }
      if (!near.empty()) session.err << "did you mean:" << near << "?\n";
    }
    return status;
  }
  if (session.json) {
    session.PrintJson(ToJson(*reply));
  } else {
    PrintValue(*reply, session.out);
  }
  return reply->is_null() ? kExitRefused : kExitDone;
}

}  // namespace

std::vector<std::string> Completions(std::string_view prefix) {
  const std::string wanted = Lower(std::string(prefix));
  const bool upper = !prefix.empty() && std::isupper(static_cast<unsigned char>(prefix.front()));
  std::vector<std::string> names = {"help", "quit"};
  names.insert(names.end(), kToolOnly.begin(), kToolOnly.end());
  names.insert(names.end(), kClusterCommands.begin(), kClusterCommands.end());
  std::sort(names.begin(), names.end());
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(wanted); });
  if (upper) {
    for (std::string& name : names) {
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    }
  }
  return names;
}

int RunLine(const std::string& line, const Session& session, bool& quit) {
  quit = false;
  const Result<std::vector<std::string>> words = SplitWords(line);
  if (!words) {
    session.Report(words.error());
    return kExitUsage;
  }
  if (words->empty() || words->front().starts_with('#')) return kExitDone;
  const std::string name = Lower(words->front());
  if (name == "quit" || name == "exit") {
    quit = true;
    return kExitDone;
  }
  if (name == "help") {
    session.out << kHelp;
    return kExitDone;
  }
  if (!IsForTool(*words)) return RunOnCluster(*words, session);
  std::string usage;
  const std::optional<int> status = RunWords(*words, session, usage);
  if (status) return *status;
  session.err << usage;
  return kExitUsage;
}

int RunPiped(const Session& session, std::istream& in) {
  int worst = kExitDone;
  std::string line;
  bool quit = false;
  while (!quit && std::getline(in, line)) worst = std::max(worst, RunLine(line, session, quit));
  return worst;
}

}  // namespace gyre::client
